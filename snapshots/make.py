"""Makes the reference snapshots anew from real runs: `uv run python snapshots/make.py`.

Each is a capture, or a run with its captures, of the demo's trainers on the demo's tiny model, without
tensors: digests, statistics, differences, training rows and answers. It passes through a bundle, so that
nothing of the machine that made it stays in it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from forensics.demo import story

HERE = Path(__file__).parent


def make() -> None:
    recipe = story.RECIPES["tiny"]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        shutil.copytree(story.model_directory("tiny"), work / "model")
        story.write_prompts(work / "prompts.jsonl")
        for trainer in story.STORY:
            shutil.copy(story.TRAINERS / trainer.script, work / trainer.script)
            options = [
                "--name",
                trainer.run,
                "--prompts",
                "prompts.jsonl",
                "--max-tokens",
                str(recipe.max_tokens),
                "--tensors",
                "none",
            ]
            command = [
                sys.executable,
                trainer.script,
                "--model",
                "model",
                "--out",
                trainer.run,
                *recipe.arguments,
            ]
            _forensics(work, "capture", *options, "--", *command)
        _forensics(
            work, "capture", "--name", "base", "--prompts", "prompts.jsonl", "--max-tokens",
            str(recipe.max_tokens), "--tensors", "none", "model",
        )  # fmt: skip
        for run in ("base", *(trainer.run for trainer in story.STORY)):
            _keep(work, run)


def _keep(work: Path, run: str) -> None:
    """Bundle a run, open the bundle in an empty store, and keep what that store holds."""
    _forensics(work, "bundle", run, "-o", f"{run}.zip", "--include-text")
    _forensics(work, "open", f"{run}.zip", "--store", f"opened-{run}")
    target = HERE / run
    shutil.rmtree(target, ignore_errors=True)
    for part in ("runs", "captures"):
        shutil.copytree(work / f"opened-{run}" / part, target / part, ignore=shutil.ignore_patterns(".*"))
    print(f"{run}: {sum(p.stat().st_size for p in target.rglob('*') if p.is_file()) / 1000:.0f} KB")


def _forensics(work: Path, *words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "forensics", *words], cwd=work, check=True, stdout=subprocess.DEVNULL
    )


if __name__ == "__main__":
    make()
