"""What happened in training, as taps and hooks hand it on: events, and the step that they make up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..models import Model


@dataclass
class Event:
    """Something that happened, or that a compiled function does at each of its calls.

    Args:
        kind: gradient | update | write | forward.
        model: whose gradient, whose update; None where it is of no known model.
        facts: plain values; `arrays`: small arrays by name, in lists and dicts.
    """

    kind: str
    model: Model | None
    facts: dict[str, Any]
    arrays: dict[str, Any]
    place: str | None = None
    in_full: bool = False  # a gradient that is computed for its rows, where the program has not done it
    unread: bool = False  # a gradient whose taps nobody computed: what came back to its forwards is not known


@dataclass
class Trace:
    """One trace of a compiled function: what each call of it does."""

    events: list[Event] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    closed: bool = False  # nothing may leave: the arrays within are of a transformation


@dataclass
class Step:
    """The gradients that led to one update, and the update."""

    model: Model
    number: int
    gradients: list[Event] = field(default_factory=list)
    count: int = 0  # gradients, those that were written already included
    forwards: int = 0
    update: Event | None = None
    in_full: bool = True  # is every position of the loss written?
    began: float = 0.0
    seconds: float | None = None
    losses: list[float] = field(default_factory=list)  # values of the gradients that are written
    small: list[dict[str, Any]] = field(default_factory=list)  # a few small gradients of each
    seen: Any = None  # what the loss tap sums up
    replaced: str | None = None  # of what the update before left: held, dropped; None: it stood there still
    pending: int | None = None  # updates before this one that nothing had computed when it came


def other_reading(tap: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """What else than the model's head a tap was read by, as `Head.other` names it, and that reading."""
    name = next((name for name in ("bare", "table") if name in tap), None)
    return name, tap[name] if name else {}
