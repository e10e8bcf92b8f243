"""The zoo's table: first cause right, causes found, noise a fault, false alarms a healthy run.

pytest prints it at its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tests.zoo import zoo

PROPERTY = "zoo"


@dataclass(frozen=True)
class Told:
    """One judged program, in numbers that travel between processes."""

    kind: str  # broken | twin | variation
    name: str
    causes: int
    judged: bool = False
    first: bool = False
    missed: int = 0
    noise: int = 0
    silent: int = 0

    @staticmethod
    def of(kind: str, case: zoo.Case, verdict: zoo.Verdict | None) -> Told:
        causes = len(case.faults) if kind == "broken" else 0
        if verdict is None:
            return Told(kind, case.name, causes, missed=causes)
        return Told(
            kind,
            case.name,
            causes,
            True,
            verdict.first,
            len(verdict.missed),
            len(verdict.noise),
            len(verdict.silent),
        )

    def text(self) -> str:
        return json.dumps(asdict(self))


def table(results: Iterable[Told]) -> str:
    every = list(results)
    broken = [told for told in every if told.kind == "broken"]
    healthy = [told for told in every if told.kind != "broken"]
    causes = sum(told.causes for told in broken)
    rows = [
        ("first cause right", sum(told.first for told in broken), len(broken)),
        ("causes found", causes - sum(told.missed for told in broken), causes),
        ("further findings, in all", sum(told.noise for told in broken), len(broken)),
        ("healthy runs with a false alarm", sum(told.noise > 0 for told in healthy), len(healthy)),
        ("healthy runs not wholly evaluated", sum(told.silent > 0 for told in healthy), len(healthy)),
        ("programs that could not be judged", sum(not told.judged for told in every), len(every)),
    ]
    return "\n".join(f"{name:36} {count:4} of {total}" for name, count, total in rows)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of what this session judged, under pytest's own summary."""
    reports = [
        report
        for each in terminalreporter.stats.values()
        for report in each
        if getattr(report, "when", "") == "call"
    ]
    found = {value: None for report in reports for name, value in report.user_properties if name == PROPERTY}
    if found:
        terminalreporter.section("the zoo")
        terminalreporter.write_line(table(Told(**json.loads(value)) for value in found))
