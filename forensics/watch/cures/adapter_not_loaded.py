"""An adapter is saved under its model's own names, and put in before its weights are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import adapters, request, saves
from ..run import watch
from ..trees import mx
from ..wrapping import wrap

_NAME = "adapter-not-loaded"


def _loaded(original: Callable[..., Any]) -> Callable[..., Any]:
    """Module.load_weights(file_or_weights, strict)."""

    def load_weights(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = args[0] if args else kwargs.get("file_or_weights")
        if not watch.local.quiet and not trees.adapters(self)[0] and adapters.declared() and _holds(given):
            done = adapters.put_in(self, adapters.declared().get("keys"))
            if done:
                self.eval()
                request.acted(_NAME, done)
        return original(self, *args, **kwargs)

    return load_weights


def _holds(given: Any) -> bool:
    """Do these weights hold an adapter?"""
    names = mx().load(given) if isinstance(given, str) else dict(given or ())
    return any(name.endswith("lora_a") for name in names)


def install(run: Moments) -> None:
    saves.cure(_NAME, saves.named)
    run.patch("mlx.nn", lambda module: wrap(module.Module, "load_weights", _loaded))
