"""Places in the user's program.

Which files are its own, and the line that a call or an exception came from.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from opcode import opname
from pathlib import Path
from types import FunctionType, MethodType, TracebackType
from typing import Any

from . import cells
from .originals import getframe, inspect, os

HERE = str(Path(__file__).parent)
_LIBRARIES = (
    HERE,
    *(str(Path(HERE).parent / name) for name in ("live.py", "notebook.py", "testing.py")),
    f"{os.sep}site-packages{os.sep}",
    f"{os.sep}dist-packages{os.sep}",
    f"{os.sep}lib{os.sep}python3",
    "<frozen",
)

_SCRIPTS = os.path.dirname(sys.executable or "") + os.sep
"""Where commands of libraries stand, as mlx_lm.lora does."""

_WRAPPERS = 8  # of a function, such as partial, that are looked behind

_tell: list[Callable[[str, str], None]] = []


@functools.lru_cache(4096)
def is_users(file: str) -> bool:
    """Is this file the user's own: of no library, of no interpreter, and none of ours?"""
    if file.startswith("<"):
        return cells.is_cell(file)
    return not file.startswith(_SCRIPTS) and not any(part in file for part in _LIBRARIES)


def on_cell(function: Callable[[str, str], None]) -> None:
    """Call `function(cell, file)` whenever a place in a cell of a notebook is named.

    The code of a cell lies in no file.
    """
    _tell.append(function)


def _place(file: str, line: int) -> str:
    """file:line; a cell of a notebook is named as the notebook does."""
    if cells.is_cell(file) and (cell := cells.name(file)) is not None:
        for function in _tell:
            function(cell, file)
        return f"{cell}:{line}"
    return f"{file}:{line}"


def where() -> str | None:
    """file:line of the innermost frame that belongs to the user's program, not to a library or to us."""
    frame = getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if is_users(name):
            return _place(name, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def returns(function: Any) -> str | None:
    """file:line of the last return of a function of the user's program; None for those of libraries."""
    for _ in range(_WRAPPERS):
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif not isinstance(function, FunctionType):
            function = inspect.getattr_static(type(function), "__call__", None)
        else:
            function = vars(function).get("__wrapped__", function)
    if not isinstance(function, FunctionType) or not is_users(function.__code__.co_filename):
        return None
    code = function.__code__
    steps = zip(code.co_code[::2], code.co_positions(), strict=False)
    lines = [place[0] for step, place in steps if opname[step].startswith("RETURN") and place[0]]
    return _place(code.co_filename, max(lines, default=code.co_firstlineno))


def forward(module: Any) -> str | None:
    """file:line at which the forward of a model of the program's own begins; None for a library's."""
    code = getattr(inspect.unwrap(type(module).__call__), "__code__", None) if module is not None else None
    if code is None or not is_users(code.co_filename):
        return None
    return _place(code.co_filename, code.co_firstlineno)


def raised_at(trace: TracebackType | None) -> str | None:
    """file:line of the innermost frame of a traceback that belongs to the user's program."""
    place = None
    while trace is not None:
        if is_users(trace.tb_frame.f_code.co_filename):
            place = _place(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return place
