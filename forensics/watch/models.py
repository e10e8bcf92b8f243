"""A live model as the watcher knows it."""

from __future__ import annotations

import weakref
from typing import Any


class Model:
    """A live model object: a number, a strong reference where it must stay, and what was counted of it."""

    def __init__(self, number: str, module: Any) -> None:
        self.number = number
        self._module = weakref.ref(module)
        self.class_name = type(module).__name__
        self.path: str | None = None  # directory it was loaded from
        self.adapter_path: str | None = None
        self.tokenizer: Any = None  # the tokenizer that came with it, or was last used with it
        self.tokenizer_path: str | None = None
        self.config: dict[str, Any] | None = None
        self.updates = 0
        self.writes = 0
        self.rewritten = 0  # writes by hand since the last update that put other arrays in place
        self.unwritten = 0  # results of apply_gradients that the program has not put in place
        self.gradients = 0
        self.generations = 0
        self.answered = 0  # updates when it last generated, which computes them
        self.saves = 0
        self.copied_from: str | None = None
        self.last_place: str | None = None

    @property
    def module(self) -> Any:
        """The module, or None where the program dropped it."""
        return self._module()

    def again(self, module: Any) -> None:
        """For the last look at a module that the collector found: weak references to it are gone already."""
        self._module = weakref.ref(module)
