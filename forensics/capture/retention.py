"""Which tensors' bytes stay in the store: `--tensors all | new | trainable | none`.

More is written while the run goes on than is kept: differences are measured at sealing, while both states
exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from forensics.capture.spool import Captured

_BEFORE = ("loaded", "adapted")  # points at which nothing says yet what will be trained


def wanted(captures: Sequence[Captured], tensors: str) -> Callable[[str], bool] | None:
    """Tells of a digest whether it is to be kept; None: of none.

    `new` leaves out what lies in a file that the run loaded; `trainable` keeps what was trainable once
    training began (of a run that never trains: what is trainable), and the optimizer's state. The logits of
    probes are kept with either.
    """
    if tensors == "none":
        return None
    if tensors == "all":
        return lambda digest: True
    left = _frozen(captures) if tensors == "trainable" else _in_files(captures)
    return lambda digest: digest not in left


def _in_files(captures: Sequence[Captured]) -> set[str]:
    return {str(p["digest"]) for c in captures for p in c.rows("placements") if p.get("file")}


def _frozen(captures: Sequence[Captured]) -> set[str]:
    """Digests of parameters that stand nowhere in a trainable set."""
    began = [c for c in captures if c.point not in _BEFORE and c.point != "reloaded"] or captures
    rows = [p for c in began for p in c.rows("placements")]
    moving = {p["digest"] for p in rows if p.get("trainable") or p.get("role") == "optimizer"}
    every = {str(p["digest"]) for c in captures for p in c.rows("placements") if p.get("digest")}
    return every - moving
