"""Words of the command line to evidence.

A session is opened over the captures that they mean, with macros made and deltas measured.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.judge import adaptershare, allow, answerdiff, check, deltas, library
from forensics.judge.allow import Allowance
from forensics.judge.library import Library
from forensics.judge.proofs import Document
from forensics.judge.query import Query
from forensics.store import proofs

if TYPE_CHECKING:
    from forensics.store.session import Session
    from forensics.store.store import Capture, Run, Store

Ends = tuple[str, str]
"""First and last capture of a run, by ref."""


@dataclass(frozen=True)
class Opened:
    """Evidence to judge.

    `a` and `b` are refs of captures (of a run: its first capture and its `end` or last), `question` is what
    follows `forensics query ID`. `allowed`: what the user's configuration accepts. `proofs`: what `prove`
    found of each run, by its name. With two runs, `two_runs` has the ends of each and `questions` what each
    is called. `empty` names a run that holds no capture.
    """

    session: Session
    library: Library
    a: str
    b: str
    question: str
    two_runs: tuple[Ends, Ends] | None = None
    questions: Ends = ("", "")
    empty: str | None = None
    allowed: tuple[Allowance, ...] = ()
    proofs: Mapping[str, Document] = field(default_factory=dict)


_OF_NO_USE = ("join_order",)
"""Detectors join many small tables: to search for the best order of joins takes as long as all the rest."""
_OF_LITTLE_USE = (
    "expression_rewriter", "statistics_propagation", "common_subexpressions", "common_subplan",
    "column_lifetime", "unused_columns", "build_side_probe_side", "join_filter_pushdown", "join_elimination",
    "duplicate_groups", "self_join_aggregate", "projection_placement", "projection_pullup", "unnest_rewriter",
    "cte_filter_pusher", "aggregate_reuse",
)  # fmt: skip
"""What DuckDB does to a plan that takes longer than small tables can give back."""
_FEW = 20_000
"""Rows of the largest table up to which tables are small."""


def opened(
    store: Store,
    words: Sequence[str] = (),
    *,
    adapter: Path | None = None,
    queries: Path | None = None,
    ask: bool = False,
    light: bool = False,
) -> Opened:
    """Open what the words mean. `ask`: have models at rest answer the probes, where there is mlx.

    `light`: as `refs.pair`.

    Raises:
        ForensicsError: no such ref, a model that cannot be read, damaged evidence, a private query that
        breaks the rules.
    """
    from forensics.evidence import pair  # import time: what brings evidence in
    from forensics.store.loader import open_session  # import time: DuckDB

    ours = library.load(queries)
    allowed = allow.configured(Path.cwd(), [detector.name for detector in ours.detectors])
    if queries is not None:
        check.check(
            ours, open_session([], []), only=[query for query in ours.queries.values() if query.private]
        )
    lone = _lone_run(store, words) if adapter is None else None
    if lone is not None and not lone.captures:
        return Opened(session_of([], [lone], ours), ours, lone.name, lone.name, lone.name, empty=lone.name)
    meant = pair(store, words, adapter, ask=ask, light=light)
    runs = _runs([meant.a, meant.b], [*(meant.two_runs or ()), *([meant.run] if meant.run else [])])
    captures = {c.ref: c for c in [meant.a, meant.b, *(c for run in runs for c in run.captures)]}
    session = session_of(list(captures.values()), runs, ours, apart=light or not meant.two_runs)
    if meant.two_runs:
        ends = [(run.first().ref, run.last().ref) for run in meant.two_runs]
        for a, b in [*([] if light else ends), (ends[0][1], ends[1][1])]:
            _measure(session, a, b)
        names = (meant.two_runs[0].name, meant.two_runs[1].name)
        return Opened(
            session,
            ours,
            ends[0][1],
            ends[1][1],
            shlex.join(names),
            (ends[0], ends[1]),
            names,
            allowed=allowed,
            proofs=_proofs(runs),
        )
    _measure(session, meant.a.ref, meant.b.ref)
    adaptershare.fill(session, meant.a.ref, meant.b.ref)
    question = (
        meant.run.name
        if meant.run
        else shlex.join([*words, *(["--adapter", str(adapter)] if adapter else [])])
    )
    return Opened(session, ours, meant.a.ref, meant.b.ref, question, allowed=allowed, proofs=_proofs(runs))


def _measure(session: Session, a: str, b: str) -> None:
    """The differences between two captures, of tensors and of answers, that nobody has measured yet."""
    deltas.fill(session, a, b)
    answerdiff.fill(session, a, b)


def _proofs(runs: Sequence[Run]) -> dict[str, Document]:
    proof = (
        (run.name, proofs.recall(run.store, run.name.removeprefix(run.prefix))) for run in runs if run.store
    )
    return {name: document for name, document in proof if document is not None}


def beginning(evidence: Opened, query: Query) -> str:
    """The ref of what `query` compares with: `a`, or the point of the run at which such a question begins."""
    run = evidence.question
    if query.begins is None or evidence.two_runs or "@" in run or evidence.a == evidence.b:
        return evidence.a
    ref = f"{run}@{query.begins}"
    if not evidence.session.rows("SELECT 1 FROM refs WHERE ref = ?", [ref]):
        return evidence.a
    deltas.fill(evidence.session, ref, evidence.b)
    return ref


def _lone_run(store: Store, words: Sequence[str]) -> Run | None:
    """The run that the words mean, where they mean one run of the store or nothing at all."""
    if not words:
        return store.newest()
    return store.run(words[0]) if len(words) == 1 and store.holds(words[0]) else None


def session_of(
    captures: Sequence[Capture], runs: Sequence[Run], ours: Library, *, apart: bool = True
) -> Session:
    from forensics.store.loader import open_session  # import time: DuckDB

    session = open_session(captures, runs, apart=apart)
    ours.install_shared(session)
    left_out = _OF_NO_USE if session.largest() > _FEW else (*_OF_NO_USE, *_OF_LITTLE_USE)
    known = {row["name"] for row in session.rows("FROM duckdb_optimizers()")}
    session.script(f"SET disabled_optimizers = '{','.join(known.intersection(left_out))}'")
    session.lock()
    return session


def _runs(captures: Sequence[Capture], known: Sequence[Run]) -> list[Run]:
    """The runs that captures belong to: what was seen in a run is evidence for each of its captures."""
    by_name = {run.name: run for run in known}
    for capture in captures:
        if capture.run not in by_name and capture.store is not None:
            by_name[capture.run] = capture.store.run(capture.run.removeprefix(capture.prefix))
    return list(by_name.values())
