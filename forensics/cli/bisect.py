"""forensics bisect: the first capture of a run at which it turns."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.cli.completion import complete_refs
from forensics.cli.options import json_option, queries_option, store_option

EXAMPLES = """\b
Examples:
  forensics capture --name night --every 10 -- python train.py
  forensics bisect night                             when its first cause began
  forensics bisect night --when weights-not-finite
  forensics bisect night --rerun                     run it again, captured where it is needed
  forensics bisect night --when "SELECT 1 FROM transcripts WHERE capture = $capture AND output = ''"

Exit status: 0 it turns within the run; 1 it holds nowhere, or from the first capture on.
"""


@click.command("bisect", epilog=EXAMPLES)
@click.argument("run", shell_complete=complete_refs)
@click.option(
    "--when",
    metavar="ID|SQL",
    help="A finding, or a SELECT that gives rows where it holds; $capture is the ref.",
)
@click.option(
    "--rerun",
    is_flag=True,
    help="Run it again, in a folder of its own as prove does, captured at a few steps at a time.",
)
@json_option
@queries_option
@store_option
@click.pass_context
def command(
    ctx: click.Context,
    run: str,
    when: str | None,
    rerun: bool,
    as_json: bool,
    queries: Path | None,
    store: Path | None,
) -> None:
    """Name the first capture of a run at which it turns.

    Captures are halved, on the word that what once holds goes on to hold: of 1,000 at most 12 are opened.
    """
    from dataclasses import asdict

    from forensics import evidence
    from forensics.errors import UsageError
    from forensics.judge.bisect import turn
    from forensics.store.place import find
    from forensics.store.store import Run

    place = find(store)
    meant = evidence.run_or_capture(place, run)
    if not isinstance(meant, Run):
        raise UsageError("One capture has no course.", where=run, hint="Name a run.")
    if rerun:
        from forensics.cli.progress import spinner
        from forensics.prove import rerun as again

        with spinner(meant.name) as step:
            turned = again.turn(place, meant, when, queries, step)
    else:
        turned = turn(meant, when, queries)
    if as_json:
        from forensics.cli.screen import emit

        emit({"schema": 1, "run": meant.name, **asdict(turned)})
    elif turned.after is None:
        click.echo(
            f"{turned.when}: it holds at none of {turned.captures} captures that were looked at;"
            f" the last is {turned.before}."
        )
    elif turned.before is None:
        click.echo(f"{turned.when}: it holds at {turned.after} already, the first capture.")
    else:
        click.echo(f"{turned.when}: it turns at {turned.after}; at {turned.before} it does not hold yet.")
        click.echo(
            f"{turned.opened} of {turned.captures} captures were opened."
            f" forensics diff {turned.before} {turned.after}",
            err=True,
        )
    ctx.exit(0 if turned.before and turned.after else 1)
