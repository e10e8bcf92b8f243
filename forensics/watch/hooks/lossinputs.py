"""What the library's losses are handed that take log-probabilities by their documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..places import where
from ..run import watch
from ..training import steps
from ..trees import is_array, mx
from ..wrapping import wrap
from . import gradients

_ROWS = 64  # distributions that are looked at

_TAKEN = {"kl_div_loss": ("inputs", "targets"), "nll_loss": ("inputs",)}
_looked: set[str] = set()  # losses of which a kept step has told what they are handed


def _handed(name: str) -> Callable[..., Any]:
    """Hold what a loss in log space is handed under a gradient, until that is done."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def loss(*args: Any, **kwargs: Any) -> Any:
            frame = gradients.frame()
            wanted = frame is not None and frame.in_full and frame.open and name not in _looked
            if wanted and watch.on and not watch.local.quiet and not steps.local.traces:
                with watch.looking(name):
                    _looked.add(name)
                    assert frame is not None
                    frame.inputs += [
                        _held(name, i, each, args, kwargs) for i, each in enumerate(_TAKEN[name])
                    ]
            return original(*args, **kwargs)

        return loss

    return make


def _held(name: str, place: int, argument: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """(loss, argument, some of its distributions (rows, classes), the program's line)."""
    array: Any = args[place] if place < len(args) else kwargs.get(argument)
    axis = kwargs.get("axis", args[2] if len(args) > 2 else -1)
    rows = None
    if is_array(array) and array.ndim and isinstance(axis, int):
        rows = mx().moveaxis(mx().stop_gradient(array), axis, -1)
        rows = rows.reshape(-1, rows.shape[-1])[:_ROWS]
    return name, argument, rows, where()


def _losses(module: Any) -> None:
    for name in _TAKEN:
        wrap(module, name, _handed(name))


def install(run: Moments) -> None:
    run.patch("mlx.nn.losses", _losses)
