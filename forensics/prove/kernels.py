"""The kernels that mlx compiles on processors: a repeat in a folder of its own finds those of earlier runs.

mlx keeps them by what they compute in the directory for temporary files, each the work of seconds of a
compiler. That directory is another one for each repeat.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

_CACHE = "mlx"
_KERNELS = "*/*/*.so"  # version/cpu/


def lend(temporary: Path) -> None:
    """Link what mlx compiled in other runs into this directory for temporary files."""
    _link(Path(tempfile.gettempdir()) / _CACHE, temporary / _CACHE)


def give_back(temporary: Path) -> None:
    """Link what a program that came to its end compiled to where mlx would have kept it without us."""
    _link(temporary / _CACHE, Path(tempfile.gettempdir()) / _CACHE)


def _link(source: Path, target: Path) -> None:
    made: set[Path] = set()
    for file in source.glob(_KERNELS):
        new = target / file.relative_to(source)
        with contextlib.suppress(OSError):  # another file system, or there already: mlx compiles it anew
            if new.parent not in made:
                new.parent.mkdir(parents=True, exist_ok=True)
                made.add(new.parent)
            os.link(file, new)
