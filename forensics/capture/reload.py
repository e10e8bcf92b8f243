"""What a run saved, loaded in a fresh process of the interpreter that saved it.

And a model at rest, asked the probes there.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forensics.bounded import Limits
from forensics.capture import command
from forensics.capture.spool import Captured, Spool
from forensics.records import Row
from forensics.watch import protocol

_ADAPTER = "lora_"
_MEMORY = 800 << 20
"""Bytes that a process may use that asks a model at rest, beside three times the model's own: libraries alone
take 400 MB.
"""
_ANSWERS = 600.0
_IMPORTS, _LOADS, _LOADED_A_SECOND = 60.0, 4.0, 50e6
"""Seconds of processor until the libraries are there, then until model and prompts are: a tiny one takes 0.3
s.
"""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to load: `saved` on `base`.

    It is captured at `point`, under the number of the model whose file it is.

    `trust`: whether a stranger's model may run its own code; None for what a run loaded and wrote itself.
    """

    point: str
    model: str
    updates: int | None
    base: str | None
    saved: str | None
    tokenizer: str | None = None
    probes_only: bool = False
    trust: bool | None = None


def items(spool: Spool) -> list[Item]:
    """The last adapter and the last whole weights that each model left in a file, as they were written."""
    paths = {str(row["model"]): row for row in spool.latest("models", "model")}
    tokenizers = {c.model: c.head.get("tokenizer_path") for c in spool.captures}
    last: dict[tuple[str, bool], tuple[tuple[int, int], Item]] = {}
    for (process, save), rows in _saves(spool):
        model = rows[0].get("model")
        if not isinstance(model, str) or not rows[0].get("path"):
            continue
        known = paths.get(model, {})
        base = known.get("path") or paths.get(str(known.get("copied_from")), {}).get("path")
        is_adapter = any(_ADAPTER in str(row.get("name")).lower() for row in rows)
        place = _place(Path(str(rows[0]["path"])))
        item = Item(
            "reloaded",
            model,
            _int(rows[0].get("updates")),
            _text(base),
            str(place),
            _text(tokenizers.get(model)),
        )
        if (
            place.exists() or (model, is_adapter) not in last
        ):  # what the program removed again is not what it left
            last[model, is_adapter] = (process, save), item
    return [item for _, item in sorted(last.values(), key=lambda pair: pair[0])]


def _saves(spool: Spool) -> Iterator[tuple[tuple[int, int], list[Mapping[str, Any]]]]:
    grouped: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for row in spool.table("saved_tensors"):
        grouped.setdefault((_int(row.get("process")) or 0, _int(row.get("save")) or 0), []).append(row)
    return iter(sorted(grouped.items()))


def _place(path: Path) -> Path:
    """A shard, or the one file of a whole model, stands for its directory."""
    whole = (
        path.name.startswith("model")
        and path.suffix == ".safetensors"
        and (path.parent / "config.json").exists()
    )
    return path.parent if whole else path


def reload(
    spool: Spool, wanted: Sequence[Item], limits: Callable[[], Limits] = lambda: Limits(seconds=600.0)
) -> str | None:
    """Load and capture them into `spool` as one more process.

    None when it ended well, else one line of why not.

    What cannot be loaded is no failure: it leaves an event `load` with `ok` false and a line of why.
    """
    first = spool.processes[0].facts if spool.processes else protocol.Process()
    arguments = spool.path / "reload.json"
    content = {"spool": str(spool.path.resolve()), "items": [asdict(item) for item in wanted]}
    arguments.write_text(json.dumps(content), encoding="ascii")
    python, cwd = _text(first.get("executable")), _text(first.get("cwd"))
    return command.helper("reload.py", [str(arguments.resolve())], python=python, cwd=cwd, limits=limits)


def ask(
    place: Path, base: Path, adapter: Path | None, options: protocol.Options, *, trust: bool, nbytes: int
) -> tuple[Captured | None, str | None]:
    """The probes' answers of a model at rest: (what it left, or None; a line of why not).

    The interpreter is our own.

    Args:
        place: an empty or missing directory, which becomes a spool; the answers lie below it.
        options: `prompts` and `max_tokens`, as in options.json.
        trust: the model may run its own code.
        nbytes: of its files, by which its limits are measured.
    """
    command.write_options(place, {"version": protocol.VERSION, "run": "rest", "tensors": "none", **options})
    item = Item(
        "rest",
        "m0",
        None,
        str(base.resolve()),
        str(adapter.resolve()) if adapter else None,
        probes_only=True,
        trust=trust,
    )
    why = reload(Spool(place), [item], _growing(place, nbytes))
    left = Spool(place)
    return next(iter(left.captures), None), why or next(filter(None, map(_why, left.table("events"))), None)


def _growing(place: Path, nbytes: int) -> Callable[[], Limits]:
    """What the process may take that asks a model of so many bytes.

    It may take little until the model is loaded and its template has written the prompts.
    """
    memory = _MEMORY + 3 * nbytes

    def now() -> Limits:
        if (place / "prepared").exists():
            return Limits(memory, _ANSWERS)
        with contextlib.suppress(OSError, ValueError):
            return Limits(
                memory,
                _ANSWERS,
                float((place / "begun").read_text("ascii")) + _LOADS + nbytes / _LOADED_A_SECOND,
            )
        return Limits(memory, _ANSWERS, _IMPORTS)

    return now


def _why(event: Row) -> str | None:
    detail: Any = event.get("detail")
    return (
        _text(detail.get("message")) if isinstance(detail, Mapping) and not detail.get("ok", True) else None
    )


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
