"""Statements in SQL that are drawn.

Each is answered or refused, in our words, and nothing outside is read or written.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from forensics import api
from tests.harm.counts import Count, broken_by
from tests.support import made

GIVEN = 10.0  # what a statement is given
SECONDS = 2 * GIVEN  # and what it may take until it was refused
SOURCES = (
    "runs",
    "captures",
    "placements",
    "steps",
    "events",
    "modules",
    "transcripts",
    "probes",
    "range(1000)",
    "duckdb_functions()",
    "information_schema.tables",
    "parameter_diff('night@loaded', 'night@end')",
    "(VALUES (1, 'a'), (NULL, 'b')) t(x, y)",
)
EXPRESSIONS = (
    "*",
    "count(*)",
    "1",
    "NULL",
    "'x'",
    "repeat('x', 100000)",
    "list(1)",
    "1/0",
    "sqrt(-1)",
    "current_setting('threads')",
    "row_number() OVER ()",
    "error('on purpose')",
    "getenv('HOME')",
    "version()",
    "struct_pack(a := 1)",
    "9223372036854775807 + 1",
    "'\u202e'",
    "chr(27) || '[31m'",
    "COLUMNS(*)",
    "md5('x')",
    "strftime(now(), '%Y')",
    "[x FOR x IN range(9)]",
)
TAILS = (
    "",
    "LIMIT 3",
    "ORDER BY 1",
    "GROUP BY ALL",
    "WHERE 1 = 1",
    "USING SAMPLE 2 ROWS",
    "QUALIFY row_number() OVER () < 3",
    ";",
    "; SELECT 2",
)
REFUSED = (
    "SELECT * FROM read_text('{out}/secret')",
    "SELECT * FROM '{out}/secret.csv'",
    "SELECT * FROM glob('{out}/*')",
    "COPY (SELECT 1) TO '{out}/copy.csv'",
    "COPY runs TO '{out}/copy.parquet'",
    "EXPORT DATABASE '{out}/export'",
    "ATTACH '{out}/a.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "PRAGMA temp_directory = '{out}/temp'",
    "CHECKPOINT",
    "CREATE TABLE '{out}/t' (a INT)",
    "SET GLOBAL allow_unsigned_extensions = true",
    "CALL load_aws_credentials()",
    "DETACH memory",
    "SELECT * FROM read_json('http://127.0.0.1:9/x')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SET home_directory = '{out}'",
    "SELECT * FROM sniff_csv('{out}/secret.csv')",
    "PRAGMA database_list",
    "SELECT path FROM duckdb_databases()",
)
HEAVY = (
    "SELECT count(*) FROM range(100000000000) a, range(100000000) b",
    "SELECT repeat('x', 2000000000) || repeat('y', 2000000000)",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "SELECT list(range) FROM range(500000000)",
    "SELECT " + " UNION ALL SELECT ".join(["1"] * 20_000),
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT " + "+".join(["1"] * 50_000),
    "SELECT * FROM range(30000000)",
)


def run(seed: int, count: int, place: Path) -> Count:
    """So many statements at one open case, each fiftieth of them one that would take all there is."""
    done = Count(
        "a statement in SQL is answered or refused, in our words, and touches no file", "drawn statements"
    )
    made.night(place / "store")
    out = place / "out"
    out.mkdir()
    (out / "secret").write_text("the secret")
    (out / "secret.csv").write_text("a,b\n1,the secret\n")
    case, draws, answered = api.open("night", store=place / "store"), random.Random(seed), 0  # noqa: S311
    for number in range(count):
        statement = drawn(draws, number).replace("{out}", str(out))
        began = time.monotonic()
        wrong, told = _wrong(case, statement)
        answered += told
        if wrong is None and time.monotonic() - began > SECONDS:
            wrong = f"{time.monotonic() - began:.0f} s"
        if sorted(path.name for path in out.iterdir()) != ["secret", "secret.csv"]:
            wrong = f"wrote {sorted(path.name for path in out.iterdir())}"
        done.add(statement[:160], wrong)
    done.notes.append(f"{answered} answered")
    return done


def drawn(draws: random.Random, number: int) -> str:
    """One statement: a query of our tables, one that reaches outside, or one that never ends."""
    if number % 50 == 49:
        return HEAVY[number // 50 % len(HEAVY)]
    if draws.random() < 0.3:
        return draws.choice(REFUSED)
    what = ", ".join(draws.sample(EXPRESSIONS, draws.choice((1, 1, 2, 4))))
    tables = draws.sample(SOURCES, draws.choice((1, 1, 1, 2)))
    text = f"SELECT {what} FROM {', '.join(tables)} {draws.choice(TAILS)}"
    shape = draws.choice(
        (
            "{}",
            "{}",
            "FROM ({})",
            "WITH w AS ({}) FROM w LIMIT 5",
            "DESCRIBE {}",
            "SUMMARIZE {}",
            "EXPLAIN {}",
        )
    )
    if draws.random() < 0.2:  # no SQL any more
        at = draws.randrange(len(text))
        text = (
            text[:at]
            + draws.choice(("\0", "'", '"', "--", "/*", "(", ")", ";", "\u202e", "$$"))
            + text[at + 1 :]
        )
    return shape.format(text)


def _wrong(case: api.Case, statement: str) -> tuple[str | None, bool]:
    try:
        shown = str([row for row, _ in zip(case.sql(statement, seconds=GIVEN), range(50), strict=False)])
    except Exception as error:  # noqa: BLE001
        return broken_by(error), False
    return ("it read the secret" if "the secret" in shown else None), True
