"""forensics schema: the tables, and what their columns mean."""

from __future__ import annotations

import click

from forensics.cli.options import json_option
from forensics.errors import UsageError, near

EXAMPLES = """\b
Examples:
  forensics schema                  all tables, and the macros that SQL may use
  forensics schema steps            its columns: type, meaning, unit
"""


@click.command("schema", epilog=EXAMPLES)
@click.argument("table", required=False)
@json_option
def command(table: str | None, as_json: bool) -> None:
    """Show the tables and their columns."""
    from forensics import schema

    tables = schema.described()
    if table is not None and table not in tables:
        close = near(table, tables, 1)
        hint = f"Did you mean {close[0]}?" if close else "`forensics schema` lists them."
        raise UsageError(f"There is no table {table!r}.", where="forensics schema", hint=hint)
    chosen = [tables[table]] if table else list(tables.values())
    if as_json:
        from forensics.cli.screen import emit

        emit(
            {
                "schema": 1,
                "tables": [
                    {**choice._asdict(), "columns": [c._asdict() for c in choice.columns]}
                    for choice in chosen
                ],
            }
        )
        return
    from forensics.cli.screen import show, width
    from forensics.report.terminal import reference

    show(reference.table(chosen[0], width()) if table else reference.tables(chosen, _macros(), width()))


def _macros() -> list[tuple[str, str]]:
    """How each question is called in SQL, and what it asks."""
    from forensics.judge import library

    return [(query.signature, query.title) for query in library.load().questions]
