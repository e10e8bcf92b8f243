"""Answers of an earlier watched run of this store to the same probes, by everything that decides an answer.

The store writes them when it seals a run of its own, never when it imports one. They count only where the
model's logits after the prompt, computed here, equal those of then to the bit.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import trees
from ..originals import hashlib, json, os
from ..run import watch
from . import tensors
from .decoder import Line, Token

# of the answers' making: another number where `decoder` says other tokens or probabilities than before
_FORM = 2


def key(
    module: Any, state: tuple[str, str], prompts: Sequence[Sequence[int]], limit: int, stop: set[int]
) -> str | None:
    """A digest over parameters, settings, code, versions, device and prompts.

    None where the code cannot be told.
    """
    files = _code(module)
    if files is None:
        return None
    core = trees.mx()
    versions = {name: getattr(sys.modules.get(name), "__version__", None) for name in ("mlx_lm", "mlx.core")}
    device = str(core.default_device())
    text = json.dumps(
        [_FORM, state, prompts, limit, sorted(stop), files, versions, device, platform.platform()],
        default=str,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _code(module: Any) -> list[list[Any]] | None:
    """The files that define the classes of a model, with size and time of change."""
    names = {cls.__module__ for _, each in trees.modules(module) for cls in type(each).__mro__}
    hashes = []
    for name in sorted(names - {"builtins"}):
        path = getattr(sys.modules.get(name), "__file__", None)
        if name == "__main__" or not path:
            return None
        with contextlib.suppress(OSError):
            state = os.stat(path)
            hashes.append([name, state.st_size, state.st_mtime_ns])
    return hashes


class Answers:
    """What was answered under a key."""

    def __init__(self, key: str | None) -> None:
        self.filled = False
        self._by_ids: dict[tuple[int, ...], dict[str, Any]] = {}
        place = watch.options.get("answers")
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            if key and place:
                answers = json.loads((Path(place) / f"{key}.json").read_text(encoding="ascii"))
                self._by_ids = {tuple(answer["ids"]): answer for answer in answers["answers"]}

    def fill(self, line: Line) -> bool:
        """Give the line, whose prompt was read, the answer of then.

        False where there is none, or the logits differ.
        """
        earlier = self._by_ids.get(line.ids)
        if earlier is None or earlier["logits"] != tensors.digest(line.first):
            return False
        line.tokens = [Token(int(t), p, [(int(i), v) for i, v in top]) for t, p, top in earlier["tokens"]]
        line.finish = earlier["finish"]
        self.filled = True
        return True
