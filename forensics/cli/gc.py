"""forensics gc: free the space of tensors that no capture needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensics.cli.options import json_option, parse_size, store_option

if TYPE_CHECKING:
    from forensics.store.store import Store

EXAMPLES = """\b
Examples:
  forensics rm night && forensics gc
  forensics gc --dry-run        say how much would be freed
  forensics gc --keep 20        remove all but the 20 newest runs
  forensics gc --max-size 50GB  remove the oldest runs until the store takes no more
"""


@click.command("gc", epilog=EXAMPLES)
@click.option("--dry-run", is_flag=True, help="Say how much would be freed, and free nothing.")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Remove all runs but the N newest.")
@click.option(
    "--max-size",
    callback=parse_size,
    metavar="SIZE",
    help="Remove the oldest runs until the store takes no more.",
)
@json_option
@store_option
def command(dry_run: bool, keep: int | None, max_size: int | None, as_json: bool, store: Path | None) -> None:
    """Free the space of tensors that no capture needs, and of what interrupted captures left.

    A run that an interrupted capture left unsealed is sealed first. Runs are removed only where --keep or
    --max-size say so, the oldest first, and never the newest. `max_store = "50GB"` under [tool.forensics] of
    pyproject.toml has `capture` warn above that.
    """
    from forensics.capture.watchedrun import recover
    from forensics.cli.progress import bar
    from forensics.cli.screen import emit, note
    from forensics.store import upkeep
    from forensics.store.place import find
    from forensics.units import size

    place = find(store)
    freed, gone = 0, []
    if place.root.is_dir():
        if not dry_run:
            recover(place, note)
        gone = upkeep.fewer(place, keep, max_size) if keep or max_size else []
        freed = sum(_remove(place, run, dry_run) for run in gone)
        with bar("Captures", upkeep.count(place)) as tick, place.writing():
            freed += upkeep.collect(place, tick, dry=dry_run, without=gone if dry_run else ())
    nbytes = place.packs.nbytes()
    if as_json:
        emit({"schema": 1, "dry_run": dry_run, "removed": gone, "freed": freed, "kept": nbytes})
        return
    if gone:
        click.echo(f"{'would remove' if dry_run else 'removed'} {', '.join(gone)}")
    click.echo(f"{'would free' if dry_run else 'freed'} {size(freed)}; tensors take {size(nbytes)}")


def _remove(place: Store, run: str, dry: bool) -> int:
    """Bytes of the tables of a run, which go."""
    from forensics.store import proofs, verdicts
    from forensics.store.store import size_of

    paths = [path for path in place.directories(run) if path.is_dir()]
    if dry:
        return sum(map(size_of, paths))
    with place.writing():
        freed = place.remove(paths)
        verdicts.forget(place, run)
        proofs.forget(place, run)
    return freed
