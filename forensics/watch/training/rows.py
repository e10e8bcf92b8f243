"""From the taps of a step to rows: which token of which row carries which weight in the loss.

Kept steps give every position (`forwards`); all steps give the same in brief (`weights`), beside each
distinct row once (`rows`).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

from ..capture import facts
from ..capture.probe import Words
from ..generation.record import answers
from ..models import Model
from ..originals import hashlib, math, statistics
from ..run import watch
from ..trees import mx
from . import encoded, groups, handed, hidden
from .event import Event, Step, other_reading

_FULL = 32  # forwards of a kept step whose positions are written in full
_ROWS = 64 << 20  # bytes of `rows` at most
_EQUAL = 0.1  # neighbours whose weights differ by less are one run
_WHOLE = 0.01  # probabilities of one position sum to 1 within this, also in 16 bits
_HELD = 16  # gradients of a step of which small arrays are held

_numbers: dict[bytes, int] = {}  # row -> its number in `rows`
_written = 0
_spelled: dict[str, set[int]] = {}  # model -> tokens whose text is in `words`


@dataclass
class _Seen:
    """What the gradients of one step show."""

    tokens: int = 0
    total: float = 0.0
    mass: float = 0.0
    unexplained: float = 0.0  # of the mass
    read: float = 1.0  # the smallest share of a forward's positions that was read
    equal: int = 0
    equal_outside: int = 0
    silent: int | None = 0  # None: of one gradient it is not known
    outside: int = 0
    drawn: int = 0
    masks: list[int | None] = field(default_factory=list)  # positions left by the mask of a loss that is NaN
    softmaxed: list[list[float]] = field(default_factory=list)
    shaped: list[list[float]] = field(default_factory=list)
    taught: list[float] = field(default_factory=list)
    handed: list[list[Any]] = field(default_factory=list)
    coefficients: list[float] = field(default_factory=list)
    groups: list[list[int]] = field(default_factory=list)
    divergences: list[list[float]] = field(default_factory=list)
    other: str | None = None  # what the loss may have taken for the model's head: bare, table


def write(step: Step, partly: bool) -> None:
    """Write the forwards of the step's gradients, and keep what its row in `steps` needs."""
    seen = step.seen = step.seen or _Seen()
    for event in step.gradients:
        value = facts.number(event.arrays.get("value"))
        if value is not None:
            step.losses.append(value)
            if not math.isfinite(value):
                seen.masks.append(event.facts.get("mask_left"))
        seen.handed.append(event.facts.get("handed", []))
        given = event.facts.get("small", [])
        if (largest := handed.coefficient(given)) is not None:
            seen.coefficients.append(largest)
        if (grouped := groups.mixed(given)) is not None:
            seen.groups.append(grouped)
        if len(step.small) < _HELD:
            step.small.append(event.arrays["small"])
        equal, outside = _equal(event)
        seen.equal += equal
        seen.equal_outside += outside
        seen.silent = None if event.unread or seen.silent is None else seen.silent + _silent(event)
        seen.outside += len(event.arrays.get("before", []))
        seen.drawn += _drawn(step.model, event)
        for tap in event.arrays["taps"]:
            _forward(step, tap, seen)
            step.forwards += 1


def totals(step: Step) -> dict[str, Any]:
    """Columns of `steps`: over all positions of the step's forwards."""
    seen = step.seen or _Seen()
    counts: dict[str, Any] = {
        "forwards": step.forwards,
        "equal_forwards": seen.equal,
        "equal_outside": seen.equal_outside,
        "silent_forwards": seen.silent,
        "outside_forwards": seen.outside,
        "drawn_rows": seen.drawn,
    }
    if not step.forwards:
        return counts
    if seen.coefficients and seen.drawn:
        counts["coefficient"] = max(seen.coefficients)
    if seen.groups:
        counts["group_rows"], counts["groups"], counts["mixed_groups"] = max(seen.groups, key=lambda g: g[2])
    residual = seen.unexplained / seen.mass if seen.mass else None
    columns = {"tokens": seen.tokens, "weight_sum": seen.total, "residual": residual, "read": seen.read}
    counted = [count for count in seen.masks if count is not None]
    if counted:
        columns["mask_left"] = min(counted)
    return {**columns, **counts, **_twice(seen), **_without(step, seen), **_taught(step, seen)}


def _taught(step: Step, seen: _Seen) -> dict[str, Any]:
    """Columns of `steps`: the loss that the gradient at the logits is of, and the numbers it was handed.

    There are none where a position of the step was not read.
    """
    if len(seen.taught) != step.forwards or not all(map(math.isfinite, seen.taught)):
        return {}
    far = seen.divergences if len({len(each) for each in seen.divergences}) == 1 else []
    sums = [sum(column) / max(step.count, 1) for column in zip(*far, strict=True)]
    return {
        "loss_taught": sum(seen.taught) / max(step.count, 1),
        "divergences": sums if sums and all(map(math.isfinite, sums)) else None,
        "handed": handed.means(seen.handed) if len(seen.handed) == step.count else None,
    }


