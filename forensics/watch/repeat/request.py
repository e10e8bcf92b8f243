"""What `forensics prove` told this process.

The cures to put in, the shift of the seeds, and facts of the recorded run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ..run import watch

_T = TypeVar("_T")

MODULES = ("repeat.files", "repeat.seeds")
"""Modules that every repeat installs, before the cures and before the watcher's own hooks, which then see
what cures do.
"""
OUTER = ("repeat.generation", "repeat.saves", "repeat.loops", "repeat.decisions")
"""Modules that are installed after the watcher's own hooks: what they change is what these hooks see."""


def repeat() -> dict[str, Any]:
    """{"cures": [id], "facts": {name: value}, "steps": updates or None}; empty where this is no repeat."""
    request = watch.options.get("repeat")
    return request if isinstance(request, dict) else {}


def modules(hooks: list[str]) -> list[str]:
    """The modules to install, `hooks` among them, in order; a run that is no repeat has no others."""
    if not repeat():
        return hooks
    return [
        *MODULES,
        *(f"cures.{name.replace('-', '_')}" for name in repeat().get("cures", ())),
        *hooks,
        *OUTER,
    ]


def fact(name: str) -> Any:
    """A fact of the recorded run, None where it is not known."""
    return (repeat().get("facts") or {}).get(name)


def cure(cures: Iterable[tuple[str, Callable[[_T], str | None]]], subject: _T) -> None:
    """Put each cure to what it changes; a cure that fails leaves the program uncured, and `prove` says so."""
    for name, function in cures:
        try:
            what = function(subject)
        except Exception as error:  # noqa: BLE001
            watch.missing(f"the cure of {name}", error)
        else:
            if what:
                acted(name, what)


def acted(cure: str, what: str) -> None:
    """Note that a cure reached what it changes; once a cure and process is enough."""
    if (cure, watch.pid) not in _acted:
        _acted.add((cure, watch.pid))
        watch.row("cures", id=cure, what=what)


_acted: set[tuple[str, int]] = set()
