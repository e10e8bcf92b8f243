"""forensics sql: any read-only SQL over the store, in a child process that cannot do more."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from forensics.cli.options import (
    csv_option,
    json_option,
    one_form,
    parquet_option,
    queries_option,
    store_option,
)
from forensics.errors import UsageError
from forensics.judge.usersql import Running
from forensics.units import counted

EXAMPLES = """\b
Examples:
  forensics sql "SELECT run, point, updates FROM captures"
  forensics sql "SELECT name, l2, max FROM parameters WHERE capture = 'night@end' AND nans > 0"
  forensics sql "FROM parameter_diff('night@start', 'night@end') WHERE NOT identical"
  forensics sql "DESCRIBE steps"
  forensics sql "PIVOT steps ON run USING first(loss) GROUP BY step"
  forensics sql --parquet tensors.parquet "FROM tensors"
  forensics sql --csv "SELECT step, loss FROM steps" > steps.csv
  echo "SELECT count(*) FROM tensors" | forensics sql -
"""
MEMORY = "2GB"
UNITS = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def _bytes(_: click.Context, __: click.Parameter, value: str) -> int:
    """2GB to its number of bytes."""
    number, unit = value[:-2], value[-2:].upper()
    with suppress(ValueError):
        if unit in UNITS and (size := int(float(number) * UNITS[unit])) >= 64 << 20:
            return size
    raise click.BadParameter(f"{value!r} is no size of at least 64MB, such as 512MB or 2GB.")


class _Commented(click.Command):
    """A command whose argument may begin with an SQL comment, as the files of queries/ do.

    No option has a space after its hyphens, so the two cannot be confused.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f" {arg}" if re.match(r"--(\s|.*\n)", arg) else arg for arg in args])


@click.command("sql", cls=_Commented, epilog=EXAMPLES)
@click.argument("query")
@click.option(
    "--memory",
    callback=_bytes,
    default=MEMORY,
    show_default=True,
    metavar="SIZE",
    help="Memory that the query may take.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up after this.",
)
@parquet_option
@csv_option
@json_option
@queries_option
@store_option
def command(
    query: str,
    memory: int,
    timeout: float,
    parquet: Path | None,
    as_csv: bool,
    as_json: bool,
    queries: Path | None,
    store: Path | None,
) -> None:
    """Ask in SQL, read-only, over all captures of the store, and of nothing else.

    Tables and columns are those of queries/schema.sql; every prepared question is a table macro. Its refs are
    captures and runs of the store; paths and snapshots are asked of with `forensics query`. The query sees no
    file, no network and no setting, so one from a stranger can be run. QUERY - reads it from standard input.
    """
    one_form(json=as_json, csv=as_csv, parquet=parquet)
    catalogue = _catalogue(store)
    request = {"catalog": str(catalogue.resolve()), "queries": str(queries.resolve()) if queries else None}
    answer = Running(request, _text(query), memory, timeout)
    from forensics.cli.screen import comma_separated

    columns = answer.columns()
    if parquet is not None:
        from forensics.cli import parquet as file
        from forensics.cli.screen import note

        count = file.write(parquet, columns, answer.types, answer.rows())
        note(f"forensics: {counted(count, 'row')} in {parquet}")
    elif as_json:
        _as_json(columns, answer.rows())
    elif as_csv:
        comma_separated(columns, ([_flat(value) for value in row] for row in answer.rows()))
    else:
        _as_table(columns, answer.rows())


def _text(query: str) -> str:
    """The query as it was typed, in an environment that takes it for ASCII too."""
    given = sys.stdin.buffer.read() if query == "-" else query.encode("utf-8", "surrogateescape")
    return given.decode("utf-8", "replace")


def _catalogue(store: Path | None) -> Path:
    """The catalogue of the store, brought up to date."""
    from forensics import schema
    from forensics.cli.progress import spinner
    from forensics.judge import library
    from forensics.store import catalog
    from forensics.store.place import find

    place = find(store)
    if not place.run_names():
        raise UsageError(
            "Nothing is captured yet.", where=str(place.root), hint="forensics capture -- python train.py"
        )
    version = catalog.fingerprint(schema.queries().rglob("*.sql"))
    with spinner("Reading captures") as step:
        return catalog.up_to_date(
            place, lambda session: library.load(None).install(session), version, _warn, step
        )


def _warn(line: str) -> None:
    from forensics.cli.screen import note

    note(f"forensics: {line}")


def _as_json(columns: list[str], rows: Iterator[list[Any]]) -> None:
    """One document, written as the rows come: an answer may be larger than memory."""
    from forensics.cli.screen import ascii_alone, spelled

    write, escaped = sys.stdout.write, ascii_alone()
    columns = [name if columns.index(name) == n else f"{name}_{n + 1}" for n, name in enumerate(columns)]
    write(spelled(json.dumps({"schema": 1, "columns": columns}, ensure_ascii=escaped))[:-1] + ', "rows": [')
    for n, row in enumerate(rows):
        write(
            ("," if n else "")
            + "\n  "
            + spelled(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=escaped))
        )
    write("\n]}\n")


def _flat(value: Any) -> Any:
    """A cell of CSV: lists and dictionaries as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _as_table(columns: list[str], rows: Iterator[list[Any]]) -> None:
    from forensics.cli.screen import note, room, show
    from forensics.report.terminal.lines import table
    from forensics.report.terminal.tables import SHOWN

    shown: list[list[Any]] = []
    more = 0
    for row in rows:
        if len(shown) < SHOWN:
            shown.append(row)
        else:
            more += 1
    show(table(columns, shown, room(), indent=0), paged=True)
    if more:
        note(f"and {more:,} more rows: --json or --csv gives all")