def _without(step: Step, seen: _Seen) -> dict[str, Any]:
    """Columns of `steps`: does the loss take something else for the head that makes the model's logits?

    There are none where the step was not kept, or the loss is taken on logits.
    """
    if not seen.shaped or len(seen.shaped) != step.forwards:
        return {}
    own, bare, of_own, of_bare = zip(*seen.shaped, strict=True)
    return {
        "other_head": seen.other,
        "residual_shaped": statistics.median(own),
        "residual_bare": statistics.median(bare),
        "loss_shaped": sum(of_own) / max(step.count, 1),
        "loss_bare": sum(of_bare) / max(step.count, 1),
    }


def _twice(seen: _Seen) -> dict[str, Any]:
    """Columns of `steps`: does the loss take a softmax of what is a softmax already?

    There are none where the step was not kept.
    """
    if not seen.softmaxed:
        return {}
    once, twice, least, sums = zip(*seen.softmaxed, strict=True)
    return {
        "weight_spread": statistics.median(once),
        "softmax_spread": statistics.median(twice),
        "probabilities": min(least) >= 0 and max(sums) < _WHOLE,
    }


def _forward(step: Step, tap: dict[str, Any], seen: _Seen) -> None:
    form = "full" if "full" in tap else "brief"
    read = hidden.chosen(tap, form)
    if "losses" in read:
        seen.other, other = other_reading(tap)
        own, bare = (hidden.unexplained(each) for each in (tap["full"], other["full"]))
        seen.shaped.append([own, bare, *(float(each) for each in read["losses"].tolist())])
    tokens, share = None, 1.0
    if "places" in read:
        read, tokens, share = _spread(read)
        seen.read = min(seen.read, share)
    target, weight, residual, mass = (
        _table(read[name], "ids" in tap) for name in ("target", "weight", "residual", "mass")
    )
    ids = _table(tap["ids"], True) if "ids" in tap else None
    if "softmaxed" in read:
        seen.softmaxed.append([float(number) for number in read["softmaxed"].tolist()])
    if "taught" in read:
        seen.taught.append(float(read["taught"].item()))
    if "divergences" in read:
        seen.divergences.append(read["divergences"].tolist())
    live = [
        (w, r, m)
        for three in zip(weight, residual, mass, strict=True)
        for w, r, m in zip(*three, strict=True)
        if w != 0
    ]
    seen.tokens += len(live) if tokens is None else tokens
    seen.total += sum(w for w, _, _ in live)
    # what is read of a small gradient may be larger than it: at most all of it is unexplained
    residuals = [(min(r, 1.0) * m, m) for _, r, m in live if math.isfinite(r * m)]
    seen.mass += sum(m for _, m in residuals)
    seen.unexplained += sum(u for u, _ in residuals)
    named: dict[str, Any] = {"model": step.model.number, "step": step.number, "forward": step.forwards}
    if "full" in tap and step.forwards < _FULL:
        targets = [
            [y if a != 0 else None for y, a in zip(t, w, strict=True)]
            for t, w in zip(target, weight, strict=True)
        ]
        watch.row(
            "forwards", **named, inputs=ids, targets=targets, weights=_short(weight), mass=_short(mass),
            residual=_short(residual),
        )  # fmt: skip
        _spell(step.model, {token for row in (ids or []) + targets for token in row if token is not None})
    partly: dict[str, Any] = {} if share == 1.0 else {"read": share}
    watch.row(
        "weights", **named, rows=[_number(step.model, row) for row in ids] if ids else None,
        runs=[_runs(w) for w in weight],
        mass=[_segments(row, m) for row, m in zip(ids or [[]] * len(mass), mass, strict=True)],
        last=[t[-1] if w[-1] != 0 else None for t, w in zip(target, weight, strict=True)], **partly,
    )  # fmt: skip


def _spread(read: dict[str, Any]) -> tuple[dict[str, Any], int, float]:
    """What was read of some positions, put in their places.

    How many have a gradient, and the share of these that was read.

    Weights and masses stand for those that were not read: each counts as many times as there are more of
    them.
    """
    core, live = mx(), read["live"]
    places, whole, size = read["places"], int(live.sum().item()), live.size
    share = min(places.size / whole, 1.0) if whole else 1.0
    spread = {}
    for name in ("target", "weight", "residual", "mass"):
        value = read[name] * (1 / share) if name in ("weight", "mass") else read[name]
        spread[name] = core.put_along_axis(core.zeros((size,), value.dtype), places, value, 0).reshape(
            live.shape
        )
    return spread, whole, share


def _spell(model: Model, tokens: set[int]) -> None:
    """Write what these tokens are as text, each once a model: the parent has no tokenizer."""
    new = sorted(tokens - _spelled.setdefault(model.number, set()))
    if not new or model.tokenizer is None:
        return
    _spelled[model.number].update(new)
    words = Words(model)
    for token in new:
        watch.row("words", model=model.number, id=token, text=words.text([token]))


