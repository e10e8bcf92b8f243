"""Lines for a terminal: text from evidence made harmless, hanging indents, tables, sparklines.

Right with wide characters.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

# C0 and C1 controls, bidirectional overrides and isolates, line separators, invisible marks
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_REPEATS = re.compile(r"(\S.{0,47}?)\1{3,}")
_SPARKS = "▁▂▃▄▅▆▇█"
LABEL = 9
INDENT = 4


def safe(text: object) -> str:
    """Text from evidence on one line, without control characters, direction overrides and invisible marks."""
    printable = str(text)
    return (
        printable
        if printable.isascii() and printable.isprintable()
        else _UNSAFE.sub("", re.sub(r"[\t\n\r]+", " ", printable))
    )


def cells(text: str) -> int:
    """How many cells of a terminal a text takes, without control characters.

    Most are ASCII, and their length says it.
    """
    return len(text) if text.isascii() else cell_len(text)


def visible(text: str) -> str:
    """An answer on one line with its line breaks shown."""
    return _UNSAFE.sub(
        "", text.replace("\r\n", "\n").replace("\n", "⏎").replace("\t", " ").replace("\r", "⏎")
    )


def folded(text: str) -> str:
    """A text in which what repeats back to back stands once, with how often: `<|endoftext|> ×24`."""
    return _REPEATS.sub(lambda m: f"{m[1]} ×{len(m[0]) // len(m[1])} ", text[:4000])


def clip(text: str, width: int) -> str:
    """At most `width` cells, with an ellipsis where something was cut."""
    if cells(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + "…"


def ending(text: object, width: int) -> str:
    """The end of a dotted name, which says more than its beginning."""
    printable = safe(text)
    while cells(printable) > width:
        printable = (
            "…" + printable.lstrip("…").partition(".")[2] if "." in printable else clip(printable, width)
        )
    return printable


def spread(left: Text, right: str, width: int) -> Text:
    """One line with its ends at both edges; two lines where they do not fit."""
    gap = width - cell_len(left.plain) - cell_len(right)
    return (
        Text.assemble(left, " " * gap, right)
        if gap >= 2
        else Text.assemble(left, "\n", " " * INDENT, clip(right, width - INDENT))
    )


def hanging(head: str, body: Text | str, width: int, *, label: int = LABEL) -> Text:
    """`head` in a column of its own, `label` wide, and `body` wrapped beside it."""
    text = body if isinstance(body, Text) else Text(body)
    room = max(24, width - INDENT - label)
    lines = text.wrap(_MEASURE, room)
    out = Text()
    for number, line in enumerate(lines):
        line.rstrip()
        out.append(" " * INDENT).append((head if number == 0 else "").ljust(label), "dim").append_text(line)
        if number + 1 < len(lines):
            out.append("\n")
    return out


def wrapped(text: Text, width: int) -> Text:
    """Lines of at most `width` cells."""
    lines = text.wrap(_MEASURE, width)
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)


_MEASURE = Console(file=io.StringIO(), width=200, color_system=None)


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    width: int,
    *,
    right: Iterable[int] = (),
    indent: int = 2,
    first: int = 0,
    names: Iterable[int] = (),
) -> Text:
    """Aligned columns; the widest gives way where the line is too long.

    Numbers stand to the right; long headings are stacked.

    `first` is a width below which the first column does not go; of columns in `names` a long cell keeps its
    end.
    """
    shown = [[shown_as(value) for value in row] for row in rows]
    numeric = set(right) | {
        i
        for i in range(len(head))
        if rows and all(isinstance(r[i], (int, float)) or r[i] is None for r in rows)
    }
    floors = [max(min(6, cell_len(h)), *map(cell_len, _stack(h))) for h in head]
    widths = [max([floor, *(cells(row[i]) for row in shown)]) for i, floor in enumerate(floors)]
    floors[:1] = [max(floors[0], min(first, widths[0]))]
    over = sum(widths) + 2 * (len(head) - 1) + indent - width
    while over > 0:
        spare = [(w, i) for i, w in enumerate(widths) if w > floors[i]]
        if not spare:
            break
        widths[max(spare)[1]] -= 1
        over -= 1
    stacked = [h if cell_len(h) <= w else _stack(h) for h, w in zip(head, widths, strict=True)]
    ends = set(names)
    if ends:
        shown = [
            [ending(value, widths[i]) if i in ends else value for i, value in enumerate(row)] for row in shown
        ]
    lines = (
        [Text(_line(row, widths, numeric, indent), "bold") for row in _heading(stacked)] if any(head) else []
    )
    lines += [Text("\n".join(_line(row, widths, numeric, indent) for row in shown))] if shown else []
    return Text("\n").join(lines)


def _stack(heading: str) -> list[str]:
    """A heading in lines: names are broken at `_`, what is no name, as count_star(), at spaces alone."""
    return (re.findall(r"_*[^_]+_?", heading) if re.fullmatch(r"\w+", heading) else heading.split()) or [
        heading
    ]


def _heading(stacked: Sequence[str | list[str]]) -> Iterator[list[str]]:
    """Headings of one or several lines, standing on one base line."""
    parts = [[h] if isinstance(h, str) else h for h in stacked]
    deep = max(map(len, parts))
    return ([("" if n < deep - len(p) else p[n - deep + len(p)]) for p in parts] for n in range(deep))


def fits(head: Sequence[str], rows: Sequence[Sequence[object]], width: int, *, indent: int = 2) -> bool:
    """Is there room for a table with whole headings, and a dozen characters of longer cells?"""
    needs = [
        max(*map(cell_len, _stack(h)), min(12, max((cell_len(shown_as(row[i])) for row in rows), default=0)))
        for i, h in enumerate(head)
    ]
    return sum(needs) + 2 * (len(head) - 1) + indent <= width


def _line(row: Sequence[str], widths: Sequence[int], numeric: set[int], indent: int) -> str:
    parts = []
    for i, (value, width) in enumerate(zip(row, widths, strict=True)):
        fitted = clip(value, width)
        pad = " " * (width - cells(fitted))
        parts.append(pad + fitted if i in numeric else fitted + pad)
    return " " * indent + "  ".join(parts).rstrip()


def shown_as(value: object) -> str:
    """A value of a table for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else safe(value)


