"""forensics verify: is evidence what was recorded?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensics.cli.completion import complete_refs
from forensics.cli.options import json_option, key_option, store_option

if TYPE_CHECKING:
    from forensics.store.upkeep import Checked

EXAMPLES = """\b
Examples:
  forensics verify                         the whole store
  forensics verify night                   one run: its tables, and the bytes of its tensors
  forensics verify snapshots/broken-stub
  forensics verify bug.zip                 a bundle: every member, row and tensor
  forensics verify bug.zip --key ann.pem   and that it was signed with the private key of this public one

Exit status: 0 all as recorded; 3 something is damaged, gone, or not signed with the key.
"""
SHOWN = 20


@click.command("verify", epilog=EXAMPLES)
@click.argument("ref", required=False, shell_complete=complete_refs)
@key_option
@json_option
@store_option
@click.pass_context
def command(ctx: click.Context, ref: str | None, key: Path | None, as_json: bool, store: Path | None) -> None:
    """Check that evidence is what was recorded.

    Every table is compared with the digest in its manifest, and every tensor that was kept is read and
    measured anew.
    """
    from forensics import evidence
    from forensics.cli.progress import bar
    from forensics.errors import UsageError
    from forensics.store.place import find
    from forensics.store.store import Run
    from forensics.store.upkeep import (
        Checked,
        check_directories,
        check_runs,
        check_tensors,
        directories,
        sealed,
        whole_runs,
    )

    place = find(store)
    if key is not None:
        _signed(ref, key)
    checked = Checked()
    if ref is None:
        paths, packs = list(sealed(place)), place.packs
        check_runs(place, whole_runs(place), checked)
    else:
        subjects = evidence.every(place, ref)
        if (holder := subjects[0].store) is None or not (holder.root / "captures").is_dir():
            raise UsageError(
                "A model on disk was never recorded, so there is nothing to compare it with.",
                ref,
                "Name a run or a capture.",
            )
        paths, packs = directories(subjects), holder.packs
        check_runs(holder, [subject for subject in subjects if isinstance(subject, Run)], checked)
    with bar("Tables", len(paths)) as tick:
        digests = check_directories(paths, checked, tick)
    with bar("Tensors", len(digests)) as tick:
        check_tensors(packs, digests, checked, tick)
    if as_json:
        from forensics.cli.screen import emit

        problems = [{"where": where, "what": what} for where, what in checked.problems]
        emit(
            {
                "schema": 1,
                "ok": not problems,
                "captures": checked.captures,
                "files": checked.files,
                "tensors": checked.tensors,
                "problems": problems,
                "signed": True if key is not None else None,
            }
        )
    else:
        _say(checked)
        if key is not None:
            click.echo(f"signed with the key of {key}")
    ctx.exit(3 if checked.problems else 0)


def _signed(ref: str | None, key: Path) -> None:
    """Hold a bundle to its signature."""
    from forensics.bundle import client, signing
    from forensics.errors import UsageError

    path = Path(ref or "")
    if path.suffix != ".zip" or not path.is_file():
        raise UsageError(
            "Only a bundle is signed.", where=ref or "--key", hint="Name the .zip file, or leave --key out."
        )
    signing.check(path, key, str(client.inspect(path)["id"]))


def _say(checked: Checked) -> None:
    from forensics.units import counted

    looked = (
        f"{counted(checked.captures, 'capture')}, {counted(checked.files, 'file')},"
        f" {counted(checked.tensors, 'tensor')}"
    )
    if not checked.problems:
        click.echo(f"{click.style('as recorded', fg='green')}: {looked}")
        return
    click.echo(
        f"{click.style('damaged', fg='red', bold=True)}:"
        f" {counted(len(checked.problems), 'problem')} in {looked}"
    )
    for where, what in checked.problems[:SHOWN]:
        click.echo(f"  {where}: {what}")
    if len(checked.problems) > SHOWN:
        click.echo(f"  and {len(checked.problems) - SHOWN:,} more: --json gives all")