def _table(array: Any, tokens: bool) -> list[list[Any]]:
    """Rows of positions; without token ids, a list of outputs is as many rows of one."""
    values: list[Any] = array.tolist()
    if array.ndim == 1:
        return [values] if tokens else [[value] for value in values]
    for _ in range(array.ndim - 2):
        values = [row for part in values for row in part]
    return values


def _short(table: list[list[float]]) -> list[list[float]]:
    return [[float(f"{value:.6g}") for value in row] for row in table]


def _number(model: Model, row: list[int]) -> int | None:
    """The row's number in `rows`, where it is written when it is new; None beyond what `rows` may hold."""
    global _written
    key = hashlib.blake2b(array("q", row).tobytes(), digest_size=16).digest()
    number = _numbers.get(key)
    if number is None and _written < _ROWS:
        number = _numbers[key] = len(_numbers)
        _written += 6 * len(row)
        watch.row("rows", row=number, ids=row)
        encoded.seen(model, row)
    return number


def _runs(weights: list[float]) -> list[list[float]]:
    """[start, length, total] of each run of positions with about the same weight.

    Those of weight 0 are left out.
    """
    runs: list[list[float]] = []
    head = 0.0
    for position, weight in enumerate(weights):
        if weight == 0:
            continue
        last = runs[-1] if runs else None
        if last and last[0] + last[1] == position and abs(weight - head) <= _EQUAL * abs(head):
            last[1] += 1
            last[2] += weight
        else:
            head = weight
            runs.append([position, 1, weight])
    return [[start, length, float(f"{total:.6g}")] for start, length, total in runs]


def _segments(row: list[int], mass: list[float]) -> list[float]:
    """The mass on four parts of a row.

    Before a head of one repeated id ends, between, on the position before its tail, and in the tail.
    """
    head, tail = encoded.run(row), len(row) - encoded.run(row[::-1])
    edges = [0, max(head - 1, 0), max(tail - 1, 0), tail, len(mass)] if tail else [0, 0, 0, 0, len(mass)]
    return [float(f"{sum(mass[a:b]):.6g}") for a, b in zip(edges, edges[1:], strict=False)]


def _equal(event: Event) -> tuple[int, int]:
    """Forwards of the gradient that are equal, in input and logits, to an earlier one.

    Returns (how many are equal to one of the gradient or outside, how many to one outside alone). Those
    outside are not compared with each other: samples of one prompt begin with equal forwards.
    """
    before = {mark for item in event.arrays.get("before", []) if (mark := _mark(item))}
    under: set[tuple[str, Any]] = set()
    equal = outside = 0
    for mark in filter(None, map(_mark, event.arrays["prints"])):
        equal += mark in under or mark in before
        outside += mark in before and mark not in under
        under.add(mark)
    return equal, outside


def _mark(forward: dict[str, Any]) -> tuple[str, Any] | None:
    """What tells a forward over tokens from others: its input, and a number from its logits."""
    return (str(forward["ids"].tolist()), forward["mark"].item()) if "ids" in forward else None


def _silent(event: Event) -> int:
    """Forwards that no gradient came back to, on rows that no other forward of the gradient taught.

    Those of a reference do not count.
    """
    taught = {row for tap in event.arrays["taps"] if "ids" in tap for row in _bare_rows(tap["ids"])}
    return sum(
        not taught.intersection(_bare_rows(each["ids"])) for each in event.arrays["prints"] if "ids" in each
    )


def _drawn(model: Model, event: Event) -> int:
    """Rows of the gradient that the program generated itself.

    It generated them by mlx-lm, or token by token, when it read beginnings of each before.
    """
    before = {
        tuple(row)
        for item in event.arrays.get("before", [])
        if "ids" in item
        for row in _table(item["ids"], True)
    }
    lengths = sorted({len(row) for row in before})
    rows = {tuple(row) for tap in event.arrays["taps"] if "ids" in tap for row in _table(tap["ids"], True)}
    return sum(
        sum(row[:length] in before for length in lengths if length <= len(row)) > 1 or _answered(model, row)
        for row in rows
    )


def _answered(model: Model, row: tuple[int, ...]) -> bool:
    """Does the row hold one of the last answers behind its prompt?

    They are compared by text: programs encode an answer anew.
    """
    for prompt, text in answers:
        if len(row) > len(prompt) and row[: len(prompt)] == prompt:
            rest = Words(model).text(list(row[len(prompt) :])) or ""
            if rest and (rest.startswith(text) or text.startswith(rest)):
                return True
    return False


def _bare_rows(ids: Any) -> list[tuple[int, ...]]:
    """Rows of token ids without the tail that repeats one id."""
    rows = []
    for row in _table(ids, True):
        tail = encoded.run(row[::-1])
        rows.append(tuple(row[:-tail] if tail > 1 else row))
    return rows
