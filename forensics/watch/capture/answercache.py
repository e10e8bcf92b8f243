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


Said = dict[tuple[Any, ...], tuple[str, list[Token], str | None]]
"""By prompt, limit and stop set: the digest of the logits after the prompt, the answer, and how it ended."""


def said(lines: Sequence[Line], stop: set[int]) -> Said:
    """What these lines said, which were answered."""
    return {_question(line, stop): (tensors.digest(line.first), line.tokens, line.finish) for line in lines}


def _question(line: Line, stop: set[int]) -> tuple[Any, ...]:
    return line.ids, line.limit, frozenset(stop)


class Answers:
    """What was answered under a key, or by this model before."""

    def __init__(self, key: str | None, said: Said | None = None, stop: set[int] | None = None) -> None:
        self.filled = False
        self._said, self._stop = said or {}, stop or set()
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
        logits, tokens, finish = self._said.get(_question(line, self._stop), ("", [], None))
        if logits and logits == tensors.digest(line.first):
            line.tokens, line.finish, self.filled = list(tokens), finish, True
            return True
        earlier = self._by_ids.get(line.ids)
        if earlier is None or earlier["logits"] != tensors.digest(line.first):
            return False
        line.tokens = [Token(int(t), p, [(int(i), v) for i, v in top]) for t, p, top in earlier["tokens"]]
        line.finish = earlier["finish"]
        self.filled = True
        return True
