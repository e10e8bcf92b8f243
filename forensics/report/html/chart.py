"""Loss and norms over steps as hand-made SVG, and the same numbers as a table.

The captured points are marked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from forensics.judge.material import Step
from forensics.report.html.escape import text
from forensics.report.html.numbers import four as _number
from forensics.report.html.numbers import percent
from forensics.report.html.render import macros

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 440, 176, 46, 14, 10, 40
_ROWS = 40  # of the table
_FAR = 1e300


@dataclass(frozen=True)
class Series:
    """One run's steps, and the points (name, updates) at which it was captured.

    `validation`: (updates, loss) of its evaluations, drawn where the run stands alone.
    """

    name: str
    steps: Sequence[Step]
    points: Sequence[tuple[str, int]] = ()
    validation: Sequence[tuple[int, float]] = ()


Value = Callable[[Step], float | None]


@dataclass(frozen=True)
class Quantity:
    """What one chart draws of each step; `fitted`: its axis holds the values alone, not zero as well."""

    title: str
    value: Value
    hue: str
    fitted: bool = False


_QUANTITIES = (
    Quantity("Loss", lambda s: s.loss, "loss", fitted=True),
    Quantity("Learning rate", lambda s: s.learning_rate, "other"),
    Quantity("Norm of the gradient", lambda s: s.gradient_norm, "update"),
    Quantity("Norm of the update", lambda s: s.update_norm, "update"),
)
_HUES = ("loss", "pad", "end", "other", "prompt")
"""What several runs are told apart by; after them they are dashed."""
_ROLES: tuple[tuple[str, Value, str], ...] = (
    ("prompt", lambda s: s.prompt, "prompt"),
    ("answer", lambda s: s.answer, "answer"),
    ("end", lambda s: s.end, "end"),
    ("padding", lambda s: s.pad, "pad"),
)


@dataclass(frozen=True)
class Line:
    """One curve: its name where there are several, its (step, value) pairs, its colour."""

    name: str
    pairs: Sequence[tuple[int, float]]
    hue: str
    dashed: bool = False


def charts(*series: Series) -> Markup:
    """The curves of one run, or of several on the same axes."""
    seen = [curve for curve in series if curve.steps]
    if not seen:
        return Markup("<p>No update was seen.</p>")
    of_runs = [(quantity, _of_runs(quantity, seen)) for quantity in _QUANTITIES]
    if len(seen) == 1 and seen[0].validation:
        loss, (training,) = of_runs[0]
        validation = Line("validation", seen[0].validation, "other")
        of_runs[0] = (loss, [replace(training, name="training"), validation])
    drawn = [_figure(each.title, lines, seen, fitted=each.fitted) for each, lines in of_runs if _moves(lines)]
    drawn += [
        _figure(
            f"Share of the loss{f' in {each.name}' if len(seen) > 1 else ''}", roles, [each], written=percent
        )
        for each in seen
        if _moves(roles := _of_roles(each))
    ]
    still = [
        (each.title, _still(lines))
        for each, lines in of_runs
        if not _moves(lines) and any(x.pairs for x in lines)
    ]
    tables = Markup().join(_table(item, len(seen) > 1) for item in seen)
    return Markup(macros("chart").charts(drawn, still)) + tables


def _moves(lines: Sequence[Line]) -> bool:
    """Is there a course to draw: a curve that is not the same all along, or has one step alone?"""
    return any(len(line.pairs) == 1 or len({v for _, v in line.pairs}) > 1 for line in lines)


def _still(lines: Sequence[Line]) -> str:
    """The value that each run has throughout."""
    return "; ".join(
        f"{line.name}: {_number(line.pairs[0][1])}".removeprefix(": ") for line in lines if line.pairs
    )


def _of_runs(quantity: Quantity, series: Sequence[Series]) -> list[Line]:
    """One quantity of each run: of two the last is the solid line; of more each has its colour."""
    if len(series) > 2:
        return [
            Line(each.name, pairs(each.steps, quantity.value), _HUES[n % len(_HUES)], n >= len(_HUES))
            for n, each in enumerate(series)
        ]
    return [
        Line(
            each.name if len(series) > 1 else "",
            pairs(each.steps, quantity.value),
            quantity.hue,
            n < len(series),
        )
        for n, each in enumerate(series, 1)
    ]


def _of_roles(series: Series) -> list[Line]:
    """What each kind of token weighs in one run's loss; nothing where it is the answer alone."""
    lines = [Line(name, pairs(series.steps, value), hue) for name, value, hue in _ROLES]
    weighed = [line for line in lines if any(share for _, share in line.pairs)]
    return weighed if len(weighed) > 1 else []


def pairs(steps: Sequence[Step], value: Value) -> list[tuple[int, float]]:
    return [(s.step, v) for s in steps if (v := value(s)) is not None]


