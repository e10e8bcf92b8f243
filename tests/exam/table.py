"""What a sample shows: counts, shares with Wilson's 95 % interval, the table, docs/accuracy.md."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

Record = dict[str, Any]
LEAST = 10  # faulty programs below which a sample says nothing
# What held when this was written, of both halves together: docs/accuracy.md. The aim is 0.95, 0 and 0.01;
# these bars fail where a fresh sample shows, beyond chance, that the tool got worse.
FIRST_CAUSE = 0.75
CALLED_HEALTHY = 0.12
ACCUSED = 0.04
INTRODUCTION = """Programs that nobody wrote: a seed draws a trainer from pieces, an operator puts a known
fault in, plain mlx proves on the program's own objects that the fault is there and that the program is sound
without it, and then the tool is asked. What cannot be proved is thrown away. A share stands with Wilson's
95 % interval in brackets: where few programs were drawn it is wide, and the number means little.
"""


def interval(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share, in [0, 1]; (0, 1) of nothing."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, z * z / count
    middle = (share + square / 2) / (1 + square)
    spread = z / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return max(0.0, middle - spread), min(1.0, middle + spread)


def said(hits: int, count: int) -> str:
    low, high = interval(hits, count)
    return (
        f"{hits} of {count} ({100 * hits / count:.1f} %, {100 * low:.1f} to {100 * high:.1f})"
        if count
        else "none drawn"
    )


def summary(records: Iterable[Record]) -> dict[str, Any]:
    """The keys that `--json` promises, programs left out."""
    records = list(records)
    valid = [one for one in records if not one["thrown"]]
    faulty = [one for one in valid if one["kind"] == "faulty"]
    healthy = [one for one in valid if one["kind"] != "faulty"]
    return {
        "faulty": len(faulty),
        "first_cause": sum(one["first_right"] for one in faulty),
        "causes_expected": sum(len(one["expected"]) for one in faulty),
        "causes_found": sum(len(one["found"]) for one in faulty),
        "called_healthy": sum(one["verdict"] == "healthy" for one in faulty),
        "inconclusive": sum(one["verdict"] == "inconclusive" for one in faulty),
        "not_evaluated": sum(bool(set(one["expected"]) & set(one["not_evaluated"])) for one in faulty),
        "healthy": len(healthy),
        "accused": sum(any(severity == "error" for _, severity, _ in one["findings"]) for one in healthy),
        "warned": sum(any(severity == "warning" for _, severity, _ in one["findings"]) for one in healthy),
        "healthy_inconclusive": sum(one["verdict"] == "inconclusive" for one in healthy),
        "crashed": sum(bool(one["error"]) for one in valid),
        "thrown_away": len(records) - len(valid),
    }


def failures(numbers: dict[str, Any]) -> list[str]:
    """Why a sample fails: the tool broke, too few programs, or shares that chance does not explain."""
    reasons = []
    if numbers["faulty"] < LEAST:
        reasons.append("too few programs to say anything")
    if numbers["crashed"]:
        reasons.append("the tool broke")
    if interval(numbers["first_cause"], numbers["faulty"])[1] < FIRST_CAUSE:
        reasons.append("the first cause is missed too often")
    if interval(numbers["called_healthy"], numbers["faulty"])[0] > CALLED_HEALTHY:
        reasons.append("faulty programs are called healthy")
    if interval(numbers["accused"], numbers["healthy"])[0] > ACCUSED:
        reasons.append("sound programs are accused")
    return reasons


def lines(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    faulty, healthy = numbers["faulty"], numbers["healthy"]
    return [
        ("first cause", said(numbers["first_cause"], faulty)),
        ("causes named", said(numbers["causes_found"], numbers["causes_expected"])),
        ("faulty, called healthy", said(numbers["called_healthy"], faulty)),
        ("faulty, called inconclusive", said(numbers["inconclusive"], faulty)),
        ("faulty, its question not evaluated", said(numbers["not_evaluated"], faulty)),
        ("sound, accused of an error", said(numbers["accused"], healthy)),
        ("sound, warned", said(numbers["warned"], healthy)),
        ("sound, called inconclusive", said(numbers["healthy_inconclusive"], healthy)),
        ("the tool broke", str(numbers["crashed"])),
        ("thrown away", f"{numbers['thrown_away']} (twin unsound, or plain mlx did not prove the fault)"),
    ]


def shown(numbers: dict[str, Any]) -> str:
    rows = lines(numbers)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows)


def by(
    records: Iterable[Record], keys: Callable[[Record], Iterable[str]], hit: Callable[[Record], bool]
) -> list[tuple[str, int, int]]:
    """(key, hits, count), the weakest first."""
    hits: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for one in records:
        for key in keys(one):
            counts[key] += 1
            hits[key] += hit(one)
    return sorted(
        ((key, hits[key], count) for key, count in counts.items()),
        key=lambda row: (row[1] / row[2], -row[2], row[0]),
    )


def _rows(title: str, rows: list[tuple[str, int, int]]) -> str:
    body = "".join(f"| `{key}` | {said(hits, count)} |\n" for key, hits, count in rows)
    return f"| {title} | share, with 95 % interval |\n| --- | --- |\n{body}"


def document(records: list[Record], how: str) -> str:
    """docs/accuracy.md."""
    valid = [one for one in records if not one["thrown"]]
    faulty = [one for one in valid if one["kind"] == "faulty"]
    sound = [one for one in valid if one["kind"] != "faulty"]
    numbers = summary(records)
    table = "".join(f"| {name} | {value} |\n" for name, value in lines(numbers))
    parts = [
        "# How far to trust a finding\n",
        "Made by `uv run python -m tests.exam --accuracy docs/accuracy.md`; edit nothing here by hand.\n",
        INTRODUCTION,
        f"{how}\n",
        "## All\n",
        f"| question | answer |\n| --- | --- |\n{table}",
        _halves(valid),
        "## What was said with which confidence, and how often it was right\n",
        "Right: the finding is a fault that was put in, or follows from one as a consequence or symptom."
        " `certain` is to be right 99 times of 100, `strong` 95, `probable` 80.\n",
        _rows("confidence", said_right(valid, lambda _, confidence: confidence)),
        "Findings that were not right each time they were said:\n",
        _rows("finding, confidence", _sometimes_wrong(valid)),
        "## By finding, the weakest first\n",
        "How often the fault that was put in is said first.\n",
        _rows("id", by(faulty, lambda one: one["expected"], lambda one: one["first_right"])),
        "## By mechanism\n",
        _rows("mechanism", by(faulty, lambda one: one["faults"], lambda one: one["first_right"])),
        "## By piece, faulty programs\n",
        _rows("piece", by(faulty, lambda one: one["pieces"].values(), lambda one: one["first_right"])),
        "## By piece, sound programs\n",
        "How often no error is raised.\n",
        _rows(
            "piece",
            by(
                sound,
                lambda one: one["pieces"].values(),
                lambda one: not any(s == "error" for _, s, _ in one["findings"]),
            ),
        ),
        "## Errors and warnings on sound programs\n",
        _alarms(sound),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _halves(valid: list[Record]) -> str:
    """Counts of first causes for each half.

    Detectors may be developed on one half; the other is only measured.
    """
    out = "| half | first cause |\n| --- | --- |\n"
    faulty = [one for one in valid if one["kind"] == "faulty"]
    for half, words in (
        ("known", "faults that detectors may be developed on"),
        ("measured", "faults that are only measured"),
    ):
        part = [one for one in faulty if all(each == half for each in one["halves"])]
        out += f"| {words} | {said(sum(one['first_right'] for one in part), len(part))} |\n"
    return out


def said_right(valid: list[Record], key: Callable[[str, str], str]) -> list[tuple[str, int, int]]:
    """(key, right, said) of the errors and warnings; `key` is made of a finding's id and its confidence."""
    hits: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for one in valid:
        accepted = set(one["accepted"])
        for (name, severity, role), confidence in zip(one["findings"], one["confidence"], strict=True):
            if severity != "info":
                counts[key(name, confidence)] += 1
                hits[key(name, confidence)] += name in accepted or (role != "cause" and bool(accepted))
    return sorted((each, hits[each], count) for each, count in counts.items())


def _sometimes_wrong(valid: list[Record]) -> list[tuple[str, int, int]]:
    rows = said_right(valid, lambda name, confidence: f"{name}, {confidence}")
    return sorted((row for row in rows if row[1] < row[2]), key=lambda row: (row[1] / row[2], -row[2]))


def _alarms(sound: list[Record]) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    for one in sound:
        counts.update(
            {(severity, name) for name, severity, _ in one["findings"] if severity in ("error", "warning")}
        )
    if not counts:
        return "None.\n"
    body = "".join(
        f"| {severity} | `{name}` | {count} of {len(sound)} |\n"
        for (severity, name), count in counts.most_common()
    )
    return f"| severity | finding | sound programs |\n| --- | --- | --- |\n{body}"
