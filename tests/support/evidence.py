"""Hand-made evidence for tests of queries: a few rows in, a session with every table and macro out.

    session = evidence(run(), capture("loaded"), capture("end"), parameter("loaded", "w", "d0"),
    parameter("end", "w", "d1")) ask(session, "parameters-unchanged", "r@loaded", "r@end")

Each helper gives (table, row); what a row does not say is NULL. The run is `r`, its model `m0`, and points
are in the order given.
"""

from __future__ import annotations

import functools
import json
import weakref
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forensics.judge import library
from forensics.store.database import duckdb
from forensics.store.session import Session, fill_refs, fresh, from_rows

Made = tuple[str, dict[str, Any]]


def evidence(*made: Made | Sequence[Made], private: Path | None = None) -> Session:
    """A session over hand-made rows, with the library's macros."""
    tables: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in made:
        for table, row in [item] if isinstance(item, tuple) else item:
            tables[table].append(
                {k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in row.items()}
            )
    # once a digest, as a session has them
    tables["tensors"] = list({row["digest"]: row for row in tables["tensors"]}.values())
    for number, row in enumerate(tables["captures"]):
        row.setdefault("sequence", number)
    if private is not None:
        session = from_rows(tables)
        library.load(private).install(session)
        return session
    connection = _emptied()
    session = Session(connection)
    for table, rows in tables.items():
        session.insert(table, rows)
    fill_refs(connection)
    weakref.finalize(session, _unused.append, connection)
    return session


_unused: list[Any] = []
"""DuckDBs whose session is gone: to make tables and macros takes a fifth of a second, to empty them less."""
_pristine: list[Any] = []
"""Settings and tables of one that nothing was done to."""
_SETTINGS = "SELECT list(name || ' ' || value ORDER BY name) FROM duckdb_settings()"
_TABLES = "SELECT table_name, temporary FROM duckdb_tables() ORDER BY ALL"


def _emptied() -> Any:
    """A DuckDB with our tables, empty, and our macros; never one that a test locked, closed or changed."""
    while _unused:
        connection = _unused.pop()
        try:
            for name, temporary in connection.execute(_TABLES).fetchall():
                connection.execute(f'DROP TABLE temp."{name}"' if temporary else f'DELETE FROM "{name}"')
            if _state(connection) == _pristine:
                return connection
        except duckdb.Error:
            pass
    connection = fresh()
    session = Session(connection)
    ours().install_shared(session)
    ours().install_queries(session, [*ours().tables.values(), *ours().questions])
    _pristine[:] = _state(connection)
    return connection


def _state(connection: Any) -> list[Any]:
    return [connection.execute(sql).fetchall() for sql in (_SETTINGS, _TABLES)]


ours = functools.cache(library.load)
"""Our own library, read once: its macros are made as they are asked for, which spares each test a tenth of a
second.
"""


def ask(session: Any, name: str, *refs: str, **numbers: float) -> list[dict[str, Any]]:
    """The rows of one query."""
    if name in ours().queries:
        ours().install_queries(session, [ours().queries[name]])
    macro = name.replace("-", "_")
    words = ["?"] * len(refs) + [f"{key} := {value}" for key, value in numbers.items()]
    return list(session.rows(f"SELECT * FROM {macro}({', '.join(words)})", list(refs)))


def missing(session: Any, fact: str, a: str = "r@loaded", b: str = "r@end") -> str | None:
    """What is missing of a fact, in words."""
    gap = library.needed(session, fact, a, b)
    return gap and gap.needs


def run(name: str = "r", **columns: Any) -> list[Made]:
    """A watched run and its model m0, which was updated eight times.

    `updates`, `gradients`, `saves`, `generations` say otherwise.
    """
    of_model = (
        "updates",
        "gradients",
        "saves",
        "generations",
        "writes",
        "class",
        "copied_from",
        "rank",
        "ranks",
    )
    counts = {k: columns.pop(k) for k in of_model if k in columns}
    base = {
        "run": name,
        "kind": "watched",
        "complete": True,
        "exit_status": 0,
        "main_model": "m0",
        "tensors": "all",
        "missing": [],
    }
    model = {
        "run": name,
        "model": "m0",
        "process": 0,
        "class": "Model",
        "updates": 8,
        "writes": 0,
        "gradients": 8,
        "generations": 0,
        "saves": 0,
    }
    return [("runs", base | columns), ("models", model | counts)]


