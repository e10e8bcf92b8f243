"""A fresh adapter begins as a change of nothing: its second factor is 0."""

from __future__ import annotations

from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import training
from ..trees import mx


def emptied(module: Any) -> str | None:
    count = 0
    for _, each in trees.modules(module):
        if "lora_a" in each and bool((each["lora_b"] != 0).any().item()):
            each["lora_b"] = mx().zeros_like(each["lora_b"])
            count += 1
    return f"lora_b of {count} adapters set to 0" if count else None


def install(run: Moments) -> None:
    training.cure(run, "lora-starts-nonzero", emptied)
