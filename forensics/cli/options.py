"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.errors import UsageError


def one_form(**forms: object) -> None:
    """Refuse to answer in two forms at once: options of one name each, and what was given for them.

    Raises:
        UsageError: two are asked for.
    """
    given = [f"--{option}" for option, value in forms.items() if value]
    if len(given) > 1:
        raise UsageError("One answer has one form.", where=" ".join(given), hint=f"Leave out {given[1]}.")


def parse_size(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """50GB to its number of bytes, as a callback of an option."""
    from forensics.units import parse

    try:
        return None if value is None else parse(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no size, such as 500MB or 50GB.") from None


def _settled(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Before a store is read, seal what an interrupted capture left in it.

    `capture` and `gc` do that themselves, in their time.

    A place that can be no store is said here, but for `capture`, which runs the user's command all the same.
    """
    if value is not None and value.is_file() and ctx.command.name != "capture":
        raise click.BadParameter(f"{str(value)!r} is a file, and a store is a directory.", ctx, parameter)
    from forensics.store.store import directory

    left = Path(directory(value)) / "spool"
    if (
        ctx.command.name not in ("capture", "gc")
        and not ctx.resilient_parsing
        and left.is_dir()
        and any(left.iterdir())
    ):
        from forensics.capture.watchedrun import recover
        from forensics.cli.screen import note
        from forensics.store.place import find

        recover(find(value), note)
    return value


store_option = click.option(
    "--store", type=click.Path(path_type=Path), metavar="DIR", envvar="FORENSICS_STORE",
    callback=_settled,
    help="Where captures live; default: $FORENSICS_STORE, else .forensics here or in a folder above.",
)  # fmt: skip


def _trust(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from forensics.cli.screen import note
        from forensics.model.trust import trust

        trust(note)


trust_option = click.option(
    "--trust", is_flag=True, expose_value=False, callback=_trust,
    help="Let a model on disk run code of its own when it is loaded (model_file, auto_map);"
    " what runs is said.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
csv_option = click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values, for a spreadsheet.")
parquet_option = click.option(
    "--parquet", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a Parquet file."
)
queries_option = click.option(
    "--queries", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="Private queries and detectors beside ours.",
)  # fmt: skip
key_option = click.option(
    "--key", type=click.Path(dir_okay=False, path_type=Path), metavar="PUBLIC",
    help="Public key (PEM) with whose private key it must be signed; needs mlx-forensics[sign].",
)  # fmt: skip
