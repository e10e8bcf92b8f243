"""What models at rest are asked, which can be, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from forensics.capture.prompts import Prompt
from forensics.model.composite import Composed
from forensics.model.configs import LAYERS, page
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
    """What a model answered: rows of transcripts, tokens, scores and tensors (of logits).

    With them the tokenizer's facts as mlx-lm loads it, or why there are no answers.

    `refused`: why the model was not even loaded: it would run code of its own.
    """

    tables: dict[str, list[Row]] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    missing: list[dict[str, str]] = field(default_factory=list)
    refused: str | None = None


def askable(composed: Composed) -> bool:
    """A directory that mlx-lm can load, mlx to load it with, and memory enough."""
    if composed.model.kind != "mlx" or not composed.model.path.is_dir() or find_spec("mlx_lm") is None:
        return False
    config = composed.model.path / "config.json"
    if config.is_file() and any(
        type(n) is int and n > len(composed.pieces) for k, n in page(config).items() if k in LAYERS
    ):
        return False  # it declares more layers than the files hold tensors: no loader can fill them
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return config.is_file() and sum(p.stored.raw.nbytes for p in composed.pieces) < SHARE * memory
