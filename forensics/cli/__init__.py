"""The command line: each command is a module of this package.

A command's module is imported when the command is used, so that `--help` stays fast.
"""

from __future__ import annotations

import importlib
import os
import sys
from gc import set_threshold  # the module's own name is that of a command
from typing import Any, NoReturn

import click

from forensics import __version__
from forensics.cli.errors import debug_option, failed, unexpected
from forensics.cli.screen import colour, hush, note, open_streams
from forensics.cli.words import behind_command, no_such_command
from forensics.environment import lean
from forensics.errors import ForensicsError, interrupted

COMMANDS = {
    "demo": "Tell the whole story on a real model: capture, diagnose, report.",
    "capture": "Record a training run, or a model at rest.",
    "list": "Show the runs and captures of the store.",
    "show": "Show what one capture or run holds.",
    "diff": "Compare two captures, models or runs.",
    "diagnose": "Name the cause of what went wrong, with its evidence.",
    "prove": "Run it again with a cause taken away, and see what goes with it.",
    "bisect": "Name the first capture of a run at which it turns.",
    "check": "Capture a command, diagnose it, and exit for CI and git bisect.",
    "report": "Write everything that was found as one page.",
    "query": "Ask one of the prepared questions.",
    "sql": "Ask in SQL, read-only.",
    "explain": "Say what a finding means, how it looks and how to mend it.",
    "schema": "Show the tables and their columns.",
    "mcp": "Serve the store to an assistant, read-only.",
    "bundle": "Write runs into one zip that may leave the machine.",
    "open": "Check a bundle and bring it into the store.",
    "verify": "Check that evidence is what was recorded.",
    "rm": "Remove a run or a capture.",
    "gc": "Free the space of tensors that no capture needs.",
    "doctor": "Show what is installed, what would be seen, and how the store is.",
}
"""Command name to its one line of help, in the order of `--help`.

Each is `command` in the module of its name.
"""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

EPILOG = """\b
Start here:
  forensics capture --name night -- python train.py
  forensics diagnose night
Nothing captured yet? The package ships recorded runs:
  forensics diagnose snapshots/broken-stub
--store, --queries, --json and --debug may stand before the command or after it.
"""


class _Lazy(click.Group):
    """Lists commands without importing them, and ends as the contract says where one cannot go on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, behind_command(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not ctx.resilient_parsing and not args[0].startswith("-"):
            raise no_such_command(args[0], COMMANDS, args)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]  # `list` is a command here

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"forensics.cli.{cmd_name}")
        command: click.Command = module.command
        if all(param.name != "debug" for param in command.params):
            command.params.append(debug_option(hidden=True))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def main(self, *args: Any, **more: Any) -> NoReturn:
        open_streams()
        if "_FORENSICS_COMPLETE" in os.environ:
            from forensics.cli.completion import know_bash

            know_bash()
        try:
            status = super().main(*args, **{**more, "standalone_mode": False, "color": colour()})
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            status = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            note("forensics: interrupted.")
            hush(sys.stdout)
            status = INTERRUPTED
        except (click.ClickException, OSError) as error:
            status = failed(error)
        sys.exit(status)

    def invoke(self, ctx: click.Context) -> Any:
        lean()
        # rows by the hundred thousand, and hardly a cycle: looking for them took a fifth of the time
        set_threshold(100_000, 50, 100)
        try:
            return super().invoke(ctx)
        except (ForensicsError, click.ClickException, OSError) as error:
            ctx.exit(failed(error, ctx))
        except Exception as error:  # noqa: BLE001   whatever it is, status 1 says that there is a finding
            if isinstance(error, click.exceptions.Exit | click.Abort):
                raise
            if interrupted(error):
                raise KeyboardInterrupt from None
            ctx.exit(failed(unexpected(error, sys.argv[1:]), ctx))


@click.group(
    cls=_Lazy,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="forensics")
def main() -> None:
    """Find out why a fine-tuned model came out wrong.

    Records an MLX training run from outside, compares any two records, and names the cause with its evidence.
    """


main.params.append(debug_option())
