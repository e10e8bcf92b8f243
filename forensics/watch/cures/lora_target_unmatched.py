"""The declared adapter is put in at the layers that mlx-lm adapts where no key is given."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import adapters, training


def adapted(module: Any) -> str | None:
    return adapters.put_in(module, None)


def install(run: Moments) -> None:
    training.cure(run, "lora-target-unmatched", adapted)
