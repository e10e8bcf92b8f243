"""What models at rest are asked, which can be, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from forensics.capture.prompts import Prompt
from forensics.model.composed import Composed
from forensics.records import Row

SHARE = 0.4
"""Of the machine's memory: a model whose files are larger is not loaded on the fly."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What a model at rest is asked, and by whom the answers are scored."""

    prompts: Sequence[Prompt] | None = None
    max_tokens: int = 48
    scorers: Sequence[str] = ()


@dataclass
class Answers:
    """Rows of transcripts, tokens, scores and tensors (of logits); the tokenizer's facts as mlx-lm loads it; why there is none."""

    tables: dict[str, list[Row]] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    missing: list[dict[str, str]] = field(default_factory=list)


def askable(composed: Composed) -> bool:
    """A directory that mlx-lm can load, mlx to load it with, and memory enough."""
    if composed.model.kind != "mlx" or not composed.model.path.is_dir() or find_spec("mlx_lm") is None:
        return False
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (composed.model.path / "config.json").is_file() and sum(p.stored.raw.nbytes for p in composed.pieces) < SHARE * memory
