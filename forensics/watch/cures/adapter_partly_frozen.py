"""Every tensor of the adapter is trainable."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import adapters, training


def freed(module: Any) -> str | None:
    return adapters.free(module)


def install(run: Moments) -> None:
    training.cure(run, "adapter-partly-frozen", freed)
