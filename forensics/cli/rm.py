"""forensics rm: remove a run or a capture."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.cli.completion import complete_refs
from forensics.cli.options import json_option, store_option
from forensics.store.manifest import run_of

EXAMPLES = """\b
Examples:
  forensics rm night                   a run with all its captures
  forensics rm night@step-10           one capture
  forensics rm old-1 old-2 --dry-run   say what would go
"""


@click.command("rm", epilog=EXAMPLES)
@click.argument("refs", nargs=-1, required=True, metavar="REF...", shell_complete=complete_refs)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@json_option
@store_option
def command(refs: tuple[str, ...], dry_run: bool, as_json: bool, store: Path | None) -> None:
    """Remove runs or captures from the store.

    Their tensors stay, since other captures may need them: `forensics gc` frees those that none does.
    """
    from forensics import refs as words
    from forensics.store import proofs, verdicts
    from forensics.store.place import find
    from forensics.store.store import size_of
    from forensics.units import counted, size

    place = find(store)
    # all are found before any is removed
    chosen = {text: words.removable(place, text) for text in dict.fromkeys(refs)}
    freed: dict[str, int] = {}
    removed = []
    for text, paths in chosen.items():
        there = [path for path in paths if path.is_dir()]
        with place.writing():
            freed[text] = sum(map(size_of, there)) if dry_run else place.remove(there)
            if not dry_run:
                verdicts.forget(place, run_of(text))
                proofs.forget(place, run_of(text))
        removed.append({"ref": text, "directories": [path.name for path in there]})
    if as_json:
        from forensics.cli.screen import emit

        emit({"schema": 1, "dry_run": dry_run, "removed": removed, "freed": sum(freed.values())})
        return
    for text, paths in chosen.items():
        count = sum(path.parent.name == "captures" for path in paths)
        click.echo(
            f"{'would remove' if dry_run else 'removed'} {text}:"
            f" {counted(count, 'capture')}, {size(freed[text])}"
        )
    click.echo("forensics gc frees the tensors that no other capture needs", err=True)
