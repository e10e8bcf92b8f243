"""Runs one program from outside under capture, and says what the verdict is and what it should be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.outside import tiny
from tests.support.command import command, environment

HERE = Path(__file__).parent
LIMIT = 300
"""Seconds for one program under capture."""


@dataclass(frozen=True)
class Case:
    """One program; `id` is the finding that should be first, empty where it is healthy."""

    kind: str
    name: str
    id: str
    arguable: bool

    @property
    def path(self) -> Path:
        return HERE / self.kind / f"{self.name}.py"

    @property
    def run(self) -> str:
        return f"{self.kind}-{self.name}"


@dataclass(frozen=True)
class Said:
    """What was said of a case: the verdict, and the findings of severity error or warning in their order."""

    case: Case
    verdict: str
    findings: tuple[tuple[str, str], ...]

    @property
    def right(self) -> bool:
        """Is this as it should be?

        A faulty program's id is first; a healthy one has no error, and a warning only where it is arguable.
        """
        if self.case.kind == "faulty":
            return bool(self.findings) and self.findings[0][0] == self.case.id
        return not any(severity == "error" for _, severity in self.findings) and (
            self.case.arguable or not self.findings
        )

    @property
    def first(self) -> str:
        return _word(self.findings[0]) if self.findings else "-"

    @property
    def noise(self) -> str:
        """What was said beside what should be."""
        rest = self.findings[1:] if self.case.kind == "faulty" else self.findings
        return ", ".join(_word(f) for f in rest)


def _word(finding: tuple[str, str]) -> str:
    return f"{finding[0]} ({finding[1]})"


def cases() -> list[Case]:
    """All programs, the faulty ones first."""
    table = tomllib.loads((HERE / "expected.toml").read_text())
    faulty = [
        Case("faulty", path.stem, table["faulty"][path.stem], False)
        for path in sorted((HERE / "faulty").glob("*.py"))
    ]
    arguable = table["healthy"]["arguable"]
    return faulty + [
        Case("healthy", path.stem, "", path.stem in arguable)
        for path in sorted((HERE / "healthy").glob("*.py"))
    ]


def captured(case: Case, place: Path) -> None:
    """Captures the case into `place`/store, in a working directory of its own, in place of an earlier one."""
    work = tiny.work(tiny.make(place / "built"), place / "work" / case.run)
    store = place / "store"
    shutil.rmtree(store / "runs" / case.run, ignore_errors=True)
    for capture in (store / "captures").glob(f"{case.run}@*"):
        shutil.rmtree(capture)
    words = command(
        "--store",
        str(store),
        "capture",
        "--quiet",
        "--name",
        case.run,
        "--",
        sys.executable,
        str(case.path),
        str(work),
    )
    done = subprocess.run(
        words, cwd=work, env=environment(), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    (place / "work" / f"{case.run}.txt").write_text(done.stdout + "\n" + done.stderr)
    shutil.rmtree(work)


def judged(case: Case, place: Path) -> dict[str, Any]:
    """The document of `diagnose --json` of a captured case."""
    words = command("--store", str(place / "store"), "diagnose", case.run, "--json")
    done = subprocess.run(
        words, cwd=place, env=environment(), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    if not done.stdout.strip():
        return {"verdict": "refused: " + done.stderr.strip()[-300:], "findings": []}
    return dict(json.loads(done.stdout))


def said(case: Case, place: Path) -> Said:
    """What a captured case is called."""
    document = judged(case, place)
    told = tuple((f["id"], f["severity"]) for f in document["findings"] if f["severity"] != "info")
    return Said(case, document["verdict"], told)
