"""forensics open: check a bundle and bring it into the store."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.cli.options import json_option, key_option, store_option

EXAMPLES = """\b
Examples:
  forensics open bug.zip                 check, then import under the names that it has
  forensics open bug.zip --as issue-17   under another
  forensics open bug.zip --key ann.pem   only if it was signed with the private key of this public one
  forensics diagnose bug.zip             without importing

Exit status: 0 imported, or there already; 2 it cannot be written; 3 the bundle is damaged, hostile, or not
signed with the key: nothing was kept.
"""


@click.command("open", epilog=EXAMPLES)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--as",
    "name",
    metavar="NAME",
    help="Name of the run here; of several runs, what stands before their names.",
)
@key_option
@json_option
@store_option
def command(path: Path, name: str | None, key: Path | None, as_json: bool, store: Path | None) -> None:
    """Check a bundle and bring its runs into the store.

    Everything in it is checked before anything is kept: it is rebuilt row by row in a process of its own,
    with little memory and little time. Opening the same bundle again changes nothing.
    """
    from forensics.bundle import import_
    from forensics.cli.screen import emit, note
    from forensics.errors import UsageError
    from forensics.store.place import find

    if not path.is_file():
        raise UsageError(f"There is no file {str(path)!r}.", where=str(path), hint="Check the path.")
    place = find(store)
    landed = import_.bring_in(place, path, name, key)
    if landed.already and name is not None and not _bears(landed.runs, name):
        note(f"forensics: it is here already, as {', '.join(landed.runs)}; --as {name} changes nothing.")
    if as_json:
        emit(
            {
                "schema": 1, "id": landed.id, "runs": list(landed.runs), "level": landed.level,
                "already": landed.already, "signed": landed.signed, "checked": key is not None,
                "waiting": landed.waiting, "against": list(landed.against),
            }
        )  # fmt: skip
        return
    runs = ", ".join(landed.runs)
    click.echo(
        f"{'already here' if landed.already else 'opened'}: {runs} (level"
        f" {landed.level}{_signed(landed.signed, key)})"
    )
    if landed.dropped:
        click.echo(f"  {landed.dropped:,} values of a newer version were left out.")
    if landed.waiting:
        tensors = (
            "1 tensor is stored as a difference"
            if landed.waiting == 1
            else f"{landed.waiting:,} tensors are stored as differences"
        )
        click.echo(
            f"  {tensors} from {' and '.join(landed.against)}, whose tensors are not in this store.\n"
            "  To read them, capture that model here (forensics capture MODEL), then open the bundle again."
        )
    alone = len(place.run(landed.runs[0]).captures) < 2
    click.echo(f"Next: forensics {'show' if alone else 'diagnose'} {landed.runs[0]}")


def _bears(runs: tuple[str, ...], name: str) -> bool:
    """Are the runs called what --as asks for?"""
    return runs == (name,) if len(runs) == 1 else all(run.startswith(f"{name}-"[:64]) for run in runs)


def _signed(signed: bool, key: Path | None) -> str:
    if key is not None:
        return f", signed with the key of {key}"
    return ", signed: --key PUBLIC.pem checks by whom" if signed else ""
