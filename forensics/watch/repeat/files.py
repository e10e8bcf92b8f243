"""Keeps what mlx and safetensors write within the repeat's folder.

They write with code of their own, which no audit hook sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..wrapping import wrap
from . import guard


def _checked(place: int, name: str) -> Callable[..., Any]:
    """A maker of wrappers that look at the path, the argument at `place` or by `name`."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **kwargs: Any) -> Any:
            guard.check(args[place] if len(args) > place else kwargs.get(name))
            return original(*args, **kwargs)

        return write

    return make


_FIRST, _SECOND = _checked(0, "file"), _checked(1, "filename")


def _core(module: Any) -> None:
    for name in (
        "save",
        "savez",
        "savez_compressed",
        "save_safetensors",
        "save_gguf",
        "export_function",
        "export_to_dot",
    ):
        wrap(module, name, _FIRST)


def install(run: Moments) -> None:
    run.patch("mlx.core", _core)
    for kind in ("mlx", "numpy", "torch"):
        run.patch(f"safetensors.{kind}", lambda module: wrap(module, "save_file", _SECOND))
