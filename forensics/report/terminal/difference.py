"""A comparison on a terminal.

Counts, a heat map of layers by modules, the largest changes, and what else differs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.text import Text

from forensics.judge.material import Cell, Heat
from forensics.records import ChangedParameter, Comparison, Row
from forensics.report.terminal.lines import clip, folded, hanging, number, safe, spread, table, visible

SHOWN = 8
_VERDICT = {
    True: ("SAME", "bold green"),
    False: ("DIFFERS", "bold yellow"),
    None: ("INCONCLUSIVE", "bold yellow"),
}
_SHADES = ((1e-4, "░", "blue"), (1e-2, "▒", "cyan"), (1e-1, "▓", "yellow"), (math.inf, "█", "red"))
_LEGEND = {
    "░": "< 0.01 %", "▒": "< 1 %", "▓": "< 10 %", "█": "more", "?": "not measured", "·": "unchanged",
    "○": "adapter", "●": "adapter moved", "+": "added", "-": "removed",
}  # fmt: skip


def comparison(c: Comparison, heat: Heat, width: int, *, everything: bool = False) -> Text:
    """What `diff` prints. `everything`: every difference instead of the largest."""
    verdict = _VERDICT[c.same]
    limit = 10**9 if everything else SHOWN
    blocks = [spread(Text.assemble(verdict, "  ", _counts(c)), f"{safe(c.a)} -> {safe(c.b)}", width)]
    if any(cell.changed or cell.adapted or cell.alone for cell in heat.cells.values()):
        blocks.append(heat_map(heat, width))
    if c.fusion is not None:
        blocks.append(hanging("Fused", _fused(c.fusion), width))
    if c.changed:
        blocks.append(_changed(c.changed, width, limit))
    blocks += [
        _names(head, names, width, limit)
        for head, names in (("Added", c.added), ("Removed", c.removed))
        if names
    ]
    if c.modules:
        blocks.append(_block("Modules", _grouped(c.modules, width), limit))
    for head, both in (("Adapter", c.adapter), ("Optimizer", c.optimizer)):
        if sides := _shortened(both):
            blocks.append(
                _block(
                    head,
                    (
                        hanging(key, f"{_side(v['a'])} -> {_side(v['b'])}", width, label=15)
                        for key, v in sides.items()
                    ),
                    limit,
                )
            )
    for head, rows, keys in (
        ("Settings", c.configs, ("kind", "key")),
        ("Environment", c.environment, ("key",)),
    ):
        if rows:
            summary = (
                hanging(
                    "",
                    f"{' '.join(safe(r[k]) for k in keys)}: {_side(r['a'])} -> {_side(r['b'])}",
                    width,
                    label=0,
                )
                for r in rows
            )
            blocks.append(_block(head, summary, limit))
    if c.transcripts:
        blocks.append(_block("Answers", _answers(c.transcripts, width), 3 * limit))
    if c.scores:
        blocks.append(_scores(c.scores, width, limit))
    return Text("\n\n").join(blocks)


def _fused(f: Row) -> str:
    """Whether b is base plus adapter, and what else it is."""
    layers, distance, k = f["layers"], float(f["apart"] or 0.0), float(f["k"] or 0.0)
    share = (
        f"the update of the adapter is in it {k:.2f} times,"
        f" {100 * distance:.2g} % off an exact replay ({layers} layers)"
    )
    others = f"; {f['others']} other parameters differ" if f["others"] else "; nothing else differs"
    packed = "; the weights are quantized, and rounded to their codes" if f["quantized"] else ""
    return f"{'base + adapter' if f['holds'] else 'not base + adapter'}: {share}{packed}{others}"


def _counts(c: Comparison) -> str:
    counts = {
        kind: c.parameters[kind]
        for kind in ("identical", "changed", "added", "removed")
        if c.parameters[kind]
    }
    if not counts:
        return "nothing to compare: no parameters were captured"
    return ", ".join(f"{n:,} {kind}" for kind, n in counts.items()) + (
        " parameter" if sum(counts.values()) == 1 else " parameters"
    )


# -- the picture ---------------------------------------------------------------------------------------------


def heat_map(heat: Heat, width: int) -> Text:
    """Modules down, layers across, one character a cell.

    What stands in no layer comes first, each module a line of its own.
    """
    blocks = [layer for layer in heat.layers if layer != "—"]
    label = min(28, max([len(m) for m in heat.modules], default=0))
    room = max(8, width - label - 6)
    together = max(1, math.ceil(len(blocks) / room))
    columns = [blocks[i : i + together] for i in range(0, len(blocks), together)]
    lines = [Text("What changed, by module and layer", "bold")]
    for module in sorted(heat.modules, key=lambda m: (("—", m) not in heat.cells, m)):
        line = Text("  " + clip(safe(module), label).ljust(label) + "  ")
        alone = heat.cells.get(("—", module))
        if alone is not None:
            line.append(*_shade([alone]))
        for group in columns if alone is None else ():
            line.append(*_shade([cell for layer in group if (cell := heat.cells.get((layer, module)))]))
        lines.append(line)
    if blocks:
        step = f", {together} layers a column" if together * heat.together > 1 else ""
        lines.append(Text(f"  {'':{label}}  layers {blocks[0]} to {blocks[-1]}{step}", "dim"))
    drawn = set("".join(line.plain[label + 4 :] for line in lines[1:]))
    lines += [
        Text(f"    {line}", "dim")
        for line in _flowing(
            [f"{sign} {words}" for sign, words in _LEGEND.items() if sign in drawn], width - 4
        )
    ]
    return Text("\n").join(lines)


def _flowing(items: Sequence[str], width: int) -> Iterator[str]:
    """Items on as many lines as they need, none broken."""
    line = ""
    for item in items:
        if line and cell_len(line) + 2 + cell_len(item) > width:
            yield line
            line = ""
        line += ("  " if line else "") + item
    yield line


def _shade(cells: Sequence[Cell]) -> tuple[str, str]:
    """The character and colour of one or several cells: the base weight's change outweighs the adapter's."""
    if not cells:
        return " ", ""
    if any(cell.changed for cell in cells):
        known = [cell.relative for cell in cells if cell.changed and cell.relative is not None]
        if not known:
            return "?", "red"
        # NaN is larger than any bound
        return next(((c, style) for bound, c, style in _SHADES if max(known) < bound), ("█", "red"))
    if alone := next((cell.alone for cell in cells if cell.alone), ""):
        return ("+", "green") if alone == "added" else ("-", "red")
    if any(cell.adapter_moved for cell in cells):
        return "●", "green"
    return ("○", "green") if any(cell.adapted for cell in cells) else ("·", "dim")


# -- the parts -----------------------------------------------------------------------------------------------


def _changed(changed: Sequence[ChangedParameter], width: int, limit: int) -> Text:
    order = sorted(
        changed,
        key=lambda p: (
            p.relative is None,
            -(p.relative if p.relative is not None and p.relative == p.relative else math.inf),
        ),
    )
    head = [
        "largest changes" if len(changed) > limit else "changed",
        "type",
        "relative",
        "max",
        "cosine",
        "elements",
    ]
    rows = [
        [
            p.name_b or p.name,
            p.dtype,
            number(p.relative),
            number(p.max_abs),
            number(p.cosine),
            _share(p.changed_fraction),
        ]
        for p in order[:limit]
    ]
    text = table(head, rows, width, right=(2, 3, 4, 5), names=(0,))
    return Text("\n").join([text, *_more(len(changed) - limit)])


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3g} %"


def _shortened(sides: Mapping[str, Row]) -> Mapping[str, Row]:
    """Of an optimizer that only one side has, that it is there and how far it went."""
    alone = "class" in sides and None in sides["class"].values()
    return {k: v for k, v in sides.items() if k in ("class", "step")} if alone else sides


def _names(head: str, names: Sequence[str], width: int, limit: int) -> Text:
    listed = [clip(safe(name), width - 4) for name in names[:limit]]
    return Text("\n").join(
        [
            Text(f"{head} ({len(names):,})", "bold"),
            *(Text(f"    {name}") for name in listed),
            *_more(len(names) - limit),
        ]
    )


def _grouped(modules: Iterable[Row], width: int) -> Iterator[Text]:
    """Modules that differ in the same way on one line."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row in modules:
        if row["key"] != "class" and None in (row["a"], row["b"]):
            continue  # an adapter's numbers, which stand under Adapter
        groups[str(row["key"]), _side(row["a"]), _side(row["b"])].append(str(row["module"]) or "the root")
    for (key, a, b), names in sorted(groups.items(), key=lambda item: -len(item[1])):
        examples = ", ".join(map(safe, names[:2])) + (", ..." if len(names) > 2 else "")
        yield hanging("", f"{key} {a} -> {b}: {len(names)} ({examples})", width, label=0)


