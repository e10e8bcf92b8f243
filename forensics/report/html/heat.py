"""What changed, as a picture: modules down, layers across, coloured by relative change.

Adapters and the trainable set are marked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from forensics.judge.material import Cell, Heat
from forensics.report.html.render import macros

_SHADES = 5
_ALIKE = 1.05  # largest over smallest: below, one shade says all that there is to say
# columns: with numbers in the cells; with marks; narrow; beyond, colour alone
_FEW, _SOME, _MANY = (
    10,
    40,
    64,
)


def heat(picture: Heat) -> Markup:
    if not picture.cells:
        return Markup("<p>No parameters were captured at both.</p>")
    layers = [layer for layer in picture.layers if layer != "—"]
    inside = [m for m in picture.modules if any((layer, m) in picture.cells for layer in layers)]
    outside = [m for m in picture.modules if ("—", m) in picture.cells]
    size = next(
        (name for name, bound in (("few", _FEW), ("some", _SOME), ("many", _MANY)) if len(layers) <= bound),
        "dense",
    )
    shades = Shades.of(picture)
    rows = [(m, [_cell(picture.cells.get((layer, m)), size, 1, shades) for layer in layers]) for m in inside]
    rows += [(m, [_cell(picture.cells[("—", m)], size, max(1, len(layers)), shades)]) for m in outside]
    return Markup(
        macros("heat").heat(
            picture,
            size,
            list(_heads(layers, size)),
            rows,
            _joined(picture),
            _legend(picture, shades, size == "dense"),
        )
    )


@dataclass(frozen=True)
class Shades:
    """Where one shade ends and the next begins: each holds as many of the cells that moved as the others.

    `base` and `adapter` are the largest value of each shade, in order; empty where nothing of the kind moved.
    So what moved most is told from what moved least in every run, whatever its learning rate.
    """

    base: tuple[float, ...] = ()
    adapter: tuple[float, ...] = ()

    @classmethod
    def of(cls, picture: Heat) -> Shades:
        sizes = [_size(cell) for cell in picture.cells.values() if not cell.alone]
        return cls(*(_bounds([v for v, scale in sizes if scale == kind]) for kind in ("h", "a")))

    def colour(self, cell: Cell) -> str:
        """The CSS class of a cell.

        h0 unchanged, h1 to h5 how far the base moved, a1 to a5 what an adapter adds, hx no number,
        hu not measured, hn there on one side alone.
        """
        if cell.alone:
            return "hn"
        value, scale = _size(cell)
        if value is None:
            return "hu" if cell.changed or cell.adapter_moved else "h0"
        if not math.isfinite(value):
            return "hx"
        if value == 0:
            return "h0"
        bounds = self.base if scale == "h" else self.adapter
        place = next((n for n, bound in enumerate(bounds) if value <= bound), len(bounds) - 1)
        return f"{scale}{_class(place, len(bounds))}"

    def keys(self, scale: str) -> list[tuple[str, str]]:
        """(class, words) of each shade, the least first."""
        bounds = self.base if scale == "h" else self.adapter
        return [
            (f"{scale}{_class(n, len(bounds))}", f"≤\u00a0{_share(bound)}") for n, bound in enumerate(bounds)
        ]


def _bounds(values: Sequence[float | None]) -> tuple[float, ...]:
    moved = sorted(v for v in values if v and math.isfinite(v))
    if not moved:
        return ()
    if moved[-1] <= _ALIKE * moved[0]:
        return (moved[-1],)
    parts = min(_SHADES, len(moved))
    return tuple(dict.fromkeys(moved[math.ceil(len(moved) * n / parts) - 1] for n in range(1, parts + 1)))


def _class(place: int, count: int) -> int:
    """The number of a shade among the five: few are spread, and the most stands for the most."""
    return _SHADES - round((count - 1 - place) * (_SHADES - 1) / max(1, count - 1))


def _joined(picture: Heat) -> str:
    """What was drawn together, so that a cell is not taken for one parameter."""
    how = [f"a column stands for {picture.together} layers"] if picture.together > 1 else []
    return ", ".join(how + (["a line for all modules of one parent"] if picture.merged else []))


def _heads(layers: list[str], size: str) -> Iterator[dict[str, object]]:
    """A number over each column, over some where they are narrow; a screen reader hears all."""
    every = {"few": 1, "some": 1 if len(layers) <= 20 else 2, "many": 4, "dense": 16}[size]
    wide = size in ("many", "dense")  # a number needs more room than its column
    for place, layer in enumerate(layers):
        name = layer.partition("–")[0] if size == "dense" else layer
        if place % every == 0:
            yield {"name": name, "word": size == "few", "span": every if wide else 0, "alone": False}
        elif not wide:
            yield {"name": layer, "word": False, "span": 0, "alone": True}


def _cell(cell: Cell | None, size: str, span: int, shades: Shades) -> dict[str, object] | None:
    if cell is None:
        return None
    shown = ("" if size == "dense" and span == 1 else mark(cell)) + (
        f" {_percent(cell)}" if size == "few" or span > 8 else ""
    )
    style = f"{shades.colour(cell)}{' tr' if cell.trainable else ''}"
    return {"span": span, "style": style, "title": describe(cell), "shown": shown.strip()}


def _size(cell: Cell) -> tuple[float | None, str]:
    """How far the layer moved, and by what: the base's own change outweighs what an adapter adds."""
    if cell.changed:
        return cell.relative, "h"
    if cell.adapted:
        return cell.added if cell.adapter_moved or cell.added else 0.0, "a"
    return cell.relative or 0.0, "h"


