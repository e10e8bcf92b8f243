"""What `prove` found of a run, kept beside it.

The document that diagnose, report and `prove --json` read, and the repeats so far.

Like a verdict it is what was seen with one version on one machine; the evidence of the run itself stays as it
was recorded.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forensics import files
from forensics.store.store import Store


def remember(store: Store, run: str, document: Mapping[str, Any]) -> None:
    """Keep the document of a run."""
    _write(store.root / "proofs" / f"{run}.json", document)


def recall(store: Store, run: str) -> Mapping[str, Any] | None:
    """The document that was kept last, or None."""
    return _read(store.root / "proofs" / f"{run}.json")


def remember_repeat(store: Store, run: str, key: str, repeat: Mapping[str, Any]) -> None:
    """Keep what came of one repeat, so that a proof that was interrupted goes on from there."""
    with contextlib.suppress(OSError):
        _write(store.root / "proofs" / run / f"{key}.json", repeat)


def recall_repeat(store: Store, run: str, key: str) -> Mapping[str, Any] | None:
    """What was kept of a repeat, or None."""
    return _read(store.root / "proofs" / run / f"{key}.json")


def forget(store: Store, run: str) -> None:
    """Drop what was kept of a run that is removed."""
    (store.root / "proofs" / f"{run}.json").unlink(missing_ok=True)
    shutil.rmtree(store.root / "proofs" / run, ignore_errors=True)


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(
        path, json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace")
    )


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
