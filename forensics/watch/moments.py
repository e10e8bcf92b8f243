"""The moments of a run at which hooks are called.

Each hook's `install(run)` is given the one object of this module.

Nothing of the watcher is imported here, so every layer may call what is registered, and every hook may
register.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Moments:
    """Who is called when: by moment, in the order in which it was registered."""

    def __init__(self) -> None:
        self.patches: dict[str, list[tuple[str, Callable[[Any], None]]]] = {}
        self.sights: list[Callable[[Any], None]] = []
        self.phases: list[Callable[[Any, tuple[int, int], tuple[int, int]], None]] = []
        self.first_updates: list[Callable[[], None]] = []
        self.starts: list[Callable[[Any], None]] = []
        self.updates: list[Callable[[Any], None]] = []
        self.steps: list[Callable[[Any, bool], None]] = []
        self.boundaries: list[Callable[[], None]] = []
        self.drops: list[Callable[[Any], None]] = []
        self.exits: list[Callable[[], None]] = []
        self.ends: list[Callable[[BaseException | None], None]] = []

    def patch(self, module: str, function: Callable[[Any], None]) -> None:
        """Call `function(module)` once, right after the code of the module of that name ran.

        Of several hooks that wrap one function, the later stands outside.
        """
        self.patches.setdefault(module, []).append((function.__module__.partition(".")[2], function))

    def on_sight(self, function: Callable[[Any], None]) -> None:
        """Call `function(model)` with each model when it becomes known."""
        self.sights.append(function)

    def on_phase(self, function: Callable[[Any, tuple[int, int], tuple[int, int]], None]) -> None:
        """Call `function(model, before, now)` before a phase's `start`.

        `before` and `now` count adapter layers, and those around another.
        """
        self.phases.append(function)

    def on_first_update(self, function: Callable[[], None]) -> None:
        """Call `function()` once, just before the first update of any model."""
        self.first_updates.append(function)

    def on_started(self, function: Callable[[Any], None]) -> None:
        """Call `function(model)` just before the first update of a phase, when its `start` was taken."""
        self.starts.append(function)

    def on_update(self, function: Callable[[Any], None]) -> None:
        """Call `function(event)` when an update or a write by hand was applied (a `training.event.Event`)."""
        self.updates.append(function)

    def on_step(self, function: Callable[[Any, bool], None]) -> None:
        """Call `function(step, partly)` to write a step's rows.

        `partly`: only gradients, more of them and the update follow.
        """
        self.steps.append(function)

    def on_boundary(self, function: Callable[[], None]) -> None:
        """Call `function()` at each safe moment, before an `end` is taken.

        It evaluates and writes what a hook still has.
        """
        self.boundaries.append(function)

    def on_dropped(self, function: Callable[[Any], None]) -> None:
        """Call `function(model)` with a model that the program dropped, after its last look."""
        self.drops.append(function)

    def on_exit(self, function: Callable[[], None]) -> None:
        """Call `function()` once when the program ends, after the last boundary."""
        self.exits.append(function)

    def on_end(self, function: Callable[[BaseException | None], None]) -> None:
        """Call `function(error)` first of all when the interpreter ends.

        `error` is the exception that nobody caught, if there was one.
        """
        self.ends.append(function)


def name_of(function: Callable[..., Any]) -> str:
    """The last part of the module that a function stands in: what a failure of ours is named by."""
    return str(getattr(function, "__module__", "")).rpartition(".")[2]


moments = Moments()
