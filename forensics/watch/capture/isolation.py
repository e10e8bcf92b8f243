"""Calls the user's model without leaving a trace.

Flags, attributes, random states and standard streams are put back exactly.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any

from .. import trees
from ..originals import threading


@contextlib.contextmanager
def still(module: Any, *, evaluation: bool) -> Iterator[None]:
    """Within this block a model may be called; after it, it and every random state are as before.

    Args:
        evaluation: switch every module, dropout inside adapters included, to evaluation mode; else the flags
        stay as they are.
    """
    held = [(each, dict(each), dict(vars(each))) for _, each in trees.modules(module)]
    with _random_states(), _no_output(), _warnings():
        try:
            if evaluation:
                for each, _, _ in held:
                    _evaluation(each)
            yield
        finally:
            for each, content, attributes in held:
                _restore(each, content)
                _restore(vars(each), attributes)


def _evaluation(module: Any) -> None:
    switch = getattr(module, "_set_training_mode", None)
    if switch is not None:
        switch(False)
    else:  # mlx before 0.30
        module._training = False


def _restore(now: Any, before: dict[str, Any]) -> None:
    """A model may count its calls, or keep what it computed last: put back what was there, in its order."""
    if dict.__len__(now) != len(before) or any(
        not dict.__contains__(now, key) or dict.__getitem__(now, key) is not value
        for key, value in before.items()
    ):
        dict.clear(now)
        dict.update(now, before)


@contextlib.contextmanager
def _random_states() -> Iterator[None]:
    core = trees.mx()
    key, plain = core.random.state[0].tolist(), random.getstate()
    numpy: Any = getattr(sys.modules.get("numpy"), "random", None)
    state = numpy.get_state() if numpy is not None else None
    try:
        yield
    finally:
        if core.random.state[0].tolist() != key:
            core.random.seed((key[0] << 32) | key[1])
        random.setstate(plain)
        if state is not None:
            numpy.set_state(state)


@contextlib.contextmanager
def _warnings() -> Iterator[None]:
    """Put Python's record of shown warnings back, which shows each warning once a line.

    A warning that came while we called is as if it had not come, so that the program's own is shown.
    """
    registries = {id(registry): dict(registry) for registry in _registries()}
    try:
        yield
    finally:
        for registry in _registries():
            before = registries.get(id(registry), {})
            if len(registry) != len(before):
                registry.clear()
                registry.update(before)


def _registries() -> Iterator[dict[Any, Any]]:
    once = getattr(sys.modules.get("warnings"), "onceregistry", None)
    if isinstance(once, dict):
        yield once
    for module in list(sys.modules.values()):
        registry = getattr(module, "__dict__", {}).get("__warningregistry__")
        if isinstance(registry, dict):
            yield registry


class _Quiet:
    """A stream that swallows what this thread writes, and hands on what others do."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._thread else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _no_output() -> Iterator[None]:
    """A model that prints at each call says nothing of ours."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Quiet(out), _Quiet(err)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
