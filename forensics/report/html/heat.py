"""What changed, as a picture: modules down, layers across, coloured by relative change, adapters and the trainable set marked."""

from __future__ import annotations

import math

from forensics.judge.material import Cell, Heat
from forensics.report.html.escape import text

_STEPS = ((1e-4, "< 0.01 %"), (1e-3, "< 0.1 %"), (1e-2, "< 1 %"), (1e-1, "< 10 %"), (math.inf, "10 % and more"))
_FEW, _SOME, _MANY = 10, 40, 64  # columns: with numbers in the cells; with marks; narrow; beyond, colour alone


def heat(picture: Heat) -> str:
    if not picture.cells:
        return "<p>No parameters were captured at both.</p>"
    layers = [layer for layer in picture.layers if layer != "—"]
    inside = [m for m in picture.modules if any((layer, m) in picture.cells for layer in layers)]
    outside = [m for m in picture.modules if ("—", m) in picture.cells]
    size = next((name for name, bound in (("few", _FEW), ("some", _SOME), ("many", _MANY)) if len(layers) <= bound), "dense")
    lone = "".join(_row(picture, m, ["—"], size, max(1, len(layers))) for m in outside)
    body = "".join(_row(picture, m, layers, size, 1) for m in inside)
    head = f'<thead><tr><th><span class="vh">module</span></th>{_heads(layers, size)}</tr></thead>' if layers else ""
    return (
        _legend(picture) + _joined(picture) + '<div class="scroll" tabindex="0" role="group" aria-label="change by module and layer">'
        f'<table class="heat {size}"><caption class="vh">Change of each module (down) in each layer (across)</caption>{head}'
        f"<tbody>{body}{lone}</tbody></table></div>"
    )


def _joined(picture: Heat) -> str:
    """What was drawn together, so that a cell is not taken for one parameter."""
    if picture.together == 1 and not picture.merged:
        return ""
    how = [f"a column stands for {picture.together} layers"] if picture.together > 1 else []
    how += ["a line for all modules of one parent"] if picture.merged else []
    return (
        f'<p class="soft small">{picture.parameters:,} parameters are too many to draw one by one: {", ".join(how)}; '
        "a cell shows the largest change in it.</p>"
    )


def _heads(layers: list[str], size: str) -> str:
    """A number over each column, over some where they are narrow; a screen reader hears all."""
    every = {"few": 1, "some": 1 if len(layers) <= 20 else 2, "many": 4, "dense": 16}[size]
    word = "layer " if size == "few" else '<span class="vh">layer </span>'
    seen = (f"{word}{text(layer.partition('–')[0] if size == 'dense' else layer)}" for layer in layers)
    hidden = (f'<span class="vh">layer {text(layer)}</span>' for layer in layers)
    wide = f' colspan="{every}"' if size in ("many", "dense") else ""
    if wide:  # a number needs more room than its column
        return "".join(f'<th scope="col"{wide} style="text-align:left">{name}</th>' for i, name in enumerate(seen) if i % every == 0)
    return "".join(
        f'<th scope="col">{name if i % every == 0 else alone}</th>' for i, (name, alone) in enumerate(zip(seen, hidden, strict=True))
    )


def _row(picture: Heat, module: str, layers: list[str], size: str, span: int) -> str:
    cells = "".join(_cell(picture.cells.get((layer, module)), size, span) for layer in layers)
    return f'<tr><th scope="row" title="{text(module)}">{text(module)}</th>{cells}</tr>'


def _cell(cell: Cell | None, size: str, span: int) -> str:
    if cell is None:
        return '<td class="hg"></td>'
    shown = ("" if size == "dense" and span == 1 else mark(cell)) + (f" {_percent(cell)}" if size == "few" or span > 8 else "")
    wide = f' colspan="{span}"' if span > 1 else ""
    return f'<td{wide} class="{colour(cell)}{" tr" if cell.trainable else ""}" title="{text(describe(cell))}">{shown.strip()}</td>'


def colour(cell: Cell) -> str:
    """Class of a cell: h0 unchanged, h1 to h5 how far the base moved, a1 to a5 what an adapter adds, hx no number, hu not
    measured, hn there on one side alone."""
    if cell.alone:
        return "hn"
    value, scale = _size(cell)
    if value is None:
        return "hu" if cell.changed or cell.adapter_moved else "h0"
    if not math.isfinite(value):
        return "hx"
    return "h0" if value == 0 else next(f"{scale}{n}" for n, (bound, _) in enumerate(_STEPS, 1) if value < bound)


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
    base = f"base {'changed' if cell.changed else cell.alone or 'unchanged'}{share}, {'trainable' if cell.trainable else 'frozen'}"
    moved = "moved" if cell.adapter_moved else "did not move"
    about = "" if cell.added is None else f", adds about {_share(cell.added)} of the base's norm"
    return f"{where}: {base}" + (f"; adapter {moved}{about}" if cell.adapted else "")


def _share(value: float) -> str:
    return f"{100 * value:.3g} %" if math.isfinite(value) else "a number that is not finite"


def _legend(picture: Heat) -> str:
    """Only what the picture holds."""
    cells = list(picture.cells.values())
    used = {colour(cell) for cell in cells}
    lines = []
    for head, scale in (("Base weight changed, over its norm:", "h"), ("Adapter adds, estimated from its factors:", "a")):
        if used & {f"{scale}{n}" for n in range(1, 6)}:
            lines.append(f"<span>{head}</span>" + "".join(_key(f"{scale}{n}", words) for n, (_, words) in enumerate(_STEPS, 1)))
    rest = [_key(name, words) for name, words in (("h0", "unchanged"), ("hx", "not finite"), ("hu", "moved, not measured")) if name in used]
    signs = {mark(cell) for cell in cells}
    marks = (("●", "adapter, moved"), ("○", "adapter, did not move"), ("+", "added"), ("−", "removed"))
    rest += [f"<span>{sign} {words}</span>" for sign, words in marks if sign in signs]
    if any(c.trainable for c in cells):
        rest.append(_key("h0 tr", "base weight in the trainable set"))
    return "".join(f'<p class="legend">{line}</p>' for line in [*lines, "".join(rest)] if line)


def _key(name: str, words: str) -> str:
    return f'<span><span class="key {name}"></span>{words}</span>'
