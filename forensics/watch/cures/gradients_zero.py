"""The loss depends on the model: a `stop_gradient` in the program's own loss lets the gradient through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..originals import getframe
from ..places import is_users
from ..repeat import request
from ..run import watch
from ..wrapping import wrap


def _through(original: Callable[..., Any]) -> Callable[..., Any]:
    def stop_gradient(*args: Any, **kwargs: Any) -> Any:
        if watch.local.gradient and is_users(getframe(1).f_code.co_filename):
            request.acted("gradients-zero", "stop_gradient left out of the loss")
            return args[0] if args else kwargs["a"]
        return original(*args, **kwargs)

    return stop_gradient


def install(run: Moments) -> None:
    run.patch("mlx.core", lambda module: wrap(module, "stop_gradient", _through))
