"""The declared adapter is put in before the first gradient, and all else frozen."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import adapters, training


def adapted(module: Any) -> str | None:
    return adapters.put_in(module, adapters.declared().get("keys"))


def install(run: Moments) -> None:
    training.cure(run, "lora-missing", adapted)
