"""forensics sql: any read-only SQL over the store, in a child process that cannot do more."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import click

from forensics.cli.options import csv_option, json_option, one_form, queries_option, store_option
from forensics.errors import QueryError, UsageError

EXAMPLES = """\b
Examples:
  forensics sql "SELECT run, point, updates FROM captures"
  forensics sql "SELECT name, l2, max FROM parameters WHERE capture = 'night@end' AND nans > 0"
  forensics sql "FROM parameter_diff('night@start', 'night@end') WHERE NOT identical"
  forensics sql "DESCRIBE steps"
  forensics sql --csv "SELECT step, loss FROM steps" > steps.csv
  echo "SELECT count(*) FROM tensors" | forensics sql -
"""
MEMORY = "2GB"
UNITS = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def _bytes(_: click.Context, __: click.Parameter, value: str) -> int:
    """2GB to its number of bytes."""
    number, unit = value[:-2], value[-2:].upper()
    with suppress(ValueError):
        if unit in UNITS and (size := int(float(number) * UNITS[unit])) >= 64 << 20:
            return size
    raise click.BadParameter(f"{value!r} is no size of at least 64MB, such as 512MB or 2GB.")


class _Commented(click.Command):
    """A command whose argument may begin with a comment of SQL, as every file of queries/ does: no option has a space after its hyphens."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f" {arg}" if re.match(r"--(\s|.*\n)", arg) else arg for arg in args])


@click.command("sql", cls=_Commented, epilog=EXAMPLES)
@click.argument("query")
@click.option("--memory", callback=_bytes, default=MEMORY, show_default=True, metavar="SIZE", help="Memory that the query may take.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=300.0, show_default=True, metavar="SECONDS", help="Give up after this.")
@csv_option
@json_option
@queries_option
@store_option
def command(query: str, memory: int, timeout: float, as_csv: bool, as_json: bool, queries: Path | None, store: Path | None) -> None:
    """Ask in SQL, read-only, over all captures of the store, and of nothing else.

    Tables and columns are those of queries/schema.sql; every prepared question is a table macro. Its refs are captures and runs of the
    store; paths and snapshots are asked of with `forensics query`. The query sees no file, no network and
    no setting, so one from a stranger can be run. QUERY - reads it from standard input.
    """
    one_form(as_json, as_csv)
    answer = _Asked(_catalogue(store), _text(query), memory, timeout, queries)
    from forensics.cli.screen import comma_separated

    columns = answer.columns()
    if as_json:
        _as_json(columns, answer.rows())
    elif as_csv:
        comma_separated(columns, ([_flat(value) for value in row] for row in answer.rows()))
    else:
        _as_table(columns, answer.rows())


def _text(query: str) -> str:
    """The query as it was typed, in an environment that takes it for ASCII too."""
    given = sys.stdin.buffer.read() if query == "-" else query.encode("utf-8", "surrogateescape")
    return given.decode("utf-8", "replace")


def _catalogue(store: Path | None) -> Path:
    """The catalogue of the store, brought up to date."""
    from forensics import schema
    from forensics.cli.progress import spinner
    from forensics.judge import library
    from forensics.store import catalog
    from forensics.store.place import find

    place = find(store)
    if not place.run_names():
        raise UsageError("Nothing is captured yet.", where=str(place.root), hint="forensics capture -- python train.py")
    version = catalog.fingerprint(schema.queries().rglob("*.sql"))
    with spinner("Reading captures") as step:
        return catalog.up_to_date(place, lambda session: library.load(None).install(session), version, _warn, step)


def _warn(line: str) -> None:
    from forensics.cli.screen import note

    note(f"forensics: {line}")


def _as_json(columns: list[str], rows: Iterator[list[Any]]) -> None:
    """One document, written as the rows come: an answer may be larger than memory."""
    from forensics.cli.screen import ascii_alone, spelled

    write, escaped = sys.stdout.write, ascii_alone()
    columns = [name if columns.index(name) == n else f"{name}_{n + 1}" for n, name in enumerate(columns)]
    write(spelled(json.dumps({"schema": 1, "columns": columns}, ensure_ascii=escaped))[:-1] + ', "rows": [')
    for n, row in enumerate(rows):
        write(("," if n else "") + "\n  " + spelled(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=escaped)))
    write("\n]}\n")


