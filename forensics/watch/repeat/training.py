"""The model cured just before its training begins.

That is when its gradient function is made, which is before the first gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..wrapping import wrap
from . import request

_cures: list[tuple[str, Callable[[Any], str | None]]] = []
_begun: list[Any] = []  # models that were cured


def cure(run: Moments, name: str, function: Callable[[Any], str | None]) -> None:
    """Have `function(module)` called once a model.

    It returns what it changed, None where there was nothing to change.
    """
    if not _cures:
        run.patch("mlx.nn", lambda module: wrap(module, "value_and_grad", _nn))
    _cures.append((name, function))


def begin(module: Any) -> None:
    """Training of this model is about to begin."""
    if not trees.is_module(module) or any(loop is module for loop in _begun):
        return
    _begun.append(module)
    request.cure(_cures, module)


def _nn(original: Callable[..., Any]) -> Callable[..., Any]:
    def value_and_grad(*args: Any, **kwargs: Any) -> Any:
        begin(args[0] if args else kwargs.get("model"))
        return original(*args, **kwargs)

    return value_and_grad
