"""Where the runs of a store come from: captured here, or brought in with a bundle. Written down when a bundle lands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def owners(root: Path) -> dict[str, str]:
    """Each run that was brought in, by its name here, to the id of its bundle."""
    return {str(run): str(record.get("id")) for record in _records(root) for run in _runs(record)}


def alone(root: Path) -> set[str]:
    """The runs of which captures were brought in, and no tables of their own."""
    return {str(run) for record in _records(root) for run in record.get("alone") or ()}


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