def _flat(value: Any) -> Any:
    """A cell of CSV: lists and dictionaries as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _as_table(columns: list[str], rows: Iterator[list[Any]]) -> None:
    from forensics.cli.screen import note, room, show
    from forensics.report.terminal.lines import table
    from forensics.report.terminal.tables import SHOWN

    shown: list[list[Any]] = []
    more = 0
    for row in rows:
        if len(shown) < SHOWN:
            shown.append(row)
        else:
            more += 1
    show(table(columns, shown, room(), indent=0))
    if more:
        note(f"and {more:,} more rows: --json or --csv gives all")


class _Asked:
    """A query on its way in the child."""

    def __init__(self, catalogue: Path, text: str, memory: int, timeout: float, queries: Path | None) -> None:
        self._memory, self._timeout, self._over = memory, timeout, ""
        command = [sys.executable, "-m", "forensics.cli.sandbox"]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
        )
        assert self._child.stdin is not None and self._child.stdout is not None
        request = {"catalog": str(catalogue.resolve()), "sql": text, "memory": memory, "queries": str(queries) if queries else None}
        with suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps(request))
            self._child.stdin.close()
        self._out: IO[str] = self._child.stdout
        threading.Thread(target=self._watch, daemon=True).start()

    def columns(self) -> list[str]:
        """Column names of the answer.

        Raises:
            QueryError: the query is refused, or takes too much.
        """
        return list(self._line(self._out.readline())["columns"])

    def rows(self) -> Iterator[list[Any]]:
        """Rows as they come; raises as `columns`."""
        try:
            for line in self._out:
                yield from self._line(line)
            if self._child.wait() != 0:
                self._line("")
        finally:
            self._child.kill()
            self._child.wait()

    def _line(self, line: str) -> Any:
        value = json.loads(line) if line.endswith("\n") else None
        if value is None or (isinstance(value, dict) and "error" in value):
            raise self._refused(value or {"kind": "", "error": self._died()})
        return value

    def _refused(self, value: dict[str, str]) -> QueryError:
        self._child.kill()
        if self._over or value["kind"] != "sql":
            what = self._over or value["error"] or self._too_large
            return QueryError(what, "sql", "Ask for less, or give it more with --memory and --timeout.")
        return QueryError(value["error"], "sql", value["hint"] or "forensics sql --help shows examples.")

    def _died(self) -> str:
        """What is known of a child that ended without an answer: what it said last, or its exit status."""
        assert self._child.stderr is not None
        said = self._child.stderr.read().strip().rpartition("\n")[2]
        status = self._child.wait()
        if "MemoryError" in said or "bad_alloc" in said:
            return self._too_large
        return f"The query's process ended without an answer: {said[:200] or f'exit status {status}'}."

    @property
    def _too_large(self) -> str:
        return f"The query needs more than {self._memory >> 20} MB of memory."

    def _watch(self) -> None:
        """Keep memory and time: the operating system's own limit is not kept everywhere."""
        began = time.monotonic()
        while self._child.poll() is None:
            if time.monotonic() - began > self._timeout:
                self._over = f"The query took longer than {self._timeout:g} s."
            elif _resident(self._child.pid) > self._memory + (512 << 20):
                self._over = self._too_large
            if self._over:
                self._child.kill()
                return
            time.sleep(0.05)


def _resident(pid: int) -> int:
    """Bytes of a process in memory; 0 where that cannot be seen."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource_page()
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=5)
        return int(done.stdout) * 1024
    return 0


def resource_page() -> int:
    """Bytes of a page of memory."""
    import resource

    return resource.getpagesize()
