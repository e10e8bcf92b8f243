"""One line a run: what `list` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from forensics.records import Row, Scalar
from forensics.store import verdicts
from forensics.store.heads import Head, heads
from forensics.store.manifest import scalar
from forensics.store.store import Store

_SHOWN = ("capture", "point", "model", "created_at", "source", "updates", "whole", "complete")


class Line(NamedTuple):
    """A run in short. `captures` are rows with `nbytes`, in order.

    `problem` says which manifest of it cannot be read.
    """

    run: str
    created_at: str | None
    kind: str | None
    complete: bool
    nbytes: int
    captures: list[dict[str, Scalar]]
    verdict: str | None
    causes: list[str]
    steps: int | None
    last_loss: float | None
    problem: str | None

    @property
    def points(self) -> list[str]:
        """The points of its main model, in order, each once; a damaged capture does not say its own."""
        return list(
            dict.fromkeys(
                str(c["point"]) for c in self.captures if c["point"] and ":" not in str(c["capture"])
            )
        )


def overview(store: Store) -> list[Line]:
    """All runs, oldest first."""
    by_run: dict[str, list[Head]] = {}
    for head in heads(store):
        by_run.setdefault(head.run, []).append(head)
    judged = verdicts.runs_with_verdict(store)
    lines = [
        _line(run, own, verdicts.recall(store, run) if run in judged else None) for run, own in by_run.items()
    ]
    return sorted(lines, key=lambda line: (line.created_at or "", line.run))


def _line(run: str, heads: list[Head], document: Mapping[str, Any] | None) -> Line:
    own: Row = next((h.head for h in heads if h.entry.startswith("runs/")), {})
    captures = sorted(
        (h for h in heads if h.entry.startswith("captures/")),
        key=lambda h: (scalar(h.head.get("sequence"), 0), h.entry),
    )
    verdict, causes = verdicts.verdict(document)
    created = own.get("created_at") or next(
        (c.head["created_at"] for c in captures if c.head.get("created_at")), None
    )
    return Line(
        run=run,
        created_at=None if created is None else str(created),
        kind=None if own.get("kind") is None else str(own["kind"]),
        complete=bool(own.get("complete", False)),
        nbytes=sum(h.nbytes for h in heads),
        captures=[_capture(h) for h in captures],
        verdict=verdict,
        causes=causes,
        steps=_number(own.get("steps")),
        last_loss=_number(own.get("last_loss")),
        problem=next((f"{h.entry}: {h.problem}" for h in heads if h.problem), None),
    )


def _number(value: Scalar) -> Any:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _capture(h: Head) -> dict[str, Any]:
    return {
        **{k: h.head.get(k) for k in _SHOWN},
        "capture": h.head.get("capture") or h.entry.partition("/")[2],
        "nbytes": h.nbytes,
    }


def document(line: Line) -> dict[str, Any]:
    """As `list --json` has it."""
    return {
        "run": line.run,
        "created_at": line.created_at,
        "kind": line.kind,
        "complete": line.complete,
        "nbytes": line.nbytes,
        "verdict": line.verdict,
        "causes": line.causes,
        "steps": line.steps,
        "last_loss": line.last_loss,
        "captures": line.captures,
        "problem": line.problem,
    }
