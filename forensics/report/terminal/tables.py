"""Answers to queries, and the catalogue, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from forensics.report.terminal.lines import fits, hanging, safe, shown_as, table, wrapped

MANY = 4
SHOWN = 200
"""Rows that a terminal is shown; --json and --csv give all."""


def answer(title: str, rows: Sequence[Mapping[str, object]], width: int) -> Text:
    """A query's rows: a table where it fits the width, else one block a row."""
    parts = [wrapped(Text(safe(title), "bold"), width)]
    if not rows:
        return Text("\n").join([*parts, Text("  no rows", "dim")])
    shown = rows[:SHOWN]
    names, always = _columns(rows)
    if always:
        parts.append(
            hanging(
                "",
                "everywhere: " + ", ".join(f"{name} {shown_as(rows[0][name])}" for name in always),
                width,
                label=0,
            )
        )
    cells = [[row[name] for name in names] for row in shown]
    if fits(names, cells, width):
        parts.append(table(names, cells, width))
    else:
        label = max(map(len, names)) + 2
        for row in shown:
            parts.append(Text())
            parts += [
                hanging(name, shown_as(row[name]), width, label=label)
                for name in names
                if row[name] is not None
            ]
    if len(rows) > len(shown):
        parts.append(Text(f"  and {len(rows) - len(shown):,} more rows: --json or --csv gives all", "dim"))
    return Text("\n").join(parts)


def beside(
    rows: Sequence[Mapping[str, object]], run: str, keys: Sequence[str], runs: Sequence[str]
) -> list[dict[str, object]]:
    """Rows of several runs by what they have in common.

    One row a key, and each other column once a run: `loss good`, `loss bad`.

    `run` is the column that names the run.
    """
    values = [name for name in (rows[0] if rows else ()) if name != run and name not in keys]
    blank = {f"{name} {each}": None for name in values for each in runs}
    by_key: dict[tuple[object, ...], dict[str, object]] = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        merged = by_key.setdefault(key, {**dict(zip(keys, key, strict=True)), **blank})
        merged.update({f"{name} {row[run]}": row[name] for name in values})
    return sorted(by_key.values(), key=lambda row: [(row[k] is None, row[k]) for k in keys])


def _columns(rows: Sequence[Mapping[str, object]]) -> tuple[list[str], list[str]]:
    """Columns to show, and those that hold one value in all of many rows, which is said once.

    What was never captured says nothing.
    """
    known = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    if len(rows) < MANY:
        return known, []
    always = [name for name in known if all(row[name] == rows[0][name] for row in rows)]
    return [name for name in known if name not in always] or known[:1], always if len(always) < len(
        known
    ) else always[1:]


def catalogue(questions: Sequence[tuple[str, str]], detectors: Sequence[tuple[str, str]], width: int) -> Text:
    """Every query by name with its title."""
    parts = []
    for head, queries in (("Questions", questions), ("Detectors, by the finding that they give", detectors)):
        label = max((len(name) for name, _ in queries), default=0) + 2
        parts.append(
            Text("\n").join(
                [
                    Text(head, "bold"),
                    *(hanging(name, safe(title), width, label=label) for name, title in queries),
                ]
            )
        )
    return Text("\n\n").join([*parts, Text("forensics query NAME RUN   asks one", "dim")])