def number(value: float | None) -> str:
    """A number for people: three digits; `-` where it was not measured."""
    if value is None:
        return "-"
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if value == 0 or 0.001 <= abs(value) < 1e6:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:.1e}"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """One character a step, averaged where there are more steps than room.

    `!` where a number is not finite, a space where it is none.
    """
    if not values:
        return ""
    size = max(1, math.ceil(len(values) / width))
    groups = [values[i : i + size] for i in range(0, len(values), size)]
    means = [_mean(group) for group in groups]
    finite = [m for m in means if m is not None and math.isfinite(m)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    return "".join(_spark(m, low, high) for m in means)


def _mean(group: Sequence[float | None]) -> float | None:
    known = [v for v in group if v is not None]
    # each share alone: a sum of numbers near 1e308 is none
    return sum(v / len(known) for v in known) if known else None


def _spark(value: float | None, low: float, high: float) -> str:
    if value is None:
        return " "
    if not math.isfinite(value):
        return "!"
    return (
        _SPARKS[0]
        if high / 2 == low / 2
        else _SPARKS[min(7, int(8 * ((value / 2 - low / 2) / (high / 2 - low / 2))))]
    )


def rendered(text: Text, width: int = 80, *, color: bool = False) -> str:
    """The text as a terminal of that width shows it, for tests and for notebooks."""
    out = io.StringIO()
    Console(
        file=out,
        width=max(width, 1),
        color_system="standard" if color else None,
        force_terminal=color,
        soft_wrap=True,
    ).print(text)
    return out.getvalue()
