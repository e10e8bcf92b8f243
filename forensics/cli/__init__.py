"""The command line. Commands are modules of this package, imported when they are used: `--help` must stay fast."""

from __future__ import annotations

import importlib
import os
import sys
from gc import set_threshold  # the module's own name is that of a command
from typing import Any

import click

from forensics import __version__
from forensics.environment import lean
from forensics.errors import ForensicsError

COMMANDS = {
    "demo": "Tell the whole story on a real model: capture, diagnose, report.",
    "capture": "Record a training run, or a model at rest.",
    "list": "Show the runs and captures of the store.",
    "show": "Show what one capture or run holds.",
    "diff": "Compare two captures, models or runs.",
    "diagnose": "Name the cause of what went wrong, with its evidence.",
    "report": "Write everything that was found as one page.",
    "query": "Ask one of the prepared questions.",
    "sql": "Ask in SQL, read-only.",
    "bundle": "Write runs into one zip that may leave the machine.",
    "open": "Check a bundle and bring it into the store.",
    "verify": "Check that evidence is what was recorded.",
    "rm": "Remove a run or a capture.",
    "gc": "Free the space of tensors that no capture needs.",
}
"""Command name to its one line of help, in the order of `--help`; each is `command` in the module of its name."""

EPILOG = """\b
Start here:
  forensics capture --name night -- python train.py
  forensics diagnose night
Nothing captured yet? The package ships recorded runs:
  forensics diagnose snapshots/broken-stub
"""


class _Lazy(click.Group):
    """Lists commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"forensics.cli.{cmd_name}")
        found: click.Command = module.command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        lean()
        set_threshold(100_000, 50, 100)  # rows by the hundred thousand, and hardly a cycle: looking for them took a fifth of the time
        try:
            return super().invoke(ctx)
        except ForensicsError as error:
            if ctx.params.get("debug") or os.environ.get("FORENSICS_DEBUG"):
                raise
            _say(error)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # The reader went away (`| head`): nothing to say, and Python must not say it either.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
            ctx.exit(0)


def _say(error: ForensicsError) -> None:
    """One line of what, one of where, one of what to do."""
    click.echo(f"{click.style('error', fg='red', bold=True)}: {error.message}", err=True)
    if error.where:
        click.echo(f"  at: {error.where}", err=True)
    if error.hint:
        click.echo(f"  do: {error.hint}", err=True)


@click.group(cls=_Lazy, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="forensics")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Find out why a fine-tuned model came out wrong.

    Records an MLX training run from outside, compares any two records, and names the cause with its evidence.
    """
