"""What a report shows beside the findings.

The picture of what changed, steps, training rows, answers, what was declared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from forensics.records import Comparison, Diagnosis, Row, TwoRuns


@dataclass(frozen=True, slots=True)
class Cell:
    """One module of one block.

    `relative` is the norm of the base weight's change over its norm before, of the parameter that changed
    most; `added` is about the norm of what an adapter adds over that of its base weight, from the norms of
    its factors. None: not measured. `alone` is added or removed, where only one side has base weights and
    none changed.
    """

    layer: str
    module: str
    relative: float | None
    changed: bool
    trainable: bool
    adapted: bool
    adapter_moved: bool
    added: float | None = None
    alone: str = ""


@dataclass(frozen=True, slots=True)
class Heat:
    """Layers by modules.

    `parameters` is how many parameters all cells stand for, `together` how many layers stand in one column;
    `merged`: modules of one parent stand in one line.
    """

    layers: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    cells: Mapping[tuple[str, str], Cell] = field(default_factory=dict)
    together: int = 1
    parameters: int = 0
    merged: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One update; `pad`, `prompt`, `answer` and `end` are the shares of the loss's weight on such tokens."""

    step: int
    loss: float | None
    learning_rate: float | None
    gradient_norm: float | None
    update_norm: float | None
    pad: float | None
    prompt: float | None = None
    answer: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its text (None: redacted), its class or role, and a number.

    The number is its weight in the loss, or its log-probability.
    """

    text: str | None
    kind: str
    number: float | None


@dataclass(frozen=True, slots=True)
class TrainingRow:
    step: int
    row: int
    tokens: tuple[Token, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer at one capture. `output` is None where it was redacted.

    `left_out` tokens at its end are not in `tokens`.
    """

    capture: str
    finish: str
    output: str | None
    tokens: tuple[Token, ...]
    length: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One prompt, answered at several captures.

    `differs` is the first position at which two answers part, where that is known; `same`
    whether they are equal, None where there are not two."""

    name: str
    prompt: str | None
    source: str
    answers: tuple[Answer, ...]
    differs: int | None = None
    same: bool | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    what: str
    declared: str
    observed: str
    agrees: bool


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that one page shows."""

    title: str
    diagnosis: Diagnosis | TwoRuns
    comparison: Comparison
    heat: Heat = Heat()
    steps: tuple[Step, ...] = ()
    points: tuple[tuple[str, int], ...] = ()  # captured point, updates at the time
    # role of a token to its share of the loss's weight, over all steps
    shares: Mapping[str, float] = field(default_factory=dict)
    rows: tuple[TrainingRow, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    more_exchanges: int = 0
    declared: tuple[Declared, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    run: Row = field(default_factory=dict)
    # the document of `prove`, empty where nobody asked it
    proof: Mapping[str, Any] = field(default_factory=dict)
    validation: tuple[tuple[int, float], ...] = ()  # updates, and the loss that an evaluation gave after them
