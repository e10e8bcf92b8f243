"""The standard library before the program's own files, while the watcher imports.

A program's folder may hold a `statistics.py` or a `queue.py` of its own, which plain Python would import in
place of the standard library's. An import of ours must neither run such a file nor keep the program from it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder


@contextmanager
def first() -> Iterator[None]:
    """Imports within find the standard library first.

    What the program would find under the same name it finds afterwards.
    """
    path, before = list(sys.path), set(sys.modules)
    own = [place for place in path if _is_stdlib(place)]
    ahead = path[: path.index(own[0])] if own else []
    if not ahead:
        yield
        return
    sys.path[:] = [*own, *(place for place in path if place not in own)]
    try:
        yield
    finally:
        sys.path[:] = path
        new = sys.modules.keys() - before
        for name in {name.partition(".")[0] for name in new} & sys.stdlib_module_names:
            if name not in before and _holds(ahead, name):
                for module in new:
                    if module.partition(".")[0] == name:
                        sys.modules.pop(module, None)


def _is_stdlib(place: str) -> bool:
    library = os.path.dirname(os.__file__)
    return place == library or (place.startswith(library + os.sep) and not place.endswith("-packages"))


def _holds(places: list[str], name: str) -> bool:
    """Is a module of this name found there? A folder without `__init__.py` hides nothing that comes later."""
    spec = PathFinder.find_spec(name, places)
    return spec is not None and spec.origin is not None and name not in sys.builtin_module_names
