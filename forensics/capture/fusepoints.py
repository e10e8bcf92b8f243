"""Which captures of a run hold fused weights.

Those of the model that was fused, of files written from it, and of what was loaded from these.

Any other model that is loaded beside them, as the base for a comparison, was never meant to hold the adapter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forensics.capture.rows import Record
from forensics.records import Row
from forensics.units import iso


class Fused:
    """What fusing reached, read off a run's events in order of time.

    `directories`: where each process works.
    """

    def __init__(self, events: Sequence[Row], directories: Mapping[int, str]) -> None:
        self._directories = directories
        self._files: set[Path] = set()
        self._states: list[tuple[str, str, bool]] = []  # since when a model holds fused weights, or no longer
        self._begun = False
        for event in events:
            detail: Any = event.get("detail")
            if isinstance(detail, Mapping):
                self._read(event, detail)

    def __contains__(self, record: Record) -> bool:
        if record.head["source"] != "live":
            return self._is_file(record.head.get("path"), record.named.process)
        states = [
            fused
            for since, model, fused in self._states
            if model == record.named.model and since <= str(record.head["created_at"])
        ]
        return bool(states) and states[-1]

    def _read(self, event: Row, detail: Mapping[str, Any]) -> None:
        kind, path, process = event.get("kind"), detail.get("path"), int(str(event.get("process") or 0))
        if kind == "fuse":
            self._begun = True
            self._state(event, True)
        elif kind == "save" and path and self._begun and self._holds(event.get("model")):
            file = self._absolute(path, process)
            self._files |= {file, file.parent}
        elif kind == "load" and detail.get("what") in ("model", "weights") and detail.get("via") != "reload":
            self._state(event, self._is_file(path, process))

    def _state(self, event: Row, fused: bool) -> None:
        if event.get("model"):
            self._states.append((iso(float(str(event["time"]))), str(event["model"]), fused))

    def _holds(self, model: object) -> bool:
        """May what is written from this model be fused weights?

        Of arrays of no known model it may: mlx-lm's own save takes them out of the model before it writes.
        """
        return model is None or next(
            (fused for _, each, fused in reversed(self._states) if each == model), False
        )

    def _is_file(self, path: object, process: int) -> bool:
        return path is not None and self._absolute(path, process) in self._files

    def _absolute(self, path: object, process: int) -> Path:
        return Path(self._directories.get(process, ""), str(path)).resolve()