def _percent(cell: Cell) -> str:
    value, scale = _size(cell)
    if cell.alone:
        return ""
    if not value:
        return "?" if value is None and cell.changed else ""
    about = "≈ " if scale == "a" else ""
    if not math.isfinite(value):
        return "not finite"
    if value >= 10:
        return f"{about}{value:.3g} ×"
    return f"{about}{100 * value:.0f} %" if value >= 0.1 else f"{about}{100 * value:.2g} %"


def mark(cell: Cell) -> str:
    """A sign, so that colour is never alone."""
    if cell.alone:
        return "+" if cell.alone == "added" else "−"
    return "●" if cell.adapter_moved else "○" if cell.adapted else ""


def describe(cell: Cell) -> str:
    where = cell.module if cell.layer == "—" else f"{cell.module}, layer {cell.layer}"
    share = "" if cell.relative is None or not cell.changed else f" by {_share(cell.relative)} of its norm"
    base = (
        f"base {'changed' if cell.changed else cell.alone or 'unchanged'}{share},"
        f" {'trainable' if cell.trainable else 'frozen'}"
    )
    moved = "moved" if cell.adapter_moved else "did not move"
    about = "" if cell.added is None else f", adds about {_share(cell.added)} of the base's norm"
    return f"{where}: {base}" + (f"; adapter {moved}{about}" if cell.adapted else "")


def _share(value: float) -> str:
    return f"{100 * value:.3g} %" if math.isfinite(value) else "a number that is not finite"


def _legend(picture: Heat, shades: Shades, dense: bool) -> dict[str, object]:
    """Only what the picture holds."""
    cells = list(picture.cells.values())
    used, signs = {shades.colour(cell) for cell in cells}, set() if dense else {mark(cell) for cell in cells}
    heads = (
        ("Base weight changed, in shares of its norm:", "h"),
        ("Adapter adds, in shares of the base weight's norm, estimated:", "a"),
    )
    scales = [{"head": head, "keys": keys} for head, scale in heads if (keys := shades.keys(scale))]
    rest = [
        (name, words)
        for name, words in (("h0", "unchanged"), ("hx", "not finite"), ("hu", "moved, not measured"))
        if name in used
    ]
    marks = (("●", "adapter, moved"), ("○", "adapter, did not move"), ("+", "added"), ("−", "removed"))
    shown = [(sign, words) for sign, words in marks if sign in signs]
    return {"scales": scales, "rest": rest, "marks": shown, "trainable": any(c.trainable for c in cells)}
