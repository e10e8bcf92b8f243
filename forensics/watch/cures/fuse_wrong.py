"""An adapter is fused with the scale that was declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..repeat import adapters, request
from ..wrapping import wrap


def _exact(original: Callable[..., Any]) -> Callable[..., Any]:
    def fuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        scale = adapters.declared().get("scale")
        if scale is None or self.scale == scale:
            return original(self, *args, **kwargs)
        before, self.scale = self.scale, scale
        try:
            request.acted("fuse-wrong", f"fused with a scale of {scale:g}, not {before:g}")
            return original(self, *args, **kwargs)
        finally:
            self.scale = before

    return fuse


def _module(module: Any) -> None:
    for name in ("LoRALinear", "LoRASwitchLinear", "LoRAEmbedding", "DoRALinear", "DoRAEmbedding"):
        if name in vars(module):
            wrap(getattr(module, name), "fuse", _exact)


def install(run: Moments) -> None:
    run.patch("mlx_lm.tuner.lora", _module)
    run.patch("mlx_lm.tuner.dora", _module)
