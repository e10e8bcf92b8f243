"""What an assistant may ask: the reading commands as functions that give plain documents.

Nothing here captures or writes.

Refs are those of the command line, but for addresses: nothing is fetched. What a document holds of a user's
or a stranger's words is data, and the server says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forensics.errors import UsageError
from forensics.model.remote import is_url
from forensics.store.place import find
from forensics.store.store import Store

ROWS = 200
"""Rows that one answer holds at most; `rows_left_out` says how many more there were."""


class Tools:
    """The reading commands over one store."""

    def __init__(self, store: Path | None, queries: Path | None) -> None:
        self._store, self._queries = store, queries

    def list(self) -> dict[str, Any]:
        """The runs of the store, oldest first: points, steps, last loss, verdict."""
        from forensics.store.overview import document, overview

        return {"schema": 1, "runs": [document(line) for line in overview(self._place())]}

    def show(self, ref: str) -> dict[str, Any]:
        """What one run or capture holds, and what is missing in it."""
        from forensics import api

        _local([ref])
        return dict(api.show(ref, store=self._store))

    def diagnose(self, refs: Sequence[str] = ()) -> dict[str, Any]:
        """Name the cause of what went wrong, with its evidence, what was ruled out, the fix and the line.

        `refs`: nothing is the newest run; one run; two captures, models or runs.
        """
        from forensics.judge.diagnose import diagnose_opened, document

        return document(diagnose_opened(self._opened(refs)))

    def diff(self, refs: Sequence[str]) -> dict[str, Any]:
        """In what two captures, models or runs differ; of one run its first capture and its end."""
        from forensics.judge.compare import compare, document

        evidence = self._opened(refs)
        comparison = document(compare(evidence.session, evidence.a, evidence.b))
        for key in ("changed", "added", "removed", "configs", "transcripts"):
            comparison[f"{key}_left_out"] = max(0, len(comparison[key]) - ROWS)
            comparison[key] = comparison[key][:ROWS]
        return comparison

    def query(self, name: str | None = None, refs: Sequence[str] = ()) -> dict[str, Any]:
        """Ask a prepared question, or for the rows behind a finding by its id.

        Without a name: the catalogue of questions.
        """
        from forensics.api import Case
        from forensics.judge import library

        if name is None:
            ours = library.load(self._queries)
            return {
                "schema": 1,
                "queries": [{"name": q.name, "title": q.title} for q in ours.queries.values()],
            }
        return _rows(Case(self._opened(refs), self._queries).query(name))

    def sql(self, statement: str, run: str | None = None) -> dict[str, Any]:
        """One SELECT over the tables of a run, or of all runs of the store.

        `DESCRIBE steps` shows columns, `SHOW TABLES` the tables.
        """
        from forensics.api import Case
        from forensics.judge import library
        from forensics.judge.resolver import Opened, session_of

        if run is not None:
            return _rows(Case(self._opened([run]), self._queries).sql(statement))
        place = self._place()
        runs = [place.run(name) for name in sorted(place.run_names())]
        captures = [capture for each in runs for capture in each.captures]
        if not captures:
            raise UsageError(
                "Nothing is captured yet.", str(place.root), "forensics capture -- python train.py"
            )
        ours = library.load(self._queries)
        evidence = Opened(session_of(captures, runs, ours), ours, captures[0].ref, captures[-1].ref, "")
        return _rows(Case(evidence, self._queries).sql(statement))

    def explain(self, finding: str) -> dict[str, Any]:
        """What a finding means, how it looks in a real run, how to mend it, and what looks like it."""
        from forensics.cli.explain import explained

        return explained(finding, self._queries)

    def _place(self) -> Store:
        if self._store is not None:
            _local([str(self._store)])
        return find(self._store)

    def _opened(self, refs: Sequence[str]) -> Any:
        from forensics.judge.resolver import opened

        _local(refs)
        return opened(self._place(), list(refs), queries=self._queries)


def _local(refs: Sequence[str]) -> None:
    """Nothing is fetched for an assistant.

    Raises:
        UsageError: a ref is an address.
    """
    for ref in refs:
        if is_url(ref):
            raise UsageError("Nothing is fetched from here.", where=ref, hint="Fetch it, and name the file.")


def _rows(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    from forensics.typed import plain

    shown = [plain(row) for row in rows[:ROWS]]
    return {"schema": 1, "rows": shown, "rows_left_out": max(0, len(rows) - ROWS)}