@dataclass(frozen=True)
class _Axes:
    first: int
    last: int
    low: float
    high: float

    def x(self, step: float) -> float:
        share = (step - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * share

    def y(self, value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (value - self.low) / ((self.high - self.low) or 1.0))


def _figure(
    title: str,
    lines: Sequence[Line],
    series: Sequence[Series],
    *,
    fitted: bool = False,
    written: Callable[[float], str] = _number,
) -> Markup:
    """Some curves over steps, their values as `written`. What is not finite is marked, never left out."""
    every = [pair for line in lines for pair in line.pairs]
    finite = [_drawn(v) for _, v in every if math.isfinite(v)]
    low = min(finite, default=0.0)
    ticks = _ticks(low if fitted else min(0.0, low), max(finite, default=1.0))
    axes = _Axes(min(s for s, _ in every), max(s for s, _ in every), ticks[0], ticks[-1])
    course = "; ".join(_description(line, written) for line in lines if line.pairs)
    drawn = "".join(_line(line, axes) for line in lines)
    svg = Markup(  # made here of numbers and of texts that went through the filter
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{text(f"{title}: {course}")}">'
        f"{''.join(_tick(t, axes, written) for t in ticks)}{''.join(_marks(series[-1].points, axes))}{drawn}"
        f"{''.join(_bottom(axes))}</svg>"
    )
    dashed = ", ".join(line.name for line in lines if line.dashed)
    return Markup(macros("chart").figure(title, _keys(lines, course, written), dashed, svg))


def _keys(lines: Sequence[Line], course: str, written: Callable[[float], str]) -> str | Markup:
    """What the curves are: their course in words, each beside its colour where they have several."""
    if len({line.hue for line in lines}) < 2:
        return course
    return Markup(macros("chart").keys([(line.hue, _description(line, written)) for line in lines]))


def _description(line: Line, written: Callable[[float], str]) -> str:
    pairs = line.pairs
    bad = [s for s, v in pairs if not math.isfinite(v)]
    course = (
        f"{written(pairs[0][1])} → {written(pairs[-1][1])}"
        if len(pairs) > 1
        else f"{written(pairs[0][1])} at step {pairs[0][0]}"
    )
    return (
        (f"{line.name}: " if line.name else "")
        + course
        + (f", not finite from step {bad[0]} on" if bad else "")
    )


def _line(line: Line, axes: _Axes) -> str:
    """One stroke a stretch of finite values: a gap is a gap."""
    stretches: list[list[str]] = [[]]
    bad = []
    for step, value in line.pairs:
        if math.isfinite(value):
            stretches[-1].append(f"{axes.x(step):.1f},{axes.y(_drawn(value)):.1f}")
        else:
            stretches.append([])
            bad.append(
                f'<text class="nan" x="{axes.x(step):.1f}" y="{_TOP + 10}" text-anchor="middle">✕</text>'
            )
    style = f'class="line{" dashed" if line.dashed else ""}" style="stroke:var(--{line.hue})"'
    strokes = "".join(
        f'<polyline {style} points="{" ".join(points)}"/>' for points in stretches if len(points) > 1
    )
    few = (
        [p.split(",") for points in stretches for p in points]
        if len(line.pairs) <= 30 or any(len(p) == 1 for p in stretches)
        else []
    )
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2.6" style="fill:var(--{line.hue})"/>' for x, y in few)
    return strokes + dots + "".join(bad)


def _drawn(value: float) -> float:
    """Where a value is drawn: at the edge where differences of such numbers are no numbers any more."""
    return max(-_FAR, min(_FAR, value))


def _ticks(low: float, high: float) -> list[float]:
    """Two to four round numbers that hold the values between them."""
    span = (high - low) or abs(high) or 1.0
    power: float = 10.0 ** math.floor(math.log10(span / 3))
    step = next((power * m for m in (1, 2, 5, 10) if span / (power * m) <= 3), power * 10)
    start = math.floor(low / step)
    return [step * n for n in range(start, math.ceil(high / step - 1e-9) + 1 or start + 2)] or [0.0, 1.0]


def _tick(value: float, axes: _Axes, written: Callable[[float], str]) -> str:
    y = axes.y(value)
    return (
        f'<line class="{"axis" if value == axes.low else "grid"}" x1="{_LEFT}" y1="{y:.1f}"'
        f' x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/><text x="{_LEFT - 7}" y="{y + 4:.1f}"'
        f' text-anchor="end">{written(round(value, 12))}</text>'
    )


def _marks(points: Sequence[tuple[str, int]], axes: _Axes) -> Iterator[str]:
    """Captured points under the axis.

    Several at one step share a label, and no two labels lie on each other: the first and the last have
    theirs, of those between as many as find room.
    """
    at: dict[int, list[str]] = {}
    for name, updates in points:
        at.setdefault(min(max(updates, axes.first), axes.last), []).append(name)
    labels = []
    for step, names in sorted(at.items()):
        place = axes.x(step)
        yield (
            f'<line class="point" x1="{place:.1f}" y1="{_TOP}" x2="{place:.1f}"'
            f' y2="{_HEIGHT - _BOTTOM + 6}"/>'
        )
        label = whole if len(whole := ", ".join(names)) <= 26 else f"{names[0]} +{len(names) - 1}"
        width = 6.2 * len(label)
        labels.append((min(max(place - width / 2, _LEFT - 20), _WIDTH - width), width, label))
    taken: list[tuple[float, float]] = []
    for left, width, label in [*labels[:1], *labels[:0:-1]]:
        if all(left >= end + 8 or left + width + 8 <= begin for begin, end in taken):
            taken.append((left, left + width))
            yield f'<text x="{left:.1f}" y="{_HEIGHT - 6}">{text(label)}</text>'


def _bottom(axes: _Axes) -> Iterator[str]:
    for step, anchor in {axes.first: "start", axes.last: "end"}.items():
        yield (
            f'<text x="{axes.x(step):.1f}" y="{_HEIGHT - _BOTTOM + 17}" text-anchor="{anchor}">step'
            f" {step:,}</text>"
        )


def _table(series: Series, named: bool) -> Markup:
    steps = series.steps
    shown = (
        list(steps)
        if len(steps) <= _ROWS
        else [steps[round(i * (len(steps) - 1) / (_ROWS - 1))] for i in range(_ROWS)]
    )
    rows = [
        (s.step, *map(_number, (s.loss, s.learning_rate, s.gradient_norm, s.update_norm, s.pad)))
        for s in shown
    ]
    some = f", {len(shown)} of {len(steps):,} steps" if len(shown) < len(steps) else ""
    return Markup(macros("chart").numbers(f" of {series.name}" if named else "", some, rows))
