"""What is seen of the trainers of other people, and what is said of them: the table of docs/trainers.md.

    python -m benchmarks.trainers --environments DIR            all of benchmarks/trainers.toml
    python -m benchmarks.trainers --environments DIR --only mlx-tune --out -

Each trainer gets an environment of its own under DIR (made by uv, once), a tiny model and a few records, and
is watched there as a user would: nothing of ours is installed in it. Packages are fetched by uv; no run asks
the network for anything. The exit status is 1 where a count of updates or a verdict is not as declared.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import forensics
from benchmarks.page import above
from tests.outside import tiny

HERE = Path(__file__).parent
HEAD = (
    "| trainer | updates seen | its loss teaches | saves, reloaded | what is true of it | verdict | said |\n"
    "| --- | --- | --- | --- | --- | --- | --- |\n"
)
RECORDED = """
select
    count(*) as updates,
    (select count(distinct save) from saved_tensors) as saves,
    (select count(*) from captures where point = 'reloaded') as reloads,
    sum(weight_prompt) as prompt,
    sum(weight_answer) as answer,
    sum(weight_end) as "end",
    sum(weight_pad) as padding
from steps
"""


@dataclass(frozen=True)
class Trainer:
    """One way to train: what is installed, what is run, and what is true of it."""

    name: str
    packages: list[str]
    command: list[str]
    updates: int
    verdict: str = "healthy"
    true: str = "a sound run"
    """What is true of this run, as its source and its files show."""
    beside: list[str] = field(default_factory=list)
    """Packages that are installed without what they ask for."""
    files: dict[str, str] = field(default_factory=dict)
    """Files of the program, by name."""
    shared: dict[str, str] = field(default_factory=dict)
    """Files that stand beside each."""

    @property
    def run(self) -> str:
        """The name of its run."""
        return "".join(c if c.isalnum() else "-" for c in self.name.lower())


@dataclass(frozen=True)
class Watched:
    """What was recorded of one run, and what was said of it."""

    trainer: Trainer
    status: int
    updates: int
    taught: str
    saves: int
    reloads: int
    verdict: str
    told: list[str]

    @property
    def right(self) -> bool:
        """Whether updates and verdict are as declared."""
        return (self.status, self.updates, self.verdict) == (0, self.trainer.updates, self.trainer.verdict)

    def __str__(self) -> str:
        kept = f"{self.saves}, {'yes' if self.reloads else 'no'}"
        seen = f"{self.updates} of {self.trainer.updates}" + (
            f", status {self.status}" if self.status else ""
        )
        cells = [self.trainer.name, seen, self.taught, kept, self.trainer.true, self.verdict]
        return "| " + " | ".join([*cells, ", ".join(f"`{told}`" for told in self.told) or "nothing"]) + " |"


def interpreter(trainer: Trainer, environments: Path) -> Path:
    """The Python of the trainer's environment, which is made where it is not there yet."""
    key = "+".join([*trainer.packages, *trainer.beside])
    place = environments / "".join(c if c.isalnum() or c in ".-+" else "_" for c in key)
    python = place / "bin" / "python"
    if not (place / "whole").exists():
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run(["uv", "venv", "-q", "-p", "3.11", str(place)], check=True)
        install = ["uv", "pip", "install", "-q", "-p", str(python)]
        subprocess.run([*install, *trainer.packages], check=True)
        if trainer.beside:
            subprocess.run([*install, "--no-deps", *trainer.beside], check=True)
        (place / "whole").touch()
    return python


def records(place: Path) -> dict[str, str]:
    """A tiny model and records in the forms that trainers ask for; where they lie, by placeholder."""
    tiny.make(place)  # type: ignore[no-untyped-call]
    data, pairs, asked = place / "data", place / "pairs", place / "questions"
    preferred = [json.loads(line) for line in (data / "pairs.jsonl").read_text().splitlines()]
    questions = [{"prompt": row["prompt"], "answer": row["chosen"]} for row in preferred]
    for folder, rows in ((pairs, preferred), (asked, questions)):
        folder.mkdir(exist_ok=True)
        for part in ("train", "valid", "test"):
            (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "model": str(place / "models" / "qwen"),
        "data": str(data),
        "pairs": str(pairs),
        "questions": str(asked),
    }


def watched(trainer: Trainer, python: Path, places: dict[str, str], work: Path) -> Watched:
    """Run the trainer under capture in a folder of its own, and read what the store there then holds."""

    def filled(text: str) -> str:
        for name, place in places.items():
            text = text.replace("{" + name + "}", place)
        return text

    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name, text in (trainer.shared | trainer.files).items():
        (work / name).write_text(filled(text))
    store = work / "store"
    command = [str(python), *map(filled, trainer.command)]
    words = ["--store", str(store), "--name", trainer.run, "--", *command]
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "WANDB_MODE": "disabled"}
    with (work / "output.txt").open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "forensics", "capture", *words],
            cwd=work, env=os.environ | offline, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    return _read(trainer, done.returncode, store)


def _read(trainer: Trainer, status: int, store: Path) -> Watched:
    if not (store / "runs").exists():
        return Watched(trainer, status, 0, "not seen", 0, 0, "nothing captured", [])
    case = forensics.open(trainer.run, store=store)
    found = case.diagnosis
    told = [f.id for f in found.findings if f.severity in ("error", "warning")]
    (row,) = case.sql(RECORDED)
    weights = {role: abs(row[role]) for role in ("prompt", "answer", "end", "padding") if row[role]}
    whole = sum(weights.values())
    taught = ", ".join(f"{role} {weight / whole:.0%}" for role, weight in weights.items()) or "not seen"
    return Watched(trainer, status, row["updates"], taught, row["saves"], row["reloads"], found.verdict, told)


def main() -> int:
    """Run the trainers and write the table."""
    words = argparse.ArgumentParser(
        prog="benchmarks.trainers", description=(__doc__ or "").partition("\n")[0]
    )
    words.add_argument(
        "--environments", type=Path, required=True, help="where environments are made and kept"
    )
    words.add_argument("--only", action="append", default=[], help="a part of a trainer's name; repeatable")
    words.add_argument("--work", type=Path, help="where runs and their captures stay; default: nowhere")
    words.add_argument("--out", default=str(HERE.parent / "docs" / "trainers.md"), help="- prints it")
    asked = words.parse_args()
    declared: dict[str, Any] = tomllib.loads((HERE / "trainers.toml").read_text())
    chosen = [Trainer(**one, shared=declared["shared"]) for one in declared["trainer"]]
    chosen = [one for one in chosen if not asked.only or any(part in one.name for part in asked.only)]
    told = []
    with tempfile.TemporaryDirectory() as scratch:
        places = records(asked.environments.resolve() / "records")
        work = (asked.work or Path(scratch)).resolve()
        for one in chosen:
            python = interpreter(one, asked.environments.resolve())
            told.append(watched(one, python, places, work / one.run))
            print(told[-1], flush=True)
    table = HEAD + "".join(f"{one}\n" for one in told)
    if asked.out != "-":
        page = Path(asked.out)
        page.write_text(f"{above(page)}\nMeasured on {datetime.now(UTC):%Y-%m-%d}.\n\n{table}")
    return 0 if all(one.right for one in told) else 1


if __name__ == "__main__":
    sys.exit(main())
