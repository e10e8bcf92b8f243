"""A store on object storage, for readers: what its captures say is copied into the user's cache, once.

Tensors stay where they are.

The copy is a store like any other whose packs are referred to by URL, so that only the ranges are fetched
that a question needs.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from forensics import files
from forensics.errors import UnknownRef, UsageError
from forensics.model.remote import Remote, located
from forensics.store import packfile
from forensics.store.store import Store
from forensics.tensors.workers import threads

_SAID = re.compile(
    r"(captures|runs)/[A-Za-z0-9._@-]+/(manifest\.json|tables/[a-z_]+\.jsonl\.gz)|packs/[A-Za-z0-9._-]+\.file\.json"
)
_PACK = re.compile(r"packs/[A-Za-z0-9._-]+\.(safetensors|gguf)")
_INDEX = "mirror.json"
Known = dict[str, list[int]]
"""Place in the store to size, time and tag."""


class Mirror(Store):
    """The copy. Nothing is written to the store itself."""

    def __init__(self, root: Path, url: str) -> None:
        super().__init__(root)
        self.url = url

    def make(self) -> None:
        """Raises UsageError."""
        self._refuse()

    def remove(self, paths: Iterable[Path]) -> int:
        """Raises UsageError."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError(
            "A store on object storage can only be read.",
            where=self.url,
            hint="Write to a local one, and copy it there.",
        )


def mirror(url: str) -> Mirror:
    """The store at a URL as it is now.

    Raises:
        UnknownRef: there is no store.
        UsageError: what reads such URLs is not installed.
        UnreadableModel: it cannot be reached.
    """
    far = located(url)
    assert isinstance(far, Remote)
    place = files.cache_directory() / "stores" / hashlib.sha256(str(far).encode()).hexdigest()[:40]
    now: Known = {}
    for name, state in _listed(far).items():
        if _SAID.fullmatch(name) or _PACK.fullmatch(name):
            now[name] = state
    if not now:
        raise UnknownRef(
            "There is no store at this address.", where=str(far), hint="It holds captures/, runs/ and packs/."
        )
    place.mkdir(parents=True, exist_ok=True)
    with files.waited(place / "mirror.lock"):
        before = _index(place)
        new = [name for name, state in now.items() if before.get(name) != state]
        _fetch(far, place, [name for name in new if _SAID.fullmatch(name)])
        for name in filter(_PACK.fullmatch, new):
            _refer(far, place, name, now[name])
        for name in before.keys() - now.keys():
            _gone(place, name)
        if new or before != now:
            files.write_whole(place / _INDEX, json.dumps(now).encode())
    return Mirror(place, str(far))


def _listed(far: Remote) -> dict[str, list[int]]:
    base = far.place.rstrip("/") + "/"
    return {
        name.removeprefix(base): list(state) for name, state in far.walk().items() if name.startswith(base)
    }


def _index(place: Path) -> Known:
    try:
        return dict(json.loads((place / _INDEX).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def _fetch(far: Remote, place: Path, names: list[str]) -> None:
    """Many at once, manifests last, so that a directory with one is whole."""
    with threads(far=True) as executor:
        for last in (False, True):
            part = [name for name in names if name.endswith("manifest.json") == last]
            for name, data in zip(
                part, executor.map(lambda name: (far / name).read_bytes(), part), strict=True
            ):
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(data)


def _refer(far: Remote, place: Path, name: str, state: list[int]) -> None:
    """What stands in a pack, and where: its list beside it, or its header, is all that is read of it."""
    pack = located(str(far / name))
    document = {"path": str(pack), "state": state, "tensors": packfile.placed(pack)}
    target = _reference(place, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(target, json.dumps(document).encode())


def _reference(place: Path, name: str) -> Path:
    return (place / name).with_suffix(packfile.REFERENCE)


def _gone(place: Path, name: str) -> None:
    if _PACK.fullmatch(name):
        _reference(place, name).unlink(missing_ok=True)
        return
    (place / name).unlink(missing_ok=True)
    if name.endswith("manifest.json"):
        shutil.rmtree((place / name).parent, ignore_errors=True)
