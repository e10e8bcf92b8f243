"""Weights into which an adapter was fused twice hold it once; on a fused model no adapter is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..repeat import fused, request, saves
from ..wrapping import bound, wrap


def _once(original: Callable[..., Any]) -> Callable[..., Any]:
    """mlx_lm.load: what was fused here and saved whole has its adapter already."""

    def load(*args: Any, **kwargs: Any) -> Any:
        call = bound(original, args, kwargs)
        if not call.get("adapter_path") or not saves.whole_model(call.get("path_or_hf_repo")):
            return original(*args, **kwargs)
        request.acted("fused-twice", "the fused model loaded without the adapter")
        return original(**{**call, "adapter_path": None})

    return load


def install(run: Moments) -> None:
    fused.install(run, "fused-twice", lambda share: share > 1.5)
    run.patch("mlx_lm.utils", lambda module: wrap(module, "load", _once))
