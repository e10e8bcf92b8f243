"""Patches modules right after they executed. At interpreter start nothing else of the watcher is loaded."""

from __future__ import annotations

import sys
from typing import Any

ROOTS = ("mlx", "mlx_lm", "safetensors", "transformers", "peft", "numpy")
_MLX = "mlx.core"
_OURS = __name__.partition(".")[0]


class Finder:
    """Stands first in `sys.meta_path`.

    Finds what the others find, and has the loader call `ran` after the module's code.

    The loader's own `exec_module` is shadowed on the instance and put back when it ran, so that nothing of us
    stays visible.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        root = name.partition(".")[0]
        if root == _OURS:
            return _ours(name, path)
        if root not in ROOTS:
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find else None
            if spec is not None:
                self._follow(spec)
                return spec
        return None

    @staticmethod
    def _follow(spec: Any) -> None:
        loader = spec.loader
        run = getattr(loader, "exec_module", None)
        if run is None or not hasattr(loader, "__dict__"):
            return

        def exec_module(module: Any) -> None:
            loader.__dict__.pop("exec_module", None)
            run(module)
            ran(module)

        loader.exec_module = exec_module


def _ours(name: str, path: Any) -> Any:
    """A module of the watcher, which finds the standard library before the program's own files."""
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec(name, path)
    loader: Any = spec and spec.loader
    if loader is None or name == f"{_OURS}.stdlib":
        return spec
    run = loader.exec_module

    def exec_module(module: Any) -> None:
        from .stdlib import first  # import time: a program without mlx pays nothing

        with first():
            run(module)

    loader.exec_module = exec_module
    return spec


def ran(module: Any) -> None:
    """A module under ROOTS has executed: begin with mlx itself, then let the hooks have it."""
    try:
        if module.__name__ == _MLX or _MLX in sys.modules:
            from .start import begin, hook  # import time: a program without mlx pays nothing

            if module.__name__ == _MLX:
                begin()
            hook(module)
    except Exception:  # noqa: BLE001, S110  a failure of ours is never the program's
        pass


def install() -> None:
    sys.meta_path.insert(0, Finder())


def take_out() -> None:
    """Programs find their modules without us again."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
