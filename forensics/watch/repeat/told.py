"""What `forensics prove` told this process: the cures to put in, the shift of the seeds, and facts of the recorded run."""

from __future__ import annotations

from typing import Any

from ..run import watch

MODULES = ("repeat.files", "repeat.seeds")
"""Modules of hooks that every repeat loads, before the cures and before the watcher's own, which then see what cures do."""


def repeat() -> dict[str, Any]:
    """{"cures": [id], "facts": {name: value}}; empty where this is no repeat."""
    found = watch.options.get("repeat")
    return found if isinstance(found, dict) else {}


def modules() -> list[str]:
    """The modules of hooks to load for this repeat."""
    if not repeat():
        return []
    return [*MODULES, *(f"cures.{name.replace('-', '_')}" for name in repeat().get("cures", ()))]


def fact(name: str) -> Any:
    """A fact of the recorded run, None where it is not known."""
    return (repeat().get("facts") or {}).get(name)


def acted(cure: str, what: str) -> None:
    """Note that a cure reached what it changes; once a cure and process is enough."""
    if (cure, watch.pid) not in _acted:
        _acted.add((cure, watch.pid))
        watch.row("cures", id=cure, what=what)


_acted: set[tuple[str, int]] = set()