def _answers(transcripts: Sequence[Row], width: int) -> Iterator[Text]:
    for t in transcripts:
        if t["same"]:
            yield hanging(safe(t["prompt_id"]), "the same answer" + _finish(t["finish_a"]), width, label=5)
            continue
        first = t["first_difference"]
        at = (
            "differs from the first token on"
            if first == 0
            else f"differs after {first} equal tokens"
            if first is not None
            else "differs"
        )
        yield hanging(
            safe(t["prompt_id"]),
            at + (f", KL {number(t['kl'])} nats" if isinstance(t["kl"], float) else ""),
            width,
            label=5,
        )
        for side in ("a", "b"):
            output = t[f"output_{side}"]
            rows = (
                clip(f"“{folded(visible(str(output)))}”", 2 * (width - 12))
                if output is not None
                else f"{t[f'tokens_{side}']} tokens"
            )
            yield hanging(f"  {side}", rows + _finish(t[f"finish_{side}"]), width, label=5)


def _finish(reason: object) -> str:
    return "" if reason == "stop" else f" ({safe(reason)})"


def _scores(scores: Sequence[Row], width: int, limit: int) -> Text:
    rows = [
        [r["prompt_id"], f"{r['scorer']} {r['key'] or ''}".strip(), r["a"], r["b"]] for r in scores[:limit]
    ]
    return Text("\n").join(
        [table(["answer", "score", "a", "b"], rows, width, right=(2, 3)), *_more(len(scores) - limit)]
    )


def _block(head: str, lines: Iterable[Text], limit: int) -> Text:
    body = list(lines)
    return Text("\n").join([Text(head, "bold"), *body[:limit], *_more(len(body) - limit)])


def _more(n: int) -> list[Text]:
    return [Text(f"    and {n:,} more: --all lists them", "dim")] if n > 0 else []


def _side(value: object) -> str:
    return "none" if value is None else clip(safe(value), 60)
