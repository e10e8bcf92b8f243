"""A new optimizer for the same model goes on with the moments of the one before."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import updates

_last: dict[tuple[Any, ...], Any] = {}  # by kind of optimizer, model and parameters


def continued(update: updates.Update) -> str | None:
    mine = update.optimizer
    key = (type(mine), id(update.model), *update.old)
    before, _last[key] = _last.get(key), mine
    if before is None or before is mine or mine.state.get("step") is None:
        return None
    rate = mine.state.get("learning_rate")
    mine.state = {**before.state, **({"learning_rate": rate} if rate is not None else {})}
    mine._initialized = True
    return "moments and step taken over"


def install(run: Moments) -> None:
    updates.cure(run, "optimizer-restarted", before=continued)
