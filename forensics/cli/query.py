"""forensics query: the prepared questions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensics.cli.completion import complete_queries, complete_refs
from forensics.cli.options import csv_option, json_option, one_form, queries_option, store_option
from forensics.errors import UsageError

if TYPE_CHECKING:
    from forensics.judge.library import Library, Query
    from forensics.judge.opened import Opened

EXAMPLES = """\b
Examples:
  forensics query                                     the catalogue
  forensics query parameter-diff night                what moved in a run
  forensics query loss-by-role night                  what its loss taught, step by step
  forensics query padding-in-loss night               the rows behind a finding
  forensics query configs-diff ./base ./trained       two models on disk
  forensics query training-steps night --csv > steps.csv
  forensics query loss-tokens night --set last_step=4
"""


@click.command("query", epilog=EXAMPLES)
@click.argument("name", required=False, shell_complete=complete_queries)
@click.argument("refs", nargs=-1, metavar="[A [B]]", shell_complete=complete_refs)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Give a parameter of the query another value.",
)
@click.option(
    "--adapter",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="With a model on disk: the adapter on it.",
)
@csv_option
@json_option
@queries_option
@store_option
def command(
    name: str | None,
    refs: tuple[str, ...],
    settings: tuple[str, ...],
    adapter: Path | None,
    as_csv: bool,
    as_json: bool,
    queries: Path | None,
    store: Path | None,
) -> None:
    """Ask one of the prepared questions.

    Without NAME, lists them. Each is one .sql file; those that name a finding give the rows behind it, faulty and in order.
    """
    from forensics.judge import library

    one_form(as_json, as_csv)
    if name is None:
        if as_csv:
            raise UsageError(
                "The catalogue has no form of CSV.",
                where="--csv",
                hint="forensics query --json, or name a query.",
            )
        _catalogue(library.load(queries), as_json)
        return
    from forensics.judge.opened import opened
    from forensics.store.place import find

    library.load(queries).get(name)  # an unknown name is said before evidence is opened
    evidence = opened(find(store), refs, adapter=adapter, queries=queries)
    query = evidence.library.get(name)
    # a private query may ask any other
    evidence.library.install_queries(
        evidence.session, evidence.library.detectors if query.private else [query]
    )
    given = _refs(query, evidence, refs)
    columns, found = evidence.session.ask(_call(query, settings), given)
    if not (as_json or as_csv):
        _say(query, evidence, given, found)
    _print(query, columns, found, as_json=as_json, as_csv=as_csv)


def _refs(query: Query, evidence: Opened, words: tuple[str, ...]) -> list[str]:
    """What the query's a and b stand for: its one parameter means the run or the last capture that was named."""
    if evidence.empty is not None:
        return [evidence.empty] * query.refs
    named = (
        words if len(words) == 2 else evidence.questions if evidence.two_runs else ()
    )  # a bundle may hold two runs
    if query.refs == 1 and named:
        hint = f"forensics query {query.name} {' or '.join(named)}"
        raise UsageError(f"{query.name} is asked of one run or capture.", where=" ".join(words), hint=hint)
    return [evidence.b] if query.refs == 1 else [evidence.a, evidence.b][: query.refs]


def _say(query: Query, evidence: Opened, given: list[str], found: list[tuple[Any, ...]]) -> None:
    """On stderr, which captures the words stood for, and why there is no row."""
    from forensics.cli.screen import note
    from forensics.judge.norows import why

    if given:
        note(
            f"forensics: asked of {' and '.join(dict.fromkeys(given))}{', which holds no capture' if evidence.empty else ''}"
        )
    if (
        given
        and not found
        and not evidence.empty
        and (reason := why(evidence.session, evidence.library, query, evidence.a, evidence.b))
    ):
        note(f"forensics: no rows: {reason}")


def _call(query: Query, settings: tuple[str, ...]) -> str:
    """The statement that asks a query."""
    words = ["?"] * query.refs
    known = [p.name for p in query.params if p.default is not None]
    for setting in settings:
        key, _, value = setting.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if key not in known or not math.isfinite(number):
            hint = f"It has {', '.join(known)}." if known else "It has none."
            raise UsageError(
                f"{setting!r} is no parameter of {query.name} with a number.", where="--set", hint=hint
            )
        words.append(f"{key} := {value}")
    return f"SELECT * FROM {query.macro}({', '.join(words)})"


def _print(
    query: Query, columns: list[str], found: list[tuple[Any, ...]], *, as_json: bool, as_csv: bool
) -> None:
    from forensics.cli.screen import comma_separated, emit, room, show

    rows = [dict(zip(columns, row, strict=True)) for row in found]
    if as_json:
        from forensics.judge.compare import plain

        emit({"schema": 1, "query": query.name, "title": query.title, "rows": [plain(row) for row in rows]})
    elif as_csv:
        comma_separated(columns, found)
    else:
        from forensics.report.terminal.tables import answer

        show(answer(query.title, rows, room()))


def _catalogue(library: Library, as_json: bool) -> None:
    from forensics.cli.screen import emit, show, width
    from forensics.judge.library import Detector
    from forensics.report.terminal.tables import catalogue

    if as_json:
        kinds = [("detector" if isinstance(q, Detector) else "question", q) for q in library.queries.values()]
        emit(
            {
                "schema": 1,
                "queries": [
                    {"name": q.name, "kind": kind, "title": q.title, "macro": q.signature}
                    for kind, q in kinds
                ],
            }
        )
        return
    show(
        catalogue(
            [(q.name, q.title) for q in library.questions],
            [(d.name, d.title) for d in library.detectors],
            width(),
        )
    )
