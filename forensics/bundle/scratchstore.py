"""Bundles read where they lie: rebuilt into a temporary store of this process, once each."""

from __future__ import annotations

import functools
import itertools
import json
from pathlib import Path

from forensics import files
from forensics.bundle.client import rebuild
from forensics.store.packs import Packs
from forensics.store.store import Capture, Run, Store


def passing(path: Path, text: str, packs: Packs) -> list[Run | Capture]:
    """What is in a bundle, read without bringing it in.

    These are its runs in order; of a run that was not bundled itself and has one capture, that
    capture. Refs begin with `text` and a slash.

    `packs` may hold tensors that tensors in it are stored as differences from.

    Raises:
        DamagedEvidence: the bundle is damaged or hostile.
    """
    store = passing_store(path, text, packs)
    runs = (store.run(name) for name in json.loads((store.root / "runs.json").read_bytes()))
    return [run.captures[0] if run.path is None and len(run.captures) == 1 else run for run in runs]


def passing_store(path: Path, text: str, packs: Packs) -> Store:
    """The store into which a bundle is rebuilt, for refs of one of several runs in it."""
    return _rebuilt(str(path.resolve()), path.stat().st_mtime_ns, text, packs)


@functools.cache
def _rebuilt(path: str, stamp: int, text: str, packs: Packs) -> Store:
    target = _fresh()
    answer = rebuild(Path(path), target, {}, packs, ())
    if any(packs.place(base) is not None for base in answer["waiting"]):
        target = _fresh()
        answer = rebuild(Path(path), target, {}, packs, answer["waiting"])
    (target / "runs.json").write_text(json.dumps(answer["runs"]), encoding="utf-8")
    return Store(target, f"{text}/", owner=path)


def _fresh() -> Path:
    return files.scratch("bundle") / str(next(_numbers))


_numbers = itertools.count()
