"""Token ids that the embedding has no row for, said before the model reads past the end of its table.

A process that dies of it leaves no step.
"""

from __future__ import annotations

from typing import Any

from ..capture import facts
from ..models import Model
from ..run import watch
from ..trees import mx
from . import encoded

_LARGEST = 1 << 18  # ids of a batch that is looked at

_said: set[str] = set()


def look(model: Model, ids: Any) -> None:
    """The token ids of a kept step's forward, which is not computed yet."""
    if model.number in _said or ids.ndim != 2 or not 0 < ids.size <= _LARGEST:
        return
    # of several, nothing says which one reads these ids
    rows = max(facts.embeddings(model.module), default=None)
    if not rows:
        return
    outside = [row for row in mx().stop_gradient(ids).tolist() if min(row) < 0 or max(row) >= rows]
    if outside:
        _said.add(model.number)
        encoded.seen(model, outside[0])
        count = sum(not 0 <= each < rows for row in outside for each in row)
        watch.event("range", model, None, ids=count, rows=len(outside), embedding=rows)
