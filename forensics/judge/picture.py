"""What changed, as a picture: layers by modules, and how much an adapter adds to its weight."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from forensics.judge.material import Cell, Heat
from forensics.judge.pair import Session, paired

MAX_CELLS = 3000  # layers times modules; beyond it layers are drawn together
MAX_LAYERS = 128  # columns that a page has room for
MAX_MODULES = 120  # beyond it modules of one parent are drawn together
_INDEX = re.compile(r"(?<=\.)\d+(?=\.|$)")
_LEAVES = {"weight", "bias", "scales", "biases", "lora_a", "lora_b", "m"}

_PAIRS = """
SELECT p.canonical, p.layer, p.role, p.trainable_b AS trainable, p.status, d.relative
FROM paired p
LEFT JOIN deltas d ON d.digest_a = p.key_a AND d.digest_b = p.key_b"""

_ORDER = "SELECT canonical FROM placements WHERE capture IN (capture_of(?), capture_of(?)) ORDER BY rowid"

# A product of factors that know nothing of each other has their norms over the root of the rank: an estimate,
# and called one.
_ADDED = """
WITH l AS (
    SELECT regexp_replace(p.canonical, '\\.[^.]*$', '') AS canonical, p.layer,
        max(p.l2) FILTER (p.role = 'lora_a') AS a_, max(p.l2) FILTER (p.role = 'lora_b') AS b_,
        max(p.l2) FILTER (
            p.leaf = 'weight' AND p.role IN ('base', 'embedding', 'head') AND p.dtype NOT IN ('U32', 'U8')
        ) AS base
    FROM parameters p WHERE p.capture = capture_of(?) GROUP BY ALL
), m AS (
    SELECT canonical, max(scale) AS scale, max(rank) AS rank FROM modules
    WHERE capture = capture_of(?) AND rank > 0 GROUP BY canonical
)
SELECT l.canonical, l.layer, m.scale * l.a_ * l.b_ / sqrt(m.rank) / nullif(l.base, 0) AS added
FROM l JOIN m USING (canonical) WHERE added IS NOT NULL"""


def heat(session: Session, a: str, b: str) -> Heat:
    """Layers by modules, with the relative change of each.

    Experts and other numbered parts of a block share one line.
    """
    cells: dict[tuple[str, str], Cell] = {}
    order = {str(r["canonical"]): i for i, r in enumerate(session.rows(_ORDER, [a, b]))}
    paired(session, a, b)
    pairs = session.rows(_PAIRS)
    for r in sorted(pairs, key=lambda r: order.get(str(r["canonical"]), len(order))):
        layer, module = _place(str(r["canonical"]), r["layer"])
        cells[layer, module] = _joined(cells.get((layer, module)), layer, module, r)
    for r in session.rows(_ADDED, [b, b]):
        place = _place(f"{r['canonical']}.weight", r["layer"])
        added = r["added"]
        if place in cells and isinstance(added, float):
            cells[place] = replace(cells[place], added=max(added, cells[place].added or 0.0))
    return coarse(Heat(_layers(cells), tuple(dict.fromkeys(k[1] for k in cells)), cells, 1, len(pairs)))


def _layers(cells: Mapping[tuple[str, str], Cell]) -> tuple[str, ...]:
    return tuple(
        sorted(
            {k[0] for k in cells},
            key=lambda each: (not each.isdigit(), int(each) if each.isdigit() else 0, each),
        )
    )


def _place(canonical: str, layer: object) -> tuple[str, str]:
    """(block, module inside it) of a parameter.

    What stands in no block is at layer — under its whole name.
    """
    parts = canonical.split(".")
    module = parts[:-1] if parts[-1] in _LEAVES and len(parts) > 1 else parts
    if layer is not None and str(layer) in module:
        inside = module[module.index(str(layer)) + 1 :]
        return str(layer), _INDEX.sub("*", "." + ".".join(inside))[1:] or "block"
    return "—", ".".join(module)


def _joined(cell: Cell | None, layer: str, module: str, r: Mapping[str, object]) -> Cell:
    adapter = r["role"] in ("lora_a", "lora_b", "dora_m")
    status, relative = str(r["status"]), r["relative"]
    alone = status if status in ("added", "removed") and not adapter else ""
    changed = status != "identical" and not alone
    value = (
        None
        if adapter or alone
        else float(relative)
        if isinstance(relative, (int, float))
        else None
        if changed
        else 0.0
    )
    trainable = bool(r["trainable"] and not adapter)
    one = Cell(
        layer, module, value, changed and not adapter, trainable, adapter, adapter and changed, alone=alone
    )
    return one if cell is None else together([cell, one], layer, module)


def together(cells: Sequence[Cell], layer: str, module: str) -> Cell:
    """Several parameters in one cell: the largest change stands for them.

    What is no number is larger than any.
    """
    changed = any(c.changed for c in cells)
    return Cell(
        layer, module, _largest([c.relative for c in cells]), changed, any(c.trainable for c in cells),
        any(c.adapted for c in cells), any(c.adapter_moved for c in cells),
        _largest([c.added for c in cells]), "" if changed else next((c.alone for c in cells if c.alone), ""),
    )  # fmt: skip


def _largest(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return max(known, key=lambda v: math.inf if math.isnan(v) else v, default=None)


# -- too many to draw one by one -----------------------------------------------------------------------------


def coarse(picture: Heat) -> Heat:
    """The picture with at most MAX_MODULES lines, MAX_LAYERS columns and MAX_CELLS cells.

    Modules of one parent are joined first, then layers.
    """
    cells: Mapping[tuple[str, str], Cell] = picture.cells
    modules, depth = picture.modules, max((m.count(".") for m in picture.modules), default=0)
    while len(modules) > MAX_MODULES and depth >= 0:
        names = {m: _parent(m, depth) for m in modules}
        cells = _merged(cells, {}, names)
        modules, depth = tuple(dict.fromkeys(names.values())), depth - 1
    merged = modules != picture.modules
    blocks, step = [layer for layer in picture.layers if layer != "—"], 1
    while step < len(blocks) and (
        len(blocks) / step > MAX_LAYERS or len(blocks) / step * len(modules) > MAX_CELLS
    ):
        step *= 2
    if step > 1:
        groups = [blocks[i : i + step] for i in range(0, len(blocks), step)]
        cells = _merged(
            cells, {layer: g[0] if len(g) == 1 else f"{g[0]}–{g[-1]}" for g in groups for layer in g}, {}
        )
    layers = tuple(dict.fromkeys(key[0] for key in sorted(cells, key=lambda k: _first(k[0]))))
    return replace(picture, layers=layers, modules=modules, cells=cells, together=step, merged=merged)


def _parent(module: str, depth: int) -> str:
    """A module as one of its parent's parts: only the deepest names give way, one level at a time."""
    parts = module.removesuffix(".*").split(".")
    if len(parts) <= depth:
        return module
    return ".".join([*parts[:depth], "*"]) if depth else "*"


def _first(layer: str) -> tuple[bool, int]:
    number = layer.partition("–")[0]
    return not number.isdigit(), int(number) if number.isdigit() else 0


def _merged(
    cells: Mapping[tuple[str, str], Cell], layers: Mapping[str, str], modules: Mapping[str, str]
) -> dict[tuple[str, str], Cell]:
    groups: dict[tuple[str, str], list[Cell]] = {}
    for (layer, module), cell in cells.items():
        groups.setdefault((layers.get(layer, layer), modules.get(module, module)), []).append(cell)
    return {key: together(group, *key) for key, group in groups.items()}
