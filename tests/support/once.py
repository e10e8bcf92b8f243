"""What several tests look at is made once a session, whichever of its processes asks first."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from forensics import files
from tests.support import quick

Made = TypeVar("Made")


def once(name: str, make: Callable[[Path], Made]) -> Made:
    """What `make` gives for the directory `name`, which is there and empty; kept for all processes.

    Nobody writes into that directory afterwards. What `make` raises is raised, and the next one tries again.
    """
    place = quick.agreed(quick.MADE) / name
    told = place.with_suffix(".pickle")
    place.parent.mkdir(parents=True, exist_ok=True)
    with files.waited(place.with_suffix(".lock")):
        if not told.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            files.write_whole(told, pickle.dumps(make(place)))
    found: Made = pickle.loads(told.read_bytes())
    return found
