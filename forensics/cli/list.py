"""forensics list: the runs of the store."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.cli.options import json_option, store_option

EXAMPLES = """\b
Examples:
  forensics list                    newest last
  forensics list --captures         every capture, by the ref that other commands take
  forensics list --json
"""


@click.command("list", epilog=EXAMPLES)
@click.option("--captures", is_flag=True, help="One line a capture instead of one a run.")
@json_option
@store_option
def command(captures: bool, as_json: bool, store: Path | None) -> None:
    """Show the runs and captures of the store, oldest first.

    TABLES is what a run takes without its tensors: those are shared by runs, and the last line gives their
    size. The size that capture reported holds both. VERDICT is what diagnose said last; a run that was never
    diagnosed has none.
    """
    from forensics.cli.screen import columns, emit, show
    from forensics.store.overview import document, overview
    from forensics.store.place import find

    place = find(store)
    lines = overview(place)
    packs = place.packs.nbytes()
    if as_json:
        emit(
            {
                "schema": 1,
                "store": str(place.root),
                "packs_nbytes": packs,
                "runs": [document(line) for line in lines],
            }
        )
        return
    from forensics.report.terminal.listing import listing

    show(listing(str(place.root), lines, packs, columns(), captures=captures))
