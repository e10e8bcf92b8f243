"""Rows about training: what each update did, and what its loss taught. Part of the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from typing import NotRequired


class Step(TypedDict):
    """One update. Of one that the program made by hand (no optimizer) only the loss is known."""

    model: str
    step: int
    optimizer: str | None  # null: an update that the program made by hand
    loss: float | None  # mean over the step's gradients of the value that the gradient function returned
    learning_rate: float | None
    gradients: int
    functions: int | None  # distinct gradient functions of those; null where some were written before
    gradient_norm: float | None
    update_norm: float | None
    parameter_norm: float | None  # null where the step is looked at in brief
    nonfinite: int | None
    accumulation: float | None
    passed: float | None  # null where more or fewer than one gradient was evaluated
    along: float | None  # the same
    carried: float | None  # how much of the gradients of earlier updates is in this one
    of_last: NotRequired[float]  # this and the next where several gradients were evaluated
    of_earlier: NotRequired[float]
    seconds: float | None
    place: str | None
    pending: int | None  # null where the step is not kept
    replaced: str | None  # held | dropped: what the update before left, where others stand in its place
    tokens: NotRequired[int]
    weight_sum: NotRequired[float]
    residual: NotRequired[float | None]
    read: NotRequired[float]  # share of the positions with weight that was read
    forwards: NotRequired[int]
    equal_forwards: NotRequired[int]
    equal_outside: NotRequired[int]
    silent_forwards: NotRequired[int | None]
    mask_left: NotRequired[int]
    outside_forwards: NotRequired[int]
    drawn_rows: NotRequired[int]
    coefficient: NotRequired[float]  # of a kept step on drawn answers
    group_rows: NotRequired[int]  # this and the next two of kept steps alone
    groups: NotRequired[int]
    mixed_groups: NotRequired[int]
    weight_spread: NotRequired[float]  # this and the next two of kept steps alone
    softmax_spread: NotRequired[float]
    probabilities: NotRequired[bool]
    other_head: NotRequired[str | None]  # this and the next four: of a loss on hidden states, in kept steps
    residual_shaped: NotRequired[float]
    residual_bare: NotRequired[float]
    loss_shaped: NotRequired[float]
    loss_bare: NotRequired[float]
    loss_taught: NotRequired[float]  # this and the next two of kept steps alone
    handed: NotRequired[list[float] | None]
    divergences: NotRequired[list[float] | None]


class Gradient(TypedDict):
    """One parameter at a kept step."""

    model: str
    step: int
    name: str
    gradient_norm: float
    update_norm: float
    parameter_norm: float
    nonfinite: bool


class Forward(TypedDict):
    """What the loss teaches in one forward of a kept step, position by position.

    At most 32 forwards a step.
    """

    model: str
    step: int
    forward: int
    inputs: list[list[int]] | None  # null: the model was given no token ids
    targets: list[list[int | None]]  # null where the weight is 0
    weights: list[list[float]]
    mass: list[list[float]]
    residual: list[list[float]]


class Weights(TypedDict):
    """The same in brief, of every forward of every step: `steps` gets its weights by role from it."""

    model: str
    step: int
    forward: int
    rows: list[int | None] | None  # numbers of `rows`
    runs: list[Any]  # a row: [[start, length, total weight], ...]
    mass: list[Any]  # a row: [head, body, before, tail]
    last: list[int | None]  # the target of the last position
    read: NotRequired[float]  # share of the positions with weight that was read, where not all


class TrainingRow(TypedDict):
    """Each distinct training row once, up to 64 MiB a process."""

    row: int
    ids: list[int]


class Word(TypedDict):
    """What a token of a kept step is as text, each once a model."""

    model: str
    id: int
    text: str | None


class SelfTest(TypedDict):
    """What the model said when it was asked about its own first batch.

    A test that was not made has `kind` and `why`.
    """

    model: str
    test: str  # causality | rows | head | gradient | backward | cache
    place: str | None
    kind: NotRequired[str]
    why: NotRequired[str]
    samples: NotRequired[int]
    least: NotRequired[float]
    most: NotRequired[float]
    rounding: NotRequired[float]
    repeat: NotRequired[float]
    scale: NotRequired[float]
    design: NotRequired[str | None]
    ratio: NotRequired[float]
    ratio_error: NotRequired[float]
    detached: NotRequired[bool]
    dtype: NotRequired[str]
    tokens: NotRequired[int]
    seconds: NotRequired[float]
