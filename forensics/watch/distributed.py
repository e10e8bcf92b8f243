"""Which rank of a distributed program this process is."""

from __future__ import annotations

_group: tuple[int, int] | None = None


def joined(rank: int, ranks: int) -> None:
    """The program made a group of several ranks; the first that it makes counts."""
    global _group
    if _group is None and ranks > 1:
        _group = (rank, ranks)


def group() -> tuple[int | None, int | None]:
    """(rank, ranks) of this process; None of each where it is alone."""
    return _group or (None, None)
