"""What `forensics prove` told this process: the cures to put in, the shift of the seeds, and facts of the recorded run."""

from __future__ import annotations

from typing import Any

from ..run import watch

MODULES = ("repeat.files", "repeat.seeds")
"""Modules that every repeat installs, before the cures and before the watcher's own hooks, which then see what cures do."""
OUTER = ("repeat.generation", "repeat.saves")
"""Modules that are installed after the watcher's own hooks: what they change is what these hooks see."""


def repeat() -> dict[str, Any]:
    """{"cures": [id], "facts": {name: value}}; empty where this is no repeat."""
    found = watch.options.get("repeat")
    return found if isinstance(found, dict) else {}


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


def acted(cure: str, what: str) -> None:
    """Note that a cure reached what it changes; once a cure and process is enough."""
    if (cure, watch.pid) not in _acted:
        _acted.add((cure, watch.pid))
        watch.row("cures", id=cure, what=what)


_acted: set[tuple[str, int]] = set()
