"""What the models of this store's own runs answered to the probes, by a digest of all that decides an answer.

A later watched run that finds its own model there does not ask again. Imported runs never come here: their
answers are a stranger's word. A file goes with the run or the capture that it is of.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from forensics import files
from forensics.store.manifest import run_of

_KEY = re.compile(r"[0-9a-f]{64}")
_MOST = 64  # models whose answers are remembered


def directory(root: Path) -> Path:
    """Where they lie below the root of a store."""
    return root / "answers"


def keep(
    root: Path,
    key: object,
    capture: str,
    transcripts: Iterable[Mapping[str, Any]],
    tokens: Iterable[Mapping[str, Any]],
) -> None:
    """Remember what a capture's model said, as the watcher wrote it: ids and probabilities, no text.

    Args:
        key: as the watcher made it; what is none is left.
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key) or (directory(root) / f"{key}.json").exists():
        return
    by_question: dict[str, list[list[Any]]] = {}
    for row in tokens:
        top = [[candidate[0], candidate[2]] for candidate in row["top"]]
        by_question.setdefault(str(row["prompt_id"]), []).append([row["token_id"], row["logprob"], top])
    answers = [
        {
            "ids": row["prompt_ids"],
            "logits": row["logits_digest"],
            "finish": row["finish_reason"],
            "tokens": by_question.get(str(row["prompt_id"]), []),
        }
        for row in transcripts
        if row.get("source") == "probe" and row.get("logits_digest")
    ]
    text = json.dumps({"capture": capture, "answers": answers}, separators=(",", ":"))
    files.remember(directory(root) / f"{key}.json", text.encode("ascii"), _MOST)


def forget(root: Path, gone: Collection[str]) -> None:
    """Remove what these runs and captures said."""
    for path in directory(root).glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            capture = str(json.loads(path.read_text(encoding="ascii"))["capture"])
            if capture in gone or run_of(capture) in gone:
                path.unlink(missing_ok=True)
