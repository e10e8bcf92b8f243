"""The store that a command means: a directory, or the copy of one on object storage."""

from __future__ import annotations

import contextlib
from pathlib import Path

from forensics.model.remote import is_url
from forensics.store import origins
from forensics.store.store import Store, directory


def find(explicit: Path | str | None) -> Store:
    """The store in `store.directory`; a URL's is for reading."""
    place = str(directory(explicit))
    if is_url(place):
        from forensics.store.mirror import mirror  # import time: what reads URLs, which few stores need

        return mirror(place)
    store = Store(Path(place))
    if (store.root / "imports").is_dir():
        with contextlib.suppress(OSError):  # one that may only be read stays as it is
            origins.settle(store.root)
    return store