def capture(point: str, name: str = "r", model: str = "m0", **columns: Any) -> Made:
    """One capture; its ref is r@POINT, r@POINT:m1 for another model."""
    ref = f"{name}@{point}" + ("" if model == "m0" else f":{model}")
    source = "file" if point in ("saved", "rest") else "reload" if point == "reloaded" else "live"
    base = {
        "capture": ref,
        "run": name,
        "point": point,
        "ordinal": 1,
        "process": 0,
        "model": model,
        "source": source,
        "whole": True,
        "complete": True,
    }
    return "captures", base | columns


def parameter(point: str, name: str, digest: str | None, run: str = "r", **columns: Any) -> list[Made]:
    """One parameter at a point, with the statistics of its digest.

    It is a (4, 4) F32 tensor where nothing else is said.
    """
    ref = point if "@" in point else f"{run}@{point}"
    stats = {
        k: columns.pop(k)
        for k in (
            "dtype",
            "shape",
            "size",
            "nbytes",
            "mean",
            "std",
            "min",
            "max",
            "l2",
            "zeros",
            "nans",
            "infs",
            "kept",
        )
        if k in columns
    }
    module, _, leaf = name.rpartition(".")
    placed = {
        "capture": ref,
        "name": name,
        "canonical": name,
        "module": module,
        "leaf": leaf,
        "role": "base",
        "digest": digest,
    }
    tensor = {
        "digest": digest,
        "dtype": "F32",
        "shape": [4, 4],
        "size": 16,
        "nbytes": 64,
        "l2": 1.0,
        "zeros": 0,
        "nans": 0,
        "infs": 0,
        "kept": "pack",
    }
    made: list[Made] = [("placements", placed | columns)]
    if digest is not None:
        made.append(("tensors", tensor | stats))
    return made


def delta(digest_a: str, digest_b: str, **columns: Any) -> Made:
    base = {
        "digest_a": digest_a,
        "digest_b": digest_b,
        "max_abs": 0.1,
        "l2": 0.1,
        "relative": 0.1,
        "cosine": 0.99,
        "changed_fraction": 1.0,
    }
    return "deltas", base | columns


def step(number: int, loss: float = 1.0, run: str = "r", **columns: Any) -> Made:
    base = {
        "run": run,
        "process": 0,
        "model": "m0",
        "step": number,
        "optimizer": "o0",
        "loss": loss,
        "learning_rate": 1e-3,
        "gradients": 1,
        "gradient_norm": 1.0,
        "update_norm": 0.1,
        "nonfinite": 0,
    }
    return "steps", base | columns


def loss_token(
    number: int, position: int, weight: float, role: str = "answer", run: str = "r", **columns: Any
) -> Made:
    base = {
        "run": run,
        "process": 0,
        "model": "m0",
        "step": number,
        "forward": 0,
        "row": 0,
        "position": position,
        "weight": weight,
    }
    base |= {"mass": abs(weight), "residual": 0.0, "role": role, "relation": "next" if weight else None}
    return "loss_tokens", base | columns


def probe(point: str, number: int = 0, run: str = "r", **columns: Any) -> Made:
    """A probe's answer."""
    ref = point if "@" in point else f"{run}@{point}"
    base = {
        "capture": ref,
        "prompt_id": f"p{number}",
        "source": "probe",
        "finish_reason": "stop",
        "output_tokens": 8,
        "special_tokens": 0,
    }
    base |= {"top_token_share": 0.2, "top_token_class": "text", "loop_share": 0.0, "output_digest": "x"}
    return "transcripts", base | columns


def event(
    kind: str, sequence: int = 0, run: str = "r", detail: dict[str, Any] | None = None, **columns: Any
) -> Made:
    base = {
        "run": run,
        "sequence": sequence,
        "time": float(sequence),
        "process": 0,
        "kind": kind,
        "model": "m0",
        "place": f"train.py:{sequence + 1}",
    }
    return "events", base | {"detail": detail or {}} | columns


def row(table: str, **columns: Any) -> Made:
    """A row of any table.

    `run` and `model` are r and m0 where the caller does not say and the table has them.
    """
    return table, columns
