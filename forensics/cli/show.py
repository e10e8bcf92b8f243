"""forensics show: what one capture or run holds."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.cli.completion import complete_refs
from forensics.cli.options import json_option, store_option

EXAMPLES = """\b
Examples:
  forensics show                       the newest run
  forensics show night                 a run: models, captures, loss, answers, what is missing
  forensics show night@end             one capture: parameters, modules, adapter, settings, answers
  forensics show ./model               a model on disk
"""


@click.command("show", epilog=EXAMPLES)
@click.argument("ref", required=False, shell_complete=complete_refs)
@json_option
@store_option
def command(ref: str | None, as_json: bool, store: Path | None) -> None:
    """Show what one capture or run holds, and what is missing in it."""
    from forensics import evidence
    from forensics.cli.screen import emit, show, width
    from forensics.errors import UnknownRef
    from forensics.store import facts
    from forensics.store.place import find
    from forensics.store.store import Run

    place = find(store)
    subject = evidence.run_or_capture(place, ref) if ref is not None else place.newest()
    if subject is None:
        raise UnknownRef(
            "Nothing is captured yet.", where=str(place.root), hint="forensics capture -- python train.py"
        )
    if isinstance(subject, Run):
        about = facts.of_run(subject)
    else:
        owner = subject.store.run(subject.run.removeprefix(subject.prefix)) if subject.store else None
        about = facts.of_capture(subject, owner)
    if as_json:
        from forensics.typed import plain

        emit(plain(about))
        return
    from forensics.report.terminal.summary import capture, run

    show((run if about["kind"] == "run" else capture)(about, width()))
