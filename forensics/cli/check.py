"""forensics check: capture a command, diagnose it, and exit as `git bisect run` and CI want it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensics.cli.capture import CommandAfterDashes
from forensics.cli.options import json_option, queries_option, store_option
from forensics.cli.screen import note
from forensics.errors import UsageError, no_such_finding

if TYPE_CHECKING:
    from forensics.records import Diagnosis

EXAMPLES = """\b
Examples:
  forensics check -- python train.py
  forensics check --only padding-in-loss -- python train.py
  git bisect run forensics check --only padding-in-loss -- python train.py

Exit status: 0 the findings asked for were evaluated and are absent; 1 one is present; 125 they could not be
evaluated, or the program failed first, which `git bisect` skips (with --plain-status 4, or the program's
own); after Ctrl-C the program's.
"""
SKIP, PRESENT, INCONCLUSIVE = 125, 1, 4
_INTERRUPTED = (130, 2)


@click.command("check", cls=CommandAfterDashes, epilog=EXAMPLES)
@click.option("--only", multiple=True, metavar="ID", help="Ask for this finding alone; may be given again.")
@click.option(
    "--fail-on", type=click.Choice(["error", "warning", "info"]), default="warning", show_default=True,
    help="Without --only: the least severe finding that counts.",
)  # fmt: skip
@click.option(
    "--plain-status", is_flag=True, help="Instead of 125 the status that diagnose has, or the program's own."
)
@click.option("--name", metavar="NAME", help="Name of the run; default: the script's.")
@click.option(
    "--expect",
    type=click.Choice(["lora", "dora", "full", "none"]),
    help="What is meant to be trained, as in capture.",
)
@click.option("--no-reload", is_flag=True, help="Do not load what was saved in a fresh process.")
@json_option
@queries_option
@store_option
@click.pass_context
def command(
    ctx: click.Context,
    only: tuple[str, ...],
    fail_on: str,
    plain_status: bool,
    name: str | None,
    expect: str | None,
    no_reload: bool,
    as_json: bool,
    queries: Path | None,
    store: Path | None,
) -> None:
    """Capture a command, diagnose it, and exit for CI and `git bisect run`.

    The run stays in the store: `forensics report` and `forensics bundle` take it from there.
    """
    words: tuple[str, ...] = ctx.meta.get("forensics.command", ())
    if not words:
        raise UsageError(
            "A command is missing.", where="forensics check", hint="forensics check -- python train.py"
        )
    from forensics.capture.watchedrun import Settings, watch_run
    from forensics.judge import library
    from forensics.judge.diagnose import diagnose_opened, document
    from forensics.judge.resolver import opened
    from forensics.store.place import find

    _check_ids(only, [detector.name for detector in library.load(queries).detectors])
    place = find(store)
    ran = watch_run(
        place, words, Settings(name=name, expect=expect, reload=not no_reload, selftest="full"), note, note
    )
    if ran.exit_code in _INTERRUPTED and ran.run is None:
        ctx.exit(ran.exit_code)
    if ran.run is None:
        note("forensics: nothing was recorded, so nothing can be judged.")
        ctx.exit((ran.exit_code or INCONCLUSIVE) if plain_status else SKIP)
    judged = diagnose_opened(opened(place, (ran.run,), queries=queries))
    assert not hasattr(judged, "runs")  # of one run
    status = verdict_status(judged, only, fail_on)
    if status != PRESENT and ran.exit_code:
        note(f"forensics: the program failed: exit {ran.exit_code}.")
        status = ran.exit_code if plain_status else SKIP
    elif status == INCONCLUSIVE and not plain_status:
        status = SKIP
    if as_json:
        from forensics.cli.screen import emit

        emit(
            {
                "schema": 1,
                "run": ran.run,
                "program_status": ran.exit_code,
                "status": status,
                "diagnosis": document(judged),
            }
        )
    else:
        _show(judged, only)
    ctx.exit(status)


def verdict_status(judged: Diagnosis, only: tuple[str, ...], fail_on: str) -> int:
    """0 evaluated and absent, 1 present, 4 not evaluated."""
    from forensics.cli.diagnose import status

    if not only:
        return status(judged, fail_on)
    if any(finding.id in only for finding in judged.findings):
        return PRESENT
    return INCONCLUSIVE if any(outcome.id in only for outcome in judged.not_evaluated) else 0


def _check_ids(only: tuple[str, ...], detectors: list[str]) -> None:
    """Refuse an id that no detector gives, before the command is run."""
    for item in only:
        if item not in detectors:
            raise no_such_finding(item, detectors, "--only")


def _show(judged: Diagnosis, only: tuple[str, ...]) -> None:
    from forensics.cli.screen import show, width

    if not only:
        from forensics.report.terminal.diagnosis import diagnosis

        show(diagnosis(judged, width(), everything=False, steps=[], heat=None))
        return
    missing = {outcome.id: outcome.needs for outcome in judged.not_evaluated}
    claims = {finding.id: finding.claim for finding in judged.findings}
    for item in only:
        click.echo(
            f"{item}:"
            f" {claims.get(item) or (f'not evaluated: {missing[item]}' if item in missing else 'absent')}"
        )
