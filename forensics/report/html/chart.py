"""Loss and norms over steps, with the captured points marked: hand-made SVG, and the same numbers as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from forensics.judge.material import Step
from forensics.report.html.escape import text
from forensics.report.html.numbers import four as _number
from forensics.report.html.render import macros

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 440, 176, 46, 14, 10, 40
_ROWS = 40  # of the table
_FAR = 1e300


@dataclass(frozen=True)
class Series:
    """One run's steps, and the points (name, updates) at which it was captured."""

    name: str
    steps: Sequence[Step]
    points: Sequence[tuple[str, int]] = ()


_LINES: tuple[tuple[str, Callable[[Step], float | None], str], ...] = (
    ("Loss", lambda s: s.loss, "loss"),
    ("Norm of the update", lambda s: s.update_norm, "update"),
)


def charts(*series: Series) -> Markup:
    """The curves of one run, or of several on the same axes."""
    seen = [each for each in series if each.steps]
    if not seen:
        return Markup("<p>No update was seen.</p>")
    drawn = [
        chart(title, seen, value, hue)
        for title, value, hue in _LINES
        if any(value(s) is not None for each in seen for s in each.steps)
    ]
    tables = Markup().join(_table(each, len(seen) > 1) for each in seen)
    return Markup('<div class="charts">') + Markup().join(drawn) + Markup("</div>") + tables


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


def chart(title: str, series: Sequence[Series], value: Callable[[Step], float | None], hue: str) -> Markup:
    """One quantity over steps from zero up; the last of several runs is the solid line. What is not finite is marked, never left out."""
    known = [[(s.step, v) for s in each.steps if (v := value(s)) is not None] for each in series]
    every = [pair for line in known for pair in line]
    finite = [_drawn(v) for _, v in every if math.isfinite(v)]
    ticks = _ticks(min(0.0, min(finite, default=0.0)), max(finite, default=1.0))
    axes = _Axes(min(s for s, _ in every), max(s for s, _ in every), ticks[0], ticks[-1])
    said = [
        _said(each.name if len(series) > 1 else "", line)
        for each, line in zip(series, known, strict=True)
        if line
    ]
    lines = "".join(_line(line, axes, hue, dashed=n + 1 < len(series)) for n, line in enumerate(known))
    course = "; ".join(said)
    svg = Markup(  # made here of numbers and of texts that went through the filter
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{text(f"{title}: {course}")}">'
        f"{''.join(_tick(t, axes) for t in ticks)}{''.join(_marks(series[-1].points, axes))}{lines}{''.join(_bottom(axes))}</svg>"
    )
    return Markup(macros("chart").figure(title, course, series[0].name if len(series) > 1 else "", svg))


def _said(name: str, line: Sequence[tuple[int, float]]) -> str:
    bad = [s for s, v in line if not math.isfinite(v)]
    course = (
        f"{_number(line[0][1])} → {_number(line[-1][1])}"
        if len(line) > 1
        else f"{_number(line[0][1])} at step {line[0][0]}"
    )
    return (f"{name}: " if name else "") + course + (f", not finite from step {bad[0]} on" if bad else "")


def _line(line: Sequence[tuple[int, float]], axes: _Axes, hue: str, *, dashed: bool) -> str:
    """One stroke a stretch of finite values: a gap is a gap."""
    stretches: list[list[str]] = [[]]
    bad = []
    for step, value in line:
        if math.isfinite(value):
            stretches[-1].append(f"{axes.x(step):.1f},{axes.y(_drawn(value)):.1f}")
        else:
            stretches.append([])
            bad.append(
                f'<text class="nan" x="{axes.x(step):.1f}" y="{_TOP + 10}" text-anchor="middle">✕</text>'
            )
    style = f'class="line{" dashed" if dashed else ""}" style="stroke:var(--{hue})"'
    strokes = "".join(
        f'<polyline {style} points="{" ".join(points)}"/>' for points in stretches if len(points) > 1
    )
    few = (
        [p.split(",") for points in stretches for p in points]
        if len(line) <= 30 or any(len(p) == 1 for p in stretches)
        else []
    )
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2.6" style="fill:var(--{hue})"/>' for x, y in few)
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


def _tick(value: float, axes: _Axes) -> str:
    y = axes.y(value)
    return (
        f'<line class="{"axis" if value == axes.low else "grid"}" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{_number(round(value, 12))}</text>'
    )


def _marks(points: Sequence[tuple[str, int]], axes: _Axes) -> Iterator[str]:
    """Captured points under the axis; several at one step share a label, and no two labels lie on each other."""
    at: dict[int, list[str]] = {}
    for name, updates in points:
        at.setdefault(min(max(updates, axes.first), axes.last), []).append(name)
    taken = -1e9
    for step, names in sorted(at.items()):
        place = axes.x(step)
        yield f'<line class="point" x1="{place:.1f}" y1="{_TOP}" x2="{place:.1f}" y2="{_HEIGHT - _BOTTOM + 6}"/>'
        label = whole if len(whole := ", ".join(names)) <= 26 else f"{names[0]} +{len(names) - 1}"
        width = 6.2 * len(label)
        left = min(max(place - width / 2, _LEFT - 20), _WIDTH - width)
        if left > taken:
            taken = left + width + 8
            yield f'<text x="{left:.1f}" y="{_HEIGHT - 6}">{text(label)}</text>'


def _bottom(axes: _Axes) -> Iterator[str]:
    for step, anchor in {axes.first: "start", axes.last: "end"}.items():
        yield f'<text x="{axes.x(step):.1f}" y="{_HEIGHT - _BOTTOM + 17}" text-anchor="{anchor}">step {step:,}</text>'


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
