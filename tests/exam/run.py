"""Running a draw: the sound twin and the faulty program plain, with their probes, for the proof.

Then the faulty one under the tool.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.exam import bases, draw, forks, grammar, proofs
from tests.exam.draw import Draw
from tests.exam.grammar import Program

ROOT = Path(__file__).parents[2]
LIMIT = 180  # seconds, for each process
OUTPUT = 2000  # characters of a program's last words that are kept


@dataclass
class Result:
    """What became of a draw.

    Attributes:
        thrown: why it is no question at all: the twin is unsound, the proof fails; None where it counts.
        findings: (id, severity, role) as they were said.
        error: what the tool itself broke on; None where it did not.
    """

    draw: Draw
    thrown: str | None = None
    verdict: str | None = None
    findings: list[tuple[str, str, str]] = field(default_factory=list)
    claims: list[str] = field(default_factory=list)
    confidence: list[str] = field(default_factory=list)
    not_evaluated: list[str] = field(default_factory=list)
    error: str | None = None
    seconds: float = 0.0

    @property
    def first(self) -> str | None:
        """The id that is said first; info findings are no causes."""
        return next((name for name, severity, _ in self.findings if severity != "info"), None)

    @property
    def names(self) -> list[str]:
        return [name for name, severity, _ in self.findings if severity != "info"]

    @property
    def found(self) -> list[str]:
        """The expected ids that were said, by their own name or one that is as right."""
        return [
            operator.id for operator in self.draw.operators if {operator.id, *operator.also} & set(self.names)
        ]

    @property
    def first_right(self) -> bool:
        return any(self.first in (operator.id, *operator.also) for operator in self.draw.operators)

    @property
    def errors(self) -> list[str]:
        return [name for name, severity, _ in self.findings if severity == "error"]

    @property
    def warnings(self) -> list[str]:
        return [name for name, severity, _ in self.findings if severity == "warning"]

    @property
    def missed(self) -> bool:
        """A faulty program whose first cause is another, or a sound one that is accused."""
        if self.thrown or self.error:
            return bool(self.error)
        return not self.first_right if self.draw.operators else bool(self.errors)

    def record(self) -> dict[str, Any]:
        """The result as JSON keeps it."""
        return {
            "seed": self.draw.seed,
            "kind": self.draw.kind,
            "faults": [operator.name for operator in self.draw.operators],
            "pieces": {slot: each.name for slot, each in self.draw.twin.pieces.items()},
            "base": self.draw.program.base,
            "structure": self.draw.program.structure,
            "configuration": self.draw.program.configuration,
            "expected": self.draw.expected,
            "thrown": self.thrown,
            "verdict": self.verdict,
            "first": self.first,
            "findings": [list(each) for each in self.findings],
            "confidence": self.confidence,
            "claims": self.claims,
            "not_evaluated": self.not_evaluated,
            "error": self.error,
            "seconds": round(self.seconds, 2),
            "text": grammar.render(self.draw.program)["train.py"] if self.missed else None,
        }


def write(program: Program, place: Path, *, plain: bool) -> None:
    """The program, its files, its data and its base, in a directory of its own."""
    place.mkdir(parents=True, exist_ok=True)
    shutil.copytree(bases.base(program.base), place / "base")
    for name, text in {**bases.data(), **grammar.render(program, plain=plain)}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)


def environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FORENSICS_") or name == "FORENSICS_EXAM_CACHE"
    }
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
        "OMP_NUM_THREADS": "1",
    }


@functools.cache
def pythons() -> tuple[str, str]:
    """The interpreters of programs and of the tool: forks of ones that have imported what is slow.

    They end with us.
    """
    held = contextlib.ExitStack()
    atexit.register(held.close)
    return held.enter_context(forks.python(forks.PROGRAMS)), held.enter_context(forks.python(forks.TOOL))


def _run(command: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=place, env=environment(), capture_output=True, text=True, timeout=LIMIT, check=False
    )


def plain(program: Program, place: Path) -> tuple[int, dict[str, Any], str]:
    """Exit status, facts and last words of a program run with its probes."""
    write(program, place, plain=True)
    done = _run([pythons()[0], "train.py"], place)
    facts: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        facts = json.loads((place / "plain.json").read_text())
    return done.returncode, facts, (done.stderr or done.stdout)[-OUTPUT:]


def why_thrown(each: Draw, place: Path) -> str | None:
    """Why this draw is no question: its twin is unsound, or plain mlx does not prove the fault."""
    status, sound, words = plain(each.twin, place / "twin")
    if status:
        return f"the twin fails: {words.strip().splitlines()[-1] if words.strip() else status}"
    if reason := proofs.sound(sound, each.twin.tags):
        return f"unsound twin: {reason}"
    if not each.operators:
        return None
    status, facts, words = plain(each.program, place / "plain")
    if status and not any(operator.crashes for operator in each.operators):
        return f"the faulty program fails: {words.strip().splitlines()[-1] if words.strip() else status}"
    for operator in each.operators:
        try:
            proved = operator.proof(facts, sound)
        except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as error:
            return f"no proof of {operator.name}: {type(error).__name__} {error}"
        if not proved:
            return f"no proof of {operator.name}"
    return None


def _proved(each: Draw, place: Path) -> str | None:
    try:
        return why_thrown(each, place)
    except subprocess.TimeoutExpired:
        return f"longer than {LIMIT} seconds without the tool"


def watched(each: Draw, place: Path, result: Result) -> None:
    """Capture and diagnose, as users do."""
    write(each.program, place, plain=False)
    python, tool_python = pythons()
    tool = [tool_python, "-m", "forensics"]
    done = _run([*tool, "capture", "--name", "run", "--quiet", "--", python, "train.py"], place)
    if (
        "Traceback" in done.stderr
        and "forensics/" in done.stderr.replace("\\", "/").split("Traceback")[-1]
        and not each.operators
    ):
        result.error = f"capture: {done.stderr[-OUTPUT:]}"
    said = _run([*tool, "diagnose", "--json", "run"], place)
    try:
        document = json.loads(said.stdout)
    except ValueError:
        result.error = (
            f"diagnose ({said.returncode}): {(said.stderr or said.stdout)[-OUTPUT:]} / capture:"
            f" {done.stderr[-OUTPUT:]}"
        )
        return
    result.verdict = document["verdict"]
    result.findings = [(one["id"], one["severity"], one["role"]) for one in document["findings"]]
    result.confidence = [str(one.get("confidence")) for one in document["findings"]]
    result.claims = [str(one.get("claim")) for one in document["findings"]]
    result.not_evaluated = [
        one["id"]
        for one in document["not_evaluated"]
        if one.get("kind") in ("unseen", "crashed", "unwatched")
    ]
    crashed = [one["id"] for one in document["not_evaluated"] if one.get("kind") == "crashed"]
    if crashed:
        result.error = f"detectors crashed: {crashed}"


def examine(each: Draw, *, proof: bool = True, keep: Path | None = None) -> Result:
    """One draw, from the proof to the verdict.

    What is missed stays under `keep`, with its store, to be asked again.
    """
    began = time.monotonic()
    result = Result(each)
    place = Path(tempfile.mkdtemp(prefix="exam-"))
    try:
        result.thrown = _proved(each, place) if proof else None
        if result.thrown is None:
            watched(each, place / "watched", result)
    except subprocess.TimeoutExpired as late:
        result.error = f"longer than {LIMIT} seconds: {' '.join(map(str, late.cmd))[-80:]}"
    finally:
        if keep is not None and result.missed:
            shutil.copytree(place, keep / each.seed.replace("/", "-"), dirs_exist_ok=True, symlinks=True)
        shutil.rmtree(place, ignore_errors=True)
    result.seconds = time.monotonic() - began
    return result


def sample(
    seed: int, count: int, half: str | None, jobs: int, limit: float | None = None, keep: Path | None = None
) -> Iterator[Result]:
    """Examine draws of a seed until `count` of them are valid, or `limit` seconds are over.

    Those thrown away come too.
    """
    began = time.monotonic()
    valid = number = 0
    with ThreadPoolExecutor(jobs) as pool:
        while valid < count and (limit is None or time.monotonic() - began < limit):
            wave = [
                draw.one(seed, number + place, half)
                for place in range(min(max(count - valid, jobs), 2 * jobs))
            ]
            number += len(wave)
            for result in pool.map(functools.partial(examine, keep=keep), wave):
                valid += result.thrown is None
                yield result


def prepare(names: Iterable[str] = bases.BASES) -> None:
    """Build the bases before workers ask for them at once."""
    for name in names:
        bases.base(name)
    pythons()
