"""The rules that a query must keep before it is trusted.

One SELECT, the columns of its kind, no private column, no parameter that a column shadows.

Ours are checked by the tests, private ones whenever they are loaded.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable, Iterator
from typing import Any

from forensics import schema
from forensics.errors import QueryError
from forensics.judge.library import Library, Sql
from forensics.judge.query import COLUMNS, Detector, Query

_COLUMN = re.compile(r"(\w+) (?:VARCHAR|DOUBLE|BIGINT|INTEGER|BOOLEAN)\b")


def columns() -> dict[str, dict[str, bool]]:
    """Table to its columns in schema.sql, each with whether it is private.

    The comment on a private column's line begins with `private:`.
    """
    tables: dict[str, dict[str, bool]] = {}
    for table, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", schema.text(), re.S):
        tables[table] = {
            name: "-- private" in line
            for line in body.splitlines()
            for name in _COLUMN.findall(line.partition("--")[0])
        }
    return tables


def hide_private(session: Sql) -> None:
    """Drop every private column from an empty session, so that a query that reads one no longer binds."""
    for table, names in columns().items():
        for name in (name for name, private in names.items() if private):
            session.script(f'ALTER TABLE {table} DROP COLUMN "{name}"')


def check(library: Library, session: Sql, *, only: Iterable[Query] | None = None) -> None:
    """Hold queries to the rules.

    `session` is an empty one, whose private columns are dropped here and whose macros are made here.

    Raises:
        QueryError: the first query that breaks one, with its file and what to do.
    """
    queries = list(only) if only is not None else list(library.queries.values())
    tables = columns()
    for query in queries:
        _one_select(query, library, session, tables)
    library.install(session)
    for query in queries:
        _binds(query, session)
    hide_private(session)
    for query in (q for q in queries if isinstance(q, Detector)):
        _detector(query, library, session)


def _one_select(query: Query, library: Library, session: Sql, tables: dict[str, dict[str, bool]]) -> None:
    """By DuckDB's own parser: a second statement would run while the macro is made."""
    parsed = json.loads(str(session.rows("SELECT json_serialize_sql(?) AS tree", [query.body])[0]["tree"]))
    if parsed.get("error"):
        raise QueryError(
            f"It is not one SELECT: {parsed.get('error_message')}",
            str(query.path),
            "Write one SELECT under the header.",
        )
    if len(parsed["statements"]) != 1:
        raise QueryError(
            "There is more than one statement.", str(query.path), "Keep one SELECT; helpers go into lib/."
        )
    node = parsed["statements"][0]["node"]
    if not any(m["type"] == "ORDER_MODIFIER" for m in node["modifiers"]):
        raise QueryError(
            "There is no ORDER BY at its end.",
            str(query.path),
            "Order the rows, so that equal evidence reads equally.",
        )
    nodes = list(_walk(node))
    used = {n["table_name"].lower() for n in nodes if n.get("type") == "BASE_TABLE"}
    if (shared := used & library.tables.keys() - _named(nodes)) != set(query.reads):
        raise QueryError(
            f"reads must name what the SELECT reads of the pair: {', '.join(sorted(shared)) or 'nothing'}.",
            str(query.path),
            "Mend the key.",
        )
    if used & {"parameters"}:
        used |= {"placements", "tensors"}
    names = {name for table in used & tables.keys() for name in tables[table]} | {
        str(n.get("alias", "")).lower() for n in nodes
    }
    for parameter in query.params:
        if parameter.name in names:
            raise QueryError(
                f"The parameter {parameter.name} bears the name of a column that the query reads:"
                " it would match every row.",
                str(query.path),
                f"Call it {parameter.name}_at_least, or the like.",
            )


def _named(nodes: Iterable[dict[str, Any]]) -> set[str]:
    """Names that WITH gives: they hide the tables of the pair."""
    return {
        str(entry["key"]).lower() for node in nodes if (map_ := node.get("cte_map")) for entry in map_["map"]
    }


def _walk(tree: object) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _walk(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _walk(value)


def _binds(query: Query, session: Sql) -> dict[str, str]:
    """Columns and types of a query's rows."""
    arguments = ", ".join(["''"] * query.refs)
    try:
        rows = session.rows(f"DESCRIBE SELECT * FROM {query.macro}({arguments})")
    except QueryError as error:
        raise QueryError(f"DuckDB refuses it: {error.message}", str(query.path), "Mend the SQL.") from error
    return {str(row["column_name"]): str(row["column_type"]) for row in rows}


def _detector(query: Detector, library: Library, session: Sql) -> None:
    try:
        session.script(library.create(query))
        types = _binds(query, session)
    except QueryError as error:
        raise QueryError(
            f"It does not stand without private columns: {error.message}",
            str(query.path),
            "Read classes, counts and digests instead.",
        ) from error
    for name in COLUMNS:
        if name not in types:
            raise QueryError(
                f"It gives no column {name}.", str(query.path), f"A detector gives {', '.join(COLUMNS)}."
            )
    if types["fault"] != "BOOLEAN":
        raise QueryError(
            f"Its column fault is {types['fault']}, not BOOLEAN.", str(query.path), "Compare, don't count."
        )
    for key in ("claim", "clean", "fix"):
        for name in placeholders(query.text(key)):
            if name not in types and name not in ("n", "looked"):
                raise QueryError(
                    f"{key} holds {{{name}}}, which is no column.",
                    str(query.path),
                    f"Columns: {', '.join(types)}.",
                )
    for other, column in query.links.items():
        if column is not None and types.get(column) != "BOOLEAN":
            raise QueryError(
                f"explains {other} when {column}, which is no BOOLEAN column.",
                str(query.path),
                "Name one of its columns.",
            )
    for fact in query.names("needs"):
        if fact not in library.facts:
            raise QueryError(
                f"needs names {fact!r}, which is no fact.",
                str(query.path),
                f"Facts: {', '.join(sorted(library.facts))}.",
            )
    for key in ("explains", "rules out"):
        for name in query.names(key):
            if not isinstance(library.queries.get(name), Detector):
                raise QueryError(
                    f"{key} names {name!r}, which is no detector.", str(query.path), "Mend the name."
                )


def placeholders(text: str) -> list[str]:
    """Names in braces of a header's text."""
    try:
        return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError:
        return [text]
