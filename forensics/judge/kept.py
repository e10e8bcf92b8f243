"""What several detectors ask of the one pair that is judged is worked out once, and kept in a table.

DuckDB expands a macro wherever it is called, so a helper that eight detectors call is planned and run eight times. Here the helpers
that every detector calls with its own `a` and `b` are found by their texts, their rows are kept for the pair, and the detectors are
made once more, under a prefix, on the kept tables. The macros that people ask stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from forensics.errors import QueryError
from forensics.judge.library import Library, Sql

PREFIX = "judged_"
_HEAD = re.compile(r"CREATE OR REPLACE MACRO \w+\((a, b|b)\) AS TABLE\b")


@dataclass
class Kept:
    """The library's macros as they are for one pair: `tables` maps what is kept to its parameters."""

    macros: Mapping[str, str]
    calls: Mapping[str, frozenset[str]]
    tables: dict[str, str] = field(default_factory=dict)

    def touched(self, name: str) -> bool:
        """Does a macro build on kept rows?"""
        return any(callee in self.tables or self.touched(callee) for callee in self.calls[name])

    def macro(self, name: str) -> str:
        """The name under which a macro is asked for the pair."""
        return PREFIX + name if self.touched(name) else name

    def text(self, name: str) -> str:
        """A macro's text on the kept tables, under the name that `macro` gives."""
        text = self.macros[name]
        for callee in self.calls[name]:
            if callee in self.tables:
                text = re.sub(rf"\b{callee}\({self.tables[callee]}\)", f"kept_{callee}", text)
            else:
                text = re.sub(rf"\b{callee}\(", f"{self.macro(callee)}(", text)
        return re.sub(rf"\bMACRO {name}\(", f"MACRO {self.macro(name)}(", text)


def keep(session: Sql, library: Library, a: str, b: str) -> Kept:
    """Work out what several detectors ask of `a` and `b`, and offer the session the detectors that read it there."""
    macros = library.macros
    calls = {name: frozenset(_called(text, macros)) - {name} for name, text in macros.items()}
    kept = Kept(macros, calls)
    roots = [detector.macro for detector in library.detectors]
    for name, parameters in _shared(macros, calls, roots).items():
        session.offer({kept.macro(each): kept.text(each) for each in _below(name, calls) if kept.touched(each)})
        marks, values = ("?, ?", [a, b]) if parameters == "a, b" else ("?", [b])
        with suppress(QueryError):  # whoever needs it will say so
            session.rows(f"CREATE OR REPLACE TEMP TABLE kept_{name} AS SELECT * FROM {kept.macro(name)}({marks})", values)
            kept.tables[name] = parameters
    session.offer({kept.macro(name): kept.text(name) for name in macros if kept.touched(name)})
    return kept


def _shared(macros: Mapping[str, str], calls: Mapping[str, frozenset[str]], roots: list[str]) -> dict[str, str]:
    """Helper tables that at least two macros call, and all with their own parameters: name to parameters, what they call first."""
    asked = {name for root in roots for name in _below(root, calls)}
    callers = {name: [other for other in asked if name in calls[other]] for name in asked}
    own = set(roots)

    def is_own(name: str) -> bool:
        """Is it only ever asked of the pair itself?"""
        if name in own:
            return True
        head = re.match(r"CREATE OR REPLACE MACRO \w+\(([^)]*)\)", macros[name])
        parameters = head[1] if head else ""
        if parameters not in ("a, b", "b"):
            return False
        exact = re.compile(rf"\b{name}\({parameters}\)")
        for caller in callers[name]:
            if len(exact.findall(macros[caller])) != len(re.findall(rf"\b{name}\(", macros[caller])) or not is_own(caller):
                return False
        own.add(name)
        return True

    found = {n: h[1] for n in asked if n not in roots and len(callers[n]) > 1 and (h := _HEAD.match(macros[n])) and is_own(n)}
    ordered = dict.fromkeys(below for name in found for below in _below(name, calls))
    return {name: found[name] for name in ordered if name in found}


def _below(name: str, calls: Mapping[str, frozenset[str]]) -> list[str]:
    """A macro and all that it builds on, what is called before who calls."""
    found = [each for callee in sorted(calls[name]) for each in _below(callee, calls)]
    return list(dict.fromkeys([*found, name]))


def _called(text: str, macros: Mapping[str, str]) -> set[str]:
    return {name for name in re.findall(r"\b([a-z_][a-z0-9_]*)\(", text) if name in macros}
