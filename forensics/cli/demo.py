"""forensics demo: three trainers on a real model, captured and diagnosed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensics.environment import inherited
from forensics.errors import UsageError

if TYPE_CHECKING:
    from forensics.demo.story import Recipe, Running, Trainer

EXAMPLES = """\b
Examples:
  forensics demo                  SmolLM2-135M-Instruct, about five minutes on two cores
  forensics demo --model tiny     a model made on the spot, about one minute
  forensics demo --out /tmp/demo  leave the evidence there
"""


@click.command("demo", epilog=EXAMPLES)
@click.option(
    "--model",
    type=click.Choice(["smollm2", "tiny"]),
    default="smollm2",
    show_default=True,
    help="The model that is trained.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("forensics-demo"),
    show_default=True, help="Where captures, adapters and logs are left.",
)  # fmt: skip
def command(model: str, out: Path) -> None:
    """Tell the whole story on a real model: capture, diagnose, report.

    Three trainers teach a chat model one answer. The first says that it uses LoRA and does not; the second
    really does, and still ends up saying <|endoftext|>; the third is right. Each is captured as it runs, and
    diagnosed from the captures alone.
    """
    from forensics.demo import story

    if (out / ".forensics").exists():
        hint = f"Remove it, or give another: forensics demo --out {out}-2"
        raise UsageError("The demo's directory holds captures already.", where=str(out), hint=hint)
    recipe = story.RECIPES[model]
    _say(
        f"Three trainers teach a model to answer “{story.QUESTION}”. This takes about"
        f" {recipe.seconds // 60 or 1} min."
    )
    directory = story.model_directory(model)
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for ended in _run_all(directory, recipe, out):
        _tell(ended, out)
    _proof(model)
    click.echo(_CLOSING.format(out=out))
    _say(f"done in {time.monotonic() - began:.0f} s")


def _run_all(model: Path, recipe: Recipe, out: Path) -> list[Running]:
    """Run the trainers, some side by side; returns them in the story's order. Ctrl-C stops those that run."""
    from forensics.demo import story

    waiting: list[Trainer] = list(story.STORY)
    running: list[Running] = []
    finished: list[Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < recipe.at_once:
                running.append(story.Running(waiting.pop(0), model.resolve(), recipe, out.resolve()))
                _say(
                    f"  capturing {running[-1].trainer.run:12} forensics capture -- python"
                    f" {running[-1].trainer.script}"
                )
            time.sleep(0.2)
            for item in [r for r in running if r.ended]:
                running.remove(item)
                finished.append(item)
                item.check()
                _say(f"  captured  {item.trainer.run:12} {item.last_loss()}")
    finally:
        for item in running:
            item.stop()
    order = [trainer.run for trainer in story.STORY]
    return sorted(finished, key=lambda each: order.index(each.trainer.run))


def _tell(ended: Running, out: Path) -> None:
    """What the trainer said of itself, what its model answers, and what the captures say."""
    trainer = ended.trainer
    click.echo()
    click.echo(click.style(f"{trainer.run}: {trainer.title}. {trainer.about}", bold=True))
    answer = ended.answer()
    shown = answer if len(answer) <= 70 else answer[:67] + "..."
    click.echo(
        f"  The trainer's last line was “{ended.last_loss()}”. Its model answers: {shown or '(nothing)'}"
    )
    for words in (["diagnose", trainer.run], ["report", trainer.run, "-o", str(out / f"{trainer.run}.html")]):
        click.echo(f"  $ forensics {' '.join(words)}")
        sys.stdout.flush()
        variables = {**inherited(), "FORENSICS_STORE": str(out / ".forensics")}
        done = subprocess.run([sys.executable, "-m", "forensics", *words], env=variables, check=False)
        if done.returncode not in (0, 1, 4):
            raise UsageError(
                f"forensics {words[0]} of {trainer.run} ended with status {done.returncode}.",
                str(out),
                "See above.",
            )


_RECORDED = {"smollm2": "smollm2", "tiny": "broken-stub"}
"""Of each model: the proof of the first run as it was recorded, beside the snapshot `broken-stub`."""


def _proof(model: str) -> None:
    """What a proof of the first run says, as it was recorded on this model.

    To prove takes some eight to twelve runs.
    """
    from forensics.cli.screen import show, width
    from forensics.refs import snapshot
    from forensics.report.terminal.proving import proof
    from forensics.store import proofs

    recorded = snapshot("broken-stub")
    document = proofs.recall(recorded.store, _RECORDED[model]) if recorded.store else None
    if document is None:
        return
    click.echo()
    click.echo(
        click.style(
            "Which of the two makes the spam? As `forensics prove broken-stub` told it on this model:",
            bold=True,
        )
    )
    show(proof(document, width()))


_CLOSING = """
The half-mended trainer had a perfect adapter and still said <|endoftext|>: the padding
that its loss never masked taught it to. Whoever stops at "no LoRA found" meets the same
spam again. The evidence of all three runs lies in {out}. Look for yourself:

  cd {out}
  forensics list
  forensics diagnose broken-stub fixed       what the one does that the other does not
  forensics query loss-by-role padded-lora   what the loss trained on
  forensics sql "SELECT capture, prompt, output FROM transcripts"
  forensics capture --name mine -- python train.py && forensics diagnose mine
"""


def _say(line: str) -> None:
    click.echo(line, err=True)
