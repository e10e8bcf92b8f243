"""forensics gc: free the space of tensors that no capture needs."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.cli.options import json_option, store_option

EXAMPLES = """\b
Examples:
  forensics rm night && forensics gc
  forensics gc --dry-run        say how much would be freed
"""


@click.command("gc", epilog=EXAMPLES)
@click.option("--dry-run", is_flag=True, help="Say how much would be freed, and free nothing.")
@json_option
@store_option
def command(dry_run: bool, as_json: bool, store: Path | None) -> None:
    """Free the space of tensors that no capture needs, and of what interrupted captures left.

    A run that an interrupted capture left unsealed is sealed first.
    """
    from forensics.capture.watched import recover
    from forensics.cli.progress import bar
    from forensics.cli.screen import emit, note
    from forensics.store import upkeep
    from forensics.store.place import find
    from forensics.units import size

    place = find(store)
    freed = 0
    if place.root.is_dir():
        if not dry_run:
            recover(place, note)
        with bar("Captures", upkeep.count(place)) as tick, place.writing():
            freed = upkeep.collect(place, tick, dry=dry_run)
    kept = place.packs.nbytes()
    if as_json:
        emit({"schema": 1, "dry_run": dry_run, "freed": freed, "kept": kept})
    else:
        click.echo(f"{'would free' if dry_run else 'freed'} {size(freed)}; tensors take {size(kept)}")
