"""Files of weights are taken away whose tensors a later save of the same directory wrote again."""

from __future__ import annotations

import glob
import os

from ..moments import Moments
from ..repeat import request, saves
from ..trees import mx


def cleared(directory: str) -> None:
    """Take away each file most of whose tensors lie in newer ones: a loader reads both."""
    files = sorted(glob.glob(os.path.join(directory, "model*.safetensors")), key=os.path.getmtime)
    newer: set[str] = set()
    for file in reversed(files):
        names = set(mx().load(file))
        if len(names & newer) * 2 > len(names):
            os.remove(file)
            request.acted("leftover-weights", f"{os.path.basename(file)} taken away before it is loaded")
        newer |= names


def install(run: Moments) -> None:
    saves.on_directory(cleared)
