"""SQL of a user or a stranger, run in a child process: `forensics sql` and `case.sql`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from forensics.bounded import Bounded, Limits
from forensics.environment import inherited
from forensics.errors import QueryError

_BESIDE = 512 << 20
"""Bytes of the child that are none of the query's: the interpreter, libraries, macros."""


class Running:
    """A query on its way in the child.

    Args:
        request: where the tables are, as cli/sandbox.py takes it: a catalogue, or a directory of rows.
        memory: bytes that the query may take.
        seconds: after so many it is given up.
    """

    def __init__(
        self,
        request: Mapping[str, Any],
        text: str,
        memory: int,
        seconds: float,
        parameters: Sequence[Any] = (),
    ) -> None:
        self._memory, self._seconds = memory, seconds
        self.types: list[str] = []
        command = [sys.executable, "-m", "forensics.cli.sandbox"]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=inherited(),
        )
        assert self._child.stdin is not None and self._child.stdout is not None
        with suppress(BrokenPipeError):
            self._child.stdin.write(
                json.dumps({**request, "sql": text, "memory": memory, "parameters": list(parameters)})
            )
            self._child.stdin.close()
        self._out: IO[str] = self._child.stdout
        self._bounded = Bounded(self._child, lambda: Limits(memory + _BESIDE, seconds))

    def columns(self) -> list[str]:
        """Column names of the answer; `types` are theirs from then on, as DuckDB names them.

        Raises:
            QueryError: the query is refused, or takes too much.
        """
        head = self._line(self._out.readline())
        self.types = list(head["types"])
        return list(head["columns"])

    def rows(self) -> Iterator[list[Any]]:
        """Rows as they come; raises as `columns`."""
        try:
            for line in self._out:
                yield from self._line(line)
            if self._bounded.wait() != 0:
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
        self._bounded.wait()
        over = {"time": f"The query took longer than {self._seconds:g} s.", "memory": self._too_large}.get(
            self._bounded.over or ""
        )
        if over or value["kind"] != "sql":
            hint = "Ask for less, or give it more memory or time (--memory, --timeout)."
            return QueryError(over or value["error"] or self._too_large, "sql", hint)
        return QueryError(value["error"], "sql", value["hint"] or "forensics sql --help shows examples.")

    def _died(self) -> str:
        """What is known of a child that ended without an answer: what it said last, or its exit status."""
        assert self._child.stderr is not None
        message = self._child.stderr.read().strip()
        status = self._bounded.wait()
        if any(word in message for word in ("MemoryError", "bad_alloc", "OutOfMemory", "Out of Memory")):
            return self._too_large
        message = message.rpartition("\n")[2]
        return f"The query's process ended without an answer: {message[:200] or f'exit status {status}'}."

    @property
    def _too_large(self) -> str:
        return f"The query needs more than {self._memory >> 20} MB of memory."
