"""Lets children of the tests import transformers without its walk over thousands of its own files.

The walk takes longer than most tests.

What the walk finds is kept in the file that TRANSFORMERS_STRUCTURE names, for all children of one session.
"""

import importlib.abc
import importlib.machinery
import os
import pickle
import sys
from pathlib import Path

KEPT = os.environ.get("TRANSFORMERS_STRUCTURE")


class _Remembering(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name != "transformers.utils.import_utils":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module

        def exec_module(module):  # type: ignore[no-untyped-def]
            run(module)
            walk = module.create_import_structure_from_path
            module.create_import_structure_from_path = lambda directory: _remembered(walk, str(directory))

        spec.loader.exec_module = exec_module
        return spec


def _remembered(walk, directory):  # type: ignore[no-untyped-def]
    if not directory.removesuffix("/__init__.py").endswith("/models"):
        return walk(directory)
    kept = Path(KEPT)
    if kept.exists():
        return pickle.loads(kept.read_bytes())
    found = walk(directory)
    aside = kept.with_name(f"{kept.name}.{os.getpid()}")
    aside.write_bytes(pickle.dumps(found))
    aside.replace(kept)
    return found


if KEPT:
    sys.meta_path.insert(0, _Remembering())
