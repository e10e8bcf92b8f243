"""What several detectors ask of the one pair that is judged is worked out once, and kept in a table.

DuckDB expands a macro wherever it is called, so a helper that eight detectors call is planned and run eight times. Here the helpers
that every detector calls with its own `a` and `b` are found by their texts, their rows are kept for the pair when a detector first
needs them, and detectors are made once more, under a prefix, on the kept tables. The macros that people ask stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

from forensics.errors import QueryError
from forensics.judge.library import Library, Sql

PREFIX = "judged_"
_HEAD = re.compile(r"CREATE OR REPLACE MACRO \w+\(([^)]*)\)( AS TABLE\b)?")


class Kept:
    """The library's detectors for one pair. `tables` maps what is kept so far to its parameters."""

    def __init__(self, session: Sql, library: Library, a: str, b: str) -> None:
        self._session, self._values = session, {"a, b": [a, b], "b": [b]}
        self._macros = library.macros
        self._calls = {name: frozenset(_called(text, self._macros)) - {name} for name, text in self._macros.items()}
        self._waiting = _shared(self._macros, self._calls, [detector.macro for detector in library.detectors])
        self.tables: dict[str, str] = {}

    def asked(self, name: str) -> str:
        """The name under which a detector is asked of the pair; what it builds on is worked out before.

        Raises:
            MemoryError: it takes more than the session may.
        """
        below = _below(name, self._calls)
        for each in below:
            if parameters := self._waiting.pop(each, None):
                self._keep(each, parameters)
        self._offer(below)
        return self._macro(name)

    def _keep(self, name: str, parameters: str) -> None:
        self._offer(_below(name, self._calls))
        values = self._values[parameters]
        call = f"{self._macro(name)}({', '.join('?' * len(values))})"
        with suppress(QueryError):  # whoever needs it will say so
            self._session.rows(f"CREATE OR REPLACE TEMP TABLE kept_{name} AS SELECT * FROM {call}", values)
            self.tables[name] = parameters

    def _offer(self, names: Sequence[str]) -> None:
        self._session.offer({self._macro(name): self._text(name) for name in names if self._touched(name)})

    def _touched(self, name: str) -> bool:
        """Does a macro build on kept rows?"""
        return any(callee in self.tables or self._touched(callee) for callee in self._calls[name])

    def _macro(self, name: str) -> str:
        return PREFIX + name if self._touched(name) else name

    def _text(self, name: str) -> str:
        """A macro's text on the kept tables, under the name that `_macro` gives."""
        text = self._macros[name]
        for callee in self._calls[name]:
            if callee in self.tables:
                text = re.sub(rf"\b{callee}\({self.tables[callee]}\)", f"kept_{callee}", text)
            else:
                text = re.sub(rf"\b{callee}\(", f"{self._macro(callee)}(", text)
        return re.sub(rf"\bMACRO {name}\(", f"MACRO {self._macro(name)}(", text)


def _shared(macros: Mapping[str, str], calls: Mapping[str, frozenset[str]], detectors: Sequence[str]) -> dict[str, str]:
    """Helper tables that at least two macros call, and that are only ever asked of the pair itself: name to parameters."""
    asked = {name for detector in detectors for name in _below(detector, calls)}
    callers = {name: [other for other in asked if name in calls[other]] for name in asked}
    heads = {name: found for name in asked if (found := _HEAD.match(macros[name]))}
    own = {detector for detector in detectors if not callers[detector]}

    def is_own(name: str) -> bool:
        """Does whoever calls it pass on its own parameters, which are the pair?"""
        if name in own:
            return True
        parameters = heads[name][1] if name in heads else ""
        if parameters not in ("a, b", "b"):
            return False
        exact = re.compile(rf"\b{name}\({parameters}\)")
        for caller in callers[name]:
            if len(exact.findall(macros[caller])) != len(re.findall(rf"\b{name}\(", macros[caller])) or not is_own(caller):
                return False
        own.add(name)
        return True

    tables = [name for name in asked if name in heads and heads[name][2] and len(callers[name]) > 1 and name not in detectors]
    return {name: heads[name][1] for name in tables if is_own(name)}


def _below(name: str, calls: Mapping[str, frozenset[str]]) -> list[str]:
    """A macro and all that it builds on, what is called before who calls."""
    found = [each for callee in sorted(calls[name]) for each in _below(callee, calls)]
    return list(dict.fromkeys([*found, name]))


def _called(text: str, macros: Mapping[str, str]) -> set[str]:
    return {name for name in re.findall(r"\b([a-z_][a-z0-9_]*)\(", text) if name in macros}
