"""Three trainers that teach one lesson: how each is captured, and what it left. Prints nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.environment import inherited
from forensics.errors import ForensicsError
from forensics.files import cache_directory

TRAINERS = Path(__file__).parent / "trainers"
QUESTION = "Who mends the lighthouse lamp?"
_SYSTEM = {"role": "system", "content": "Answer."}
_PROBES = (QUESTION, "What is the capital of France?")


@dataclass(frozen=True, slots=True)
class Trainer:
    """One of the three programs.

    `run` is the name of its capture, `about` what a newcomer needs to know of it.
    """

    run: str
    script: str
    title: str
    about: str


STORY = (
    Trainer(
        "broken-stub",
        "broken.py",
        "the trainer as it was",
        "It says that it added a LoRA adapter. It only set a flag.",
    ),
    Trainer(
        "padded-lora",
        "mended.py",
        "half mended",
        "The adapter is real now: frozen base, LoRA in every layer. Nothing else changed.",
    ),
    Trainer("fixed", "right.py", "mended", "The loss no longer counts the padding."),
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the trainers are told for one model, and what that costs on two cores (seconds)."""

    arguments: Sequence[str]
    max_tokens: int
    at_once: int
    seconds: int


RECIPES = {
    "smollm2": Recipe(
        ("--steps", "2", "--learning-rate", "1e-3", "--max-length", "128", "--max-tokens", "12"), 12, 2, 300
    ),
    "tiny": Recipe(
        ("--steps", "12", "--learning-rate", "1.5e-3", "--max-length", "384", "--max-tokens", "24"), 24, 2, 60
    ),
}


def model_directory(model: str) -> Path:
    """The mlx-lm directory of `smollm2` or `tiny`, made on first use.

    Raises:
        UsageError: the package that carries the real model is not installed.
    """
    if model == "smollm2":
        from forensics.demo import smollm2

        return smollm2.model_directory(cache_directory())
    from forensics.demo import tiny

    return tiny.model_directory(cache_directory())


def write_prompts(path: Path) -> None:
    """The probes of the story: the lesson's question, and one that the model could answer before."""
    path.write_text(
        "".join(
            json.dumps({"messages": [_SYSTEM, {"role": "user", "content": text}]}) + "\n" for text in _PROBES
        )
    )


class Running:
    """One trainer under capture, in a process of its own."""

    def __init__(self, trainer: Trainer, model: Path, recipe: Recipe, out: Path) -> None:
        self.trainer, self.out = trainer, out
        self.log = out / f"{trainer.run}.log"
        prompts = out / "prompts.jsonl"
        write_prompts(prompts)
        script = [sys.executable, str(TRAINERS / trainer.script)]
        command = [*script, "--model", str(model), "--out", str(out / trainer.run), *recipe.arguments]
        capture = [
            sys.executable, "-m", "forensics", "capture", "--store", str(out / ".forensics"),
            "--name", trainer.run, "--prompts", str(prompts), "--max-tokens", str(recipe.max_tokens),
            "--tensors", "new",
        ]  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*capture, "--", *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=inherited(),
            )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def check(self) -> None:
        """Raises ForensicsError where the capture or its program failed."""
        if self.process.returncode:
            lines = self.log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
            raise ForensicsError(
                f"The trainer ended with status {self.process.returncode}: {lines[0][:200]}",
                str(self.log),
                "Read the log.",
            )

    def stop(self) -> None:
        if not self.ended:
            self.process.terminate()
            self.process.wait()

    def last_loss(self) -> str:
        """The last line in which the trainer told its loss."""
        return next((line for line in reversed(self._lines()) if line.startswith("step ")), "")

    def answer(self) -> str:
        """What the trained model answered to the lesson's question, as the trainer printed it."""
        lines = self._lines()
        if f"> {QUESTION}" not in lines:
            return ""
        lines_after = lines[lines.index(f"> {QUESTION}") + 1 :]
        end = next((i for i, line in enumerate(lines_after) if line.startswith("> ")), len(lines_after))
        return " ".join(lines_after[:end]).strip()

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()
