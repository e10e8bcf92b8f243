"""forensics query: the prepared questions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensics.cli.completion import complete_queries, complete_refs
from forensics.cli.options import (
    csv_option,
    json_option,
    one_form,
    parquet_option,
    queries_option,
    store_option,
)
from forensics.errors import UsageError
from forensics.units import counted

if TYPE_CHECKING:
    from forensics.judge.library import Library
    from forensics.judge.query import Query
    from forensics.judge.resolver import Opened

EXAMPLES = """\b
Examples:
  forensics query                                     the catalogue
  forensics query parameter-diff night                what moved in a run
  forensics query loss-by-role night                  what its loss taught, step by step
  forensics query padding-in-loss night               the rows behind a finding
  forensics query training-steps good bad             several runs side by side
  forensics query configs-diff ./base ./trained       two models on disk
  forensics query training-steps night --csv > steps.csv
  forensics query training-steps night --parquet steps.parquet
  forensics query loss-tokens night --set last_step=4
"""


@click.command("query", epilog=EXAMPLES)
@click.argument("name", required=False, shell_complete=complete_queries)
@click.argument("refs", nargs=-1, metavar="[A [B]...]", shell_complete=complete_refs)
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
@parquet_option
@csv_option
@json_option
@queries_option
@store_option
def command(
    name: str | None,
    refs: tuple[str, ...],
    settings: tuple[str, ...],
    adapter: Path | None,
    parquet: Path | None,
    as_csv: bool,
    as_json: bool,
    queries: Path | None,
    store: Path | None,
) -> None:
    """Ask one of the prepared questions.

    Without NAME, lists them. A question about one run takes several, and puts their rows side by side.
    Each is one .sql file; those that name a finding give the rows behind it, faulty and in order.
    """
    from forensics.judge import library

    one_form(json=as_json, csv=as_csv, parquet=parquet)
    if name is None:
        if as_csv or parquet is not None:
            raise UsageError(
                "The catalogue is no table.",
                where="--parquet" if parquet else "--csv",
                hint="forensics query --json, or name a query.",
            )
        _catalogue(library.load(queries), as_json)
        return
    from forensics.judge.resolver import opened
    from forensics.store.place import find

    question = library.load(queries).get(name)  # an unknown name is said before evidence is opened
    place = find(store)
    if question.refs == 1 and len(refs) > 1:
        if adapter is not None:
            raise UsageError(
                "--adapter goes with one model.", where=" ".join(refs), hint="Ask them one by one."
            )
        answers = [_answer(opened(place, (ref,), queries=queries), name, settings) for ref in refs]
        _print(_together(refs, answers), as_json=as_json, as_csv=as_csv, parquet=parquet)
        return
    evidence = opened(place, refs, adapter=adapter, queries=queries)
    if question.refs == 1 and evidence.two_runs:  # a bundle that holds two
        hint = f"forensics query {name} {' or '.join(evidence.questions)}"
        raise UsageError(f"{name} is asked of one run or capture.", where=" ".join(refs), hint=hint)
    form = as_json or as_csv or parquet is not None
    _print(_answer(evidence, name, settings, silent=form), as_json=as_json, as_csv=as_csv, parquet=parquet)


@dataclass(frozen=True)
class Answer:
    """The rows of a question, and how they are shown side by side where they are of several runs."""

    query: Query
    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]
    runs: tuple[str, ...] = ()


def _answer(evidence: Opened, name: str, settings: tuple[str, ...], silent: bool = False) -> Answer:
    """Ask a question of what was opened."""
    query = evidence.library.get(name)
    # a private query may ask any other
    evidence.library.install_queries(
        evidence.session, evidence.library.detectors if query.private else [query]
    )
    given = _refs(query, evidence)
    statement = _call(query, settings)
    columns, rows = evidence.session.ask(statement, given)
    _, described = evidence.session.ask(f"DESCRIBE {statement}", given)
    if not silent:
        _say(query, evidence, given, rows)
    return Answer(query, columns, [str(row[1]) for row in described], rows)


def _together(runs: tuple[str, ...], answers: list[Answer]) -> Answer:
    """The rows of all runs, each with the run's name in front."""
    first = answers[0]
    column = "run" if "run" not in first.columns else "of"
    rows = [(run, *row) for run, answer in zip(runs, answers, strict=True) for row in answer.rows]
    return Answer(first.query, [column, *first.columns], ["VARCHAR", *first.types], rows, runs)


def _refs(query: Query, evidence: Opened) -> list[str]:
    """What the query's a and b stand for.

    Its one parameter means the run or the last capture that was named.
    """
    from forensics.judge.resolver import beginning

    if evidence.empty is not None:
        return [evidence.empty] * query.refs
    return [evidence.b] if query.refs == 1 else [beginning(evidence, query), evidence.b][: query.refs]


def _say(query: Query, evidence: Opened, given: list[str], rows: list[tuple[Any, ...]]) -> None:
    """On stderr, which captures the words stood for, and why there is no row."""
    from forensics.cli.screen import note
    from forensics.judge.emptyresult import why

    if given:
        note(
            "forensics: asked of"
            f" {' and '.join(dict.fromkeys(given))}{', which holds no capture' if evidence.empty else ''}"
        )
    if (
        given
        and not rows
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
        if key not in known:
            hint = f"It has {', '.join(known)}." if known else "Leave it out; it has none."
            raise UsageError(f"{query.name} has no parameter {key!r}.", where="--set", hint=hint)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            hint = f"For example: --set {key}=0.1"
            raise UsageError(f"{setting!r} gives no number.", where="--set", hint=hint)
        words.append(f"{key} := {value}")
    return f"SELECT * FROM {query.macro}({', '.join(words)})"


def _print(answer: Answer, *, as_json: bool, as_csv: bool, parquet: Path | None) -> None:
    from forensics.cli.screen import comma_separated, emit, note, room, show

    query, columns = answer.query, answer.columns
    rows = [dict(zip(columns, row, strict=True)) for row in answer.rows]
    if as_json:
        from forensics.typed import plain

        emit({"schema": 1, "query": query.name, "title": query.title, "rows": [plain(row) for row in rows]})
    elif as_csv:
        comma_separated(columns, answer.rows)
    elif parquet is not None:
        from forensics.cli import parquet as file

        file.write(parquet, columns, answer.types, answer.rows)
        note(f"forensics: {counted(len(rows), 'row')} in {parquet}")
    else:
        from forensics.report.terminal.tables import answer as shown
        from forensics.report.terminal.tables import beside

        if answer.runs and query.beside:
            rows = beside(rows, columns[0], query.beside, answer.runs)
        show(shown(query.title, rows, room()))


def _catalogue(library: Library, as_json: bool) -> None:
    from forensics.cli.screen import emit, show, width
    from forensics.judge.query import Detector
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
