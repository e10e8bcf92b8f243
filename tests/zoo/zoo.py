"""What a zoo program is, how it is laid out in a working directory, and how it is run, plain or captured.

A program is a directory under `programs/`: `train.py` and whatever stands beside it, or a file `command`
whose one line is the command to run. It finds a tiny model in `model/` and chat data in `data/` (train.jsonl,
valid.jsonl), and writes where it likes. As it stands it is healthy; a case breaks it by swapping texts, so
broken and healthy differ in the fault alone.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics.errors import ForensicsError
from forensics.judge.diagnose import diagnose, document
from forensics.store.store import Store
from tests.support import tiny

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Case:
    """One fault in one program.

    Args:
        name: unique; says program and fault, for the reader of the table only.
        program: directory under `programs/`.
        faults: finding ids that must be named, causes, the one that must stand first at the front. Empty: a
        healthy variation, whose swaps vary the program on purpose.
        swaps: (healthy text, broken text) or (file, healthy text, broken text); the healthy text stands there
        exactly once.
        proof: Python that runs after train.py, in its namespace, and sets `fault` to what a look at the
        program's own objects or
            files says: True in the broken program, False in the healthy one. It knows nothing of the tool.
        allowed: further ids that are true of the broken run as well: consequences, symptoms, info.
        evaluated: detectors that must have been evaluated and clean on the healthy twin; default: `faults`.
        model: arguments of `tiny.cached`.
        capture: options of `forensics capture`.
        also: arguments appended to the command.
        varied: the program was changed by rule, not by hand: whether its fault survived is for its proof to
        say.
        alter: changes the directory once it is laid out, given the proof as well; returns the proof that fits
        it then.
    """

    name: str
    program: str
    faults: tuple[str, ...] = ()
    swaps: tuple[tuple[str, ...], ...] = ()
    proof: str = ""
    allowed: tuple[str, ...] = ()
    evaluated: tuple[str, ...] | None = None
    model: dict[str, Any] = field(default_factory=dict)
    capture: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    varied: bool = False
    alter: Callable[[Path, str], str] | None = None


def cases() -> Iterator[Case]:
    """Every case of every module under `cases/`, which hold a list CASES."""
    package = importlib.import_module("tests.zoo.cases")
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        yield from importlib.import_module(f"tests.zoo.cases.{info.name}").CASES


def lay_out(case: Case, directory: Path, *, broken: bool) -> str:
    """Copy a program into `directory`, with its model and data, broken or healthy; returns its proof."""
    shutil.copytree(PROGRAMS / case.program, directory)
    (directory / "model").symlink_to(tiny.cached(**case.model), target_is_directory=True)
    if not (directory / "data").exists():
        tiny.write_data(directory / "data")
    if broken:
        for swap in case.swaps:
            name, old, new = swap if len(swap) == 3 else ("train.py", *swap)
            text = (directory / name).read_text()
            if text.count(old) != 1:
                raise ValueError(
                    f"{case.name}: {old!r} stands {text.count(old)} times in {case.program}/{name}"
                )
            (directory / name).write_text(text.replace(old, new))
    return case.alter(directory, case.proof) if case.alter else case.proof


def command(case: Case, directory: Path) -> list[str]:
    line = directory / "command"
    words = shlex.split(line.read_text()) if line.exists() else ["python", "train.py"]
    return [sys.executable if word == "python" else word for word in words] + list(case.also)


def proved(cases: Sequence[Case], directory: Path, *, broken: bool) -> list[bool]:
    """Does the program's own look at itself, run without the tool, say that the fault is there?

    There is one answer for each case.

    The cases share a program, and where it is broken there is one. A proof sees the program's names, and
    `raised`, the exception that ended it; after another command, its files alone.
    """
    first = cases[0]
    proofs = [lay_out(first, directory, broken=broken), *(case.proof for case in cases[1:])]
    lines = ["raised = None"]
    if (directory / "train.py").exists() and not (directory / "command").exists():
        program = "exec(compile(open('train.py').read(), 'train.py', 'exec'))"
        lines += ["try:", f"    {program}", "except (Exception, SystemExit) as error:", "    raised = error"]
    else:
        _run(command(first, directory), directory)
    for proof in proofs:  # each puts back the names that it bends
        lines += [
            "_held = dict(globals())",
            f"exec({proof!r})",
            "print('FAULT', bool(fault))",
            "globals().update(_held)",
        ]
    (directory / "proof.py").write_text("\n".join([*lines, ""]))
    done = _run([sys.executable, "proof.py", *first.also], directory)
    answers = [line == "FAULT True" for line in done.stdout.splitlines() if line.startswith("FAULT ")]
    if len(answers) != len(cases):
        raise AssertionError(
            f"{first.name}: the proof did not run\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
    return answers


def captured(case: Case, directory: Path, *, broken: bool) -> subprocess.CompletedProcess[str]:
    """Lay a program out and capture it as `run`, through the command line."""
    lay_out(case, directory, broken=broken)
    words = [
        sys.executable,
        "-m",
        "forensics",
        "capture",
        "--name",
        "run",
        *case.capture,
        "--",
        *command(case, directory),
    ]
    return _run(words, directory)


def diagnosed(case: Case, directory: Path, *, broken: bool) -> dict[str, Any]:
    """Diagnose the program through the command line, and return its JSON.

    The program is captured first, where `directory` does not hold it captured.
    """
    said = "" if directory.exists() else captured(case, directory, broken=broken).stderr
    try:
        return document(diagnose(Store(directory / ".forensics"), ["run"]))
    except ForensicsError as error:
        raise AssertionError(f"{case.name}: no diagnosis: {error.message}\n{said[-3000:]}") from None


@dataclass(frozen=True)
class Verdict:
    """What a diagnosis is worth against its case."""

    first: bool  # the cause that must stand first does
    missed: tuple[str, ...]  # faults not named
    noise: tuple[str, ...]  # further findings of severity warning or error
    silent: tuple[str, ...]  # detectors that should have been evaluated and clean, and were not evaluated

    @property
    def right(self) -> bool:
        """One further finding beside a fault is borne, none without."""
        return self.first and not self.missed and not self.silent and len(self.noise) <= 1


def judged(case: Case, document: dict[str, Any], *, broken: bool) -> Verdict:
    """Hold a diagnosis against what the case says of its program, broken or healthy."""
    found = {finding["id"]: finding for finding in document["findings"]}
    loud = [name for name, finding in found.items() if finding["severity"] != "info"]
    if broken:
        noise = tuple(name for name in loud if name not in case.faults + case.allowed)
        first = (
            bool(case.faults)
            and bool(document["findings"])
            and document["findings"][0]["id"] == case.faults[0]
        )
        return Verdict(first, tuple(name for name in case.faults if name not in found), noise, ())
    unasked = {each["id"] for each in document["not_evaluated"]}
    wanted = case.faults if case.evaluated is None else case.evaluated
    noise = tuple(name for name in loud if case.faults or name not in case.allowed)
    return Verdict(not noise, (), noise, tuple(name for name in wanted if name in unasked))


def _run(words: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    variables["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
    )
    variables.pop("FORENSICS_STORE", None)
    return subprocess.run(
        words, cwd=directory, env=variables, capture_output=True, text=True, timeout=300, check=False
    )
