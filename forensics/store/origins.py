"""Where the runs of a store come from: captured here, or brought in with a bundle.

Written down when a bundle lands.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from forensics import files


def owners(root: Path) -> dict[str, str]:
    """Each run that was brought in, by its name here, to the id of its bundle."""
    return {str(run): str(record.get("id")) for record in _records(root) for run in _runs(record)}


def alone(root: Path) -> set[str]:
    """The runs of which captures were brought in, and no tables of their own."""
    return {str(run) for record in _records(root) for run in record.get("alone") or ()}


def settle(root: Path) -> None:
    """Put what has landed into its places. Idempotent, and safe where two processes do it at once."""
    for landing in sorted((root / "imports").glob("*.landing")):
        with files.locked(root / "imports" / "lock", exclusive=True) as mine:
            if not mine or not landing.is_dir():
                continue
            for part in ("packs", "captures", "proofs", "runs"):
                for path in sorted((landing / part).glob("*")):
                    target = root / part / path.name
                    target.parent.mkdir(exist_ok=True)
                    if not target.exists():
                        path.rename(target)
            for part in ("packs", "captures", "runs"):
                with contextlib.suppress(FileNotFoundError):
                    files.sync(root / part)
            with contextlib.suppress(FileNotFoundError):
                (landing / "import.json").replace(landing.with_suffix(".json"))
            shutil.rmtree(landing, ignore_errors=True)


def _runs(record: Mapping[str, Any]) -> list[Any]:
    runs = record.get("runs")
    return list(runs.values()) if isinstance(runs, dict) else []


def _records(root: Path) -> Iterator[Mapping[str, Any]]:
    for path in sorted((root / "imports").glob("*.json")):
        try:
            record = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(record, dict):
            yield record
