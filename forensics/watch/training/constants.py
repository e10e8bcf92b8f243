"""What a compiled function takes of its module and closure: each call has it as its trace found it."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

_CALLS = 512  # of a trace that are looked at
_KEYS = 64  # of a dict


class Numbers:
    """The floats that a function's code loads of its module and closure, and of dicts there by key."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        code = getattr(fun, "__code__", None)
        codes = list(_codes(code)) if isinstance(code, CodeType) else []
        self._globals = {
            str(each.argval)
            for one in codes
            for each in dis.get_instructions(one)
            if each.opname == "LOAD_GLOBAL"
        }
        self._keys = {const for one in codes for const in one.co_consts if isinstance(const, str)}
        self._then = self._read(fun)

    def changed(self, fun: Callable[..., Any], calls: int) -> tuple[float, float] | None:
        """(as it was traced, as it is now) of the first number that the program has changed since."""
        if not self._then or calls > _CALLS:
            return None
        now = self._read(fun)
        return next(((was, now[name]) for name, was in self._then.items() if now.get(name, was) != was), None)

    def _read(self, fun: Callable[..., Any]) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, value in self._held(fun):
            if isinstance(value, float):
                found[name] = value
            elif type(value) is dict and len(value) <= _KEYS:  # a module is a dict of its own kind
                own = {f"{name}.{key}": value.get(key) for key in self._keys}
                found |= {key: number for key, number in own.items() if isinstance(number, float)}
        return found

    def _held(self, fun: Any) -> Iterator[tuple[str, Any]]:
        space = getattr(fun, "__globals__", {})
        yield from ((name, space[name]) for name in self._globals if name in space)
        yield from _closed_over(fun)


def called(fun: Callable[..., Any]) -> Iterator[Any]:
    """What the function itself calls by a name of its module or closure."""
    code = getattr(fun, "__code__", None)
    if not isinstance(code, CodeType):
        return
    space, closed = getattr(fun, "__globals__", {}), dict(_closed_over(fun))
    steps = list(dis.get_instructions(code))
    for before, step, after in zip([None, *steps], steps, [*steps[1:], None], strict=False):
        # a call is made ready by NULL beside what is called: in the same step, before it, or after it
        if step.opname == "LOAD_GLOBAL" and step.arg is not None and step.arg & 1 and step.argval in space:
            yield space[step.argval]
        beside = {each.opname for each in (before, after) if each is not None}
        if step.opname == "LOAD_DEREF" and "PUSH_NULL" in beside and step.argval in closed:
            yield closed[step.argval]


def _closed_over(fun: Any) -> Iterator[tuple[str, Any]]:
    cells = getattr(fun, "__closure__", None) or ()
    for name, cell in zip(fun.__code__.co_freevars if cells else (), cells, strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not set yet
            continue


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)
