"""Captures as tables: every value comes back as it was written, and a locked session reaches nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from forensics import schema
from forensics.errors import DamagedEvidence, QueryError
from forensics.store.capture import Writer
from forensics.store.loader import open_session
from forensics.store.session import Session, from_rows
from forensics.store.store import Store
from tests.store.test_store import add, night, seal

TEXTS = [
    "",
    "plain",
    "🔥 Ünïcödé 日本語",
    "quotes \"' and \\ back",
    "line\nbreak\ttab\r",
    "\x01\x1f\x7f\x80",
    "nul\x00nul",
    "NULL",
    "NaN",
    "{}",
    '{"a": [1]}',
]
NUMBERS = [
    0.0,
    -0.0,
    1e-320,
    5e-324,
    1.7976931348623157e308,
    0.1,
    math.nan,
    math.inf,
    -math.inf,
    123456789.123456789,
]
VALUES: dict[str, list[Any]] = {
    "VARCHAR": [*TEXTS, None],
    "DOUBLE": [*NUMBERS, None],
    "BIGINT": [0, -1, 2**63 - 1, -(2**63), None],
    "INTEGER": [0, -1, 2**31 - 1, -(2**31), None],
    "BOOLEAN": [True, False, None],
}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return type(a) is type(b) and a == b


def rows_of(table: str) -> list[dict[str, Any]]:
    """Rows in which every column takes every value of its type."""
    columns = schema.tables()[table]
    return [{c: VALUES[kind][n % len(VALUES[kind])] for c, kind in columns.items()} for n in range(12)]


@pytest.mark.parametrize(
    "table", sorted(set(schema.tables()) - {"runs", "captures", "tensors", "deltas", "probe_deltas"})
)
def test_every_table_round_trips(tmp_path: Path, table: str) -> None:
    store = Store(tmp_path)
    wanted = rows_of(table)
    with Writer(store.captures, "night@end", "capture") as writer:
        writer.rows(table, wanted)
        writer.seal({"capture": "night@end", "run": "night"})
    for session in (open_session(store.run("night").captures, []), from_rows({table: wanted})):
        found = session.rows(f"SELECT * FROM {table} ORDER BY rowid")
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            assert a.keys() == b.keys() and all(same(a[c], b[c]) for c in a), (a, b)


@pytest.mark.parametrize("table", ["tensors", "deltas", "probe_deltas"])
def test_what_several_captures_know_stands_once(tmp_path: Path, table: str) -> None:
    store = Store(tmp_path)
    row = {
        c: {"VARCHAR": "x", "DOUBLE": math.nan, "BIGINT": 3, "INTEGER": 1, "BOOLEAN": True}[k]
        for c, k in schema.tables()[table].items()
    }
    for name in ("night@start", "night@end"):
        with Writer(store.captures, name, "capture") as writer:
            writer.rows(table, [row])
            writer.seal({"capture": name, "run": "night"})
    found = open_session(store.run("night").captures, []).rows(f"SELECT * FROM {table}")
    assert len(found) == 1 and all(same(found[0][c], row[c]) for c in row)


def test_statistics_are_taken_from_the_capture_that_has_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, extra in (("night@start", {"kept": "none"}), ("night@end", {"kept": "pack", "mean": 1.5})):
        with Writer(store.captures, name, "capture") as writer:
            writer.rows("tensors", [{"digest": "d", **extra}])
            writer.rows("placements", [{"capture": name, "name": "w", "digest": "d"}])
            writer.seal({"capture": name, "run": "night"})
    session = open_session(store.run("night").captures, [])
    assert session.rows("SELECT capture, mean FROM parameters ORDER BY 1") == [
        {"capture": "night@end", "mean": 1.5},
        {"capture": "night@start", "mean": 1.5},
    ]


def test_runs_and_captures_come_from_their_heads(tmp_path: Path) -> None:
    run = night(tmp_path).run("night")
    session = open_session(run.captures, [run])
    assert session.rows("SELECT run, kind, main_model FROM runs") == [
        {"run": "night", "kind": "watched", "main_model": "m0"}
    ]
    found = session.rows("SELECT capture, point, ordinal, model FROM captures ORDER BY sequence")
    assert found[2] == {"capture": "night@start-2", "point": "start", "ordinal": 2, "model": "m0"}
    assert found[3]["capture"] == "night@loaded:m1"


def test_refs(tmp_path: Path) -> None:
    run = night(tmp_path).run("night")
    session = open_session(run.captures, [run], {"./typed": "night@saved"})
    refs = {r["ref"]: r["capture"] for r in session.rows("SELECT * FROM refs")}
    assert (
        refs["night"] == "night@end"
        and refs["night@start"] == "night@start"
        and refs["./typed"] == "night@saved"
    )
    assert len(refs) == 8
    made = from_rows(
        {
            "captures": [{"capture": "x@saved", "run": "x", "sequence": 1}],
            "runs": [{"run": "x"}, {"run": "empty"}],
        }
    )
    assert {(r["ref"], r["capture"]) for r in made.rows("SELECT * FROM refs")} == {
        ("x", "x@saved"),
        ("x@saved", "x@saved"),
        ("empty", None),
    }


def test_a_run_that_was_never_sealed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add(store, "cut", "loaded", 0)
    run = store.run("cut")
    assert open_session(run.captures, [run]).rows("SELECT run, complete, kind FROM runs") == [
        {"run": "cut", "complete": False, "kind": None}
    ]


def test_captures_of_another_store_keep_their_prefix(tmp_path: Path) -> None:
    for n, root in enumerate(("mine", "theirs")):
        store = Store(tmp_path / root)
        for sequence, place in enumerate(("start", "end")):
            with Writer(store.captures, f"night@{place}", "capture") as writer:
                writer.rows("placements", [{"capture": f"night@{place}", "name": f"w{n}"}])
                writer.rows("environment", [{"capture": "night", "key": "k"}])
                writer.rows(
                    "probe_deltas",
                    [{"capture_a": "night@start", "capture_b": "night@end", "prompt_id": "p0"}],
                )
                head = {
                    "capture": f"night@{place}",
                    "run": "night",
                    "point": place,
                    "sequence": sequence,
                    "probes_of": "night@start",
                }
                writer.seal(head)
        with Writer(store.runs, "night", "run") as writer:
            writer.rows("steps", [{"run": "night", "step": n}])
            writer.seal({"run": "night"})
    mine, theirs = (
        Store(tmp_path / "mine").run("night"),
        Store(tmp_path / "theirs", "snapshots/").run("night"),
    )
    session = open_session([*mine.captures, *theirs.captures], [mine, theirs])
    assert {(r["capture"], r["name"]) for r in session.rows("SELECT * FROM placements")} == {
        ("night@start", "w0"),
        ("night@end", "w0"),
        ("snapshots/night@start", "w1"),
        ("snapshots/night@end", "w1"),
    }
    assert {(r["run"], r["step"]) for r in session.rows("SELECT * FROM steps")} == {
        ("night", 0),
        ("snapshots/night", 1),
    }
    assert {r["capture"] for r in session.rows("SELECT * FROM environment")} == {"night", "snapshots/night"}
    assert {r["capture_a"] for r in session.rows("SELECT * FROM probe_deltas")} == {
        "night@start",
        "snapshots/night@start",
    }
    assert {r["probes_of"] for r in session.rows("SELECT * FROM captures")} == {
        "night@start",
        "snapshots/night@start",
    }
    refs = {r["ref"]: r["capture"] for r in session.rows("SELECT * FROM refs")}
    assert refs["snapshots/night"] == "snapshots/night@end" and refs["night"] == "night@end"


def test_damage_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Writer(store.captures, "night@end", "capture") as writer:
        writer.rows("placements", [{"capture": "night@end", "name": "w"}])
        path = writer.seal({"capture": "night@end", "run": "night"})
    member = path / "tables/placements.jsonl.gz"
    member.write_bytes(member.read_bytes()[:-4] + b"oops")
    with pytest.raises(DamagedEvidence, match="placements") as caught:
        open_session(store.run("night").captures, [])
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY runs TO '/tmp/out.csv'",
        "ATTACH '/tmp/other.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM glob('/*')",
        "SET enable_external_access=true",
        "SET memory_limit='100GB'",
        "CREATE SECRET (TYPE s3)",
        "EXPORT DATABASE '/tmp/out'",
        "SELECT * FROM schema",
    ],
)
def test_a_locked_session_reaches_nothing(sql: str) -> None:
    session = from_rows({"runs": [{"run": "night"}]})
    session.lock()
    session.lock()
    with pytest.raises(QueryError):
        session.rows(sql)
    assert session.rows("SELECT count(*) AS n FROM runs") == [{"n": 1}]


def test_errors_name_the_statement() -> None:
    session = from_rows({})
    with pytest.raises(QueryError, match="nobody") as caught:
        session.rows("SELECT nobody FROM runs")
    assert caught.value.where == "SELECT nobody FROM runs"
    with pytest.raises(QueryError):
        session.script("CREATE MACRO broken(a) AS TABLE SELECT nobody FROM runs")


def test_many_captures_open_fast(tmp_path: Path) -> None:
    """300 tensors in six captures; the bound is loose, for a shared machine: 0.1 s alone."""
    import time

    store = Store(tmp_path)
    for n in range(6):
        with Writer(store.captures, f"night@step-{n}", "capture") as writer:
            for table in ("placements", "tensors", "modules"):
                writer.rows(
                    table,
                    (
                        {"capture": f"night@step-{n}", "digest": f"{n}.{k}", "name": f"w{k}"}
                        for k in range(300)
                    ),
                )
            writer.seal({"capture": f"night@step-{n}", "run": "night", "point": f"step-{n}", "sequence": n})
    seal(store, "night")
    run = store.run("night")
    open_session([], [])
    began = time.process_time()
    session: Session = open_session(run.captures, [run])
    assert time.process_time() - began < 0.6
    assert session.rows("SELECT count(*) AS n FROM parameters") == [{"n": 1800}]
