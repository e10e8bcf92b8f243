"""The bounded child for SQL from the command line and from Python.

It says what takes too much, and never where the store lies.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

import forensics as package
from forensics.bounded import Bounded, Limits, processor_seconds, resident
from forensics.errors import ForensicsError
from forensics.store.store import Store
from tests.support import made
from tests.support.command import environment, forensics

UNIONS = " UNION ALL ".join(["SELECT 1 AS a"] * 20_000)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return made.night(tmp_path_factory.mktemp("bounded") / "store")


def spin(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code])


@pytest.mark.parametrize(
    ("code", "limits", "over"),
    [
        ("while True: pass", Limits(seconds=0.5), "time"),
        ("while True: pass", Limits(processor=0.5), "time"),
        (
            "a = bytearray(400 << 20); import time; time.sleep(60)",
            Limits(memory=200 << 20, seconds=50),
            "memory",
        ),
        ("pass", Limits(memory=1 << 30, seconds=50), None),
    ],
)
def test_a_child_is_ended_for_what_it_takes(code: str, limits: Limits, over: str | None) -> None:
    bounded = Bounded(spin(code), lambda: limits)
    status = bounded.wait()
    assert bounded.over == over and (status == 0) is (over is None)


def test_limits_may_change_on_the_way() -> None:
    child, began = spin("import time; time.sleep(60)"), time.monotonic()
    Bounded(child, lambda: Limits(seconds=60 if time.monotonic() - began < 0.5 else 0)).wait()
    assert 0.4 < time.monotonic() - began < 20


def test_a_process_that_is_gone_uses_nothing() -> None:
    child = spin("pass")
    child.wait()
    assert resident(child.pid) == 0 and processor_seconds(child.pid) == 0


@pytest.mark.long
def test_case_sql_answers_as_before(store: Store) -> None:
    case = package.open("night", store=store.root)
    assert case.sql("SELECT ? AS a, 'NaN'::DOUBLE AS b, [1, 2] AS c", ["x"])[0]["a"] == "x"
    row = case.sql("SELECT 'NaN'::DOUBLE AS b, 1.5 AS c, sum(1) AS d FROM captures")[0]
    assert math.isnan(row["b"]) and row["c"] == 1.5 and row["d"] > 0
    assert case.sql("SELECT count(*) AS n FROM steps")[0]["n"] == len(case.sql("SELECT step FROM steps"))


@pytest.mark.parametrize(
    "statement", ["DELETE FROM steps", "SELECT * FROM read_text('/etc/passwd')", "ATTACH 'x.db'", "SELEC 1"]
)
def test_case_sql_refuses_what_sql_refuses(store: Store, statement: str) -> None:
    with pytest.raises(ForensicsError):
        package.open("night", store=store.root).sql(statement)


def test_twenty_thousand_unions_take_what_they_may(store: Store) -> None:
    case = package.open("night", store=store.root)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(ForensicsError) as refused:
        case.sql(UNIONS, memory=256 << 20, seconds=20)
    assert (
        time.monotonic() - began < 60
        and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10
    )
    assert "memory" in refused.value.message or "longer" in refused.value.message


@pytest.mark.long
def test_no_question_shows_where_the_store_lies(store: Store, tmp_path: Path) -> None:
    words = ("--store", str(store.root), "--json")
    done = forensics(tmp_path, "sql", *words, "SELECT * FROM duckdb_databases()")
    assert done.status == 0 and str(store.root) not in done.out
    settings = forensics(tmp_path, "sql", *words, "SELECT name, value FROM duckdb_settings()")
    assert str(store.root) not in settings.out
    assert not any(
        "/" in str(row.get("path"))
        for row in package.open("night", store=store.root).sql("FROM duckdb_databases()")
    )


@pytest.mark.long
@pytest.mark.skipif(
    sys.platform != "linux", reason="a limit on the size of files that only Linux keeps as a full disk is met"
)
def test_a_full_disk_is_three_lines(store: Store, tmp_path: Path) -> None:
    """A file cannot grow beyond 64 KB.

    So what is written of the catalogue fails in the middle, as on a full disk.
    """
    (store.root / "catalog.duckdb").unlink(missing_ok=True)
    command = [sys.executable, "-m", "forensics", "sql", "--store", str(store.root), "SELECT 1"]

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))

    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        preexec_fn=small,
        check=False,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 3 and "catalogue cannot be written" in lines[0], lines
    assert not list(store.root.glob("catalog.duckdb*"))
    assert json.loads(forensics(tmp_path, "sql", "--store", str(store.root), "--json", "SELECT 1 AS a").out)[
        "rows"
    ] == [{"a": 1}]
