"""What the program did: kinds of event, and what stands in the `detail` of each.

Part of the protocol, as rows are.

Every path and message is the user's own; every other value is a number, a boolean, a short name of a class or
an option.
"""

from __future__ import annotations

from typing import Any, TypedDict


class Load(TypedDict, total=False):
    """A model, an adapter, weights or arrays came out of files."""

    what: str  # model | adapter | weights | arrays
    via: str  # the loader; reload: the tool itself
    path: str | None
    names: int  # tensors in the file
    twice: int  # by the tool, of a model's directory: names that stand in more than one file
    files: list[str]  # by the tool, of a model's directory: its files of weights, at most 200
    matched: int  # adapter tensors that the model has
    unexpected: int  # that it has not
    absent: int  # adapter tensors that only the model has
    strict: bool | None
    lazy: bool
    fine_tune_type: str | None
    from_adapter: bool  # arrays that are named as those of an adapter
    moments: int  # arrays of an optimizer's state, without its counters
    point: str  # by the tool: of the capture
    ok: bool  # by the tool: it loaded
    message: str  # by the tool: in one line, why it did not
    partial: bool  # by the tool: weights of a part of the base


class Freeze(TypedDict, total=False):
    """The trainable set became smaller."""

    module: str  # path below the model; empty: the root
    keys: list[str] | None
    trainable_before: int  # tensors
    trainable_after: int


class Convert(TypedDict, total=False):
    """Layers became adapters, or should have."""

    via: str  # a function's name | by hand | walk: code that makes adapters walked the modules and made none
    requested: dict[str, Any]  # rank, scale, alpha, dropout, num_layers, keys, kind
    unknown: list[str]  # keys of the configuration that the function does not read
    made: int  # adapter layers
    classes: list[str]  # of those
    candidates: int | None  # layers that could be adapted
    adapted_before: int
    adapted_after: int
    nested_after: int  # adapters around another
    ok: bool  # the function returned


class Train(TypedDict, total=False):
    """A trainer of a library began."""

    via: str
    optimizer: str  # class
    declared: dict[str, Any]  # iters, batch_size, max_seq_length, learning_rate, mask_prompt, ...
    phase: int  # 1, 2, ... of this model


class Grad(TypedDict, total=False):
    """A gradient function, once; with calls 0 and no leaves where it was made and never called."""

    via: str  # nn.value_and_grad | mx.value_and_grad | mx.grad | clip_grad_norm, of no model
    wrt: str  # trainable | all | arrays
    leaves: int
    frozen_leaves: int
    adapters: int  # adapted modules of the model, when its first gradient was taken
    calls: int  # 0
    max_norm: float | None  # of clip_grad_norm: the norm that it was given


class Update(TypedDict, total=False):
    """The first update of a pair of model and optimizer."""

    optimizer: str  # class
    leaves: int
    frozen_leaves: int  # updated tensors outside the trainable set
    compiled: bool
    first: bool  # no other optimizer updated the model before


class Write(TypedDict, total=False):
    """Parameters were written outside an optimizer: once a kind of write."""

    via: str  # Module.update | load_weights | setattr | in-place | tree: new arrays of a functional program
    leaves: int
    frozen_leaves: int
    after_gradient: bool
    cast: bool  # what stood there, in another type
    replaced: str  # held | dropped: told at the next update, of what the one before had left


class Loss(TypedDict, total=False):
    """A function whose gradient is taken; its place is the line that returns the loss."""


class Made(TypedDict, total=False):
    """An optimizer updated a model for the first time; its place is the line that made it."""

    optimizer: str  # class


class Encode(TypedDict, total=False):
    """Training rows begin with what a tokenizer gave; its place is the line that asked it."""


class Range(TypedDict, total=False):
    """A model is about to look up ids that its embedding has no row for, for the first time."""

    ids: int
    rows: int  # of the batch, that hold them
    embedding: int  # rows of the table


class Compile(TypedDict, total=False):
    """A function was compiled."""

    function: int  # its number in `compiled`


class Save(TypedDict, total=False):
    """Arrays were written into a file."""

    save: int  # its number in `saved_tensors`
    via: str
    path: str | None
    names: int
    nbytes: int | None  # of the file
    ok: bool
    trainable_only: bool  # all names are of the trainable set
    best: bool  # its name, or its directory's, says that it is the best
    rewritten: int | None  # writes by hand into the model since its last update that put other arrays there


class Fuse(TypedDict, total=False):
    """Adapter layers were fused, one call after the other."""

    via: str
    dequantize: bool
    modules: int


class Generate(TypedDict, total=False):
    """A generation ended."""

    generation: int  # its number in `generations`


class Evaluate(TypedDict, total=False):
    """A trainer's evaluation ended."""

    batches: int | None
    updates: int | None  # of the model, when it began
    loss: float | None  # what the trainer returned; null: nothing, or the evaluation raised


class Input(TypedDict, total=False):
    """What a loss of the library was handed that takes probabilities in log space."""

    function: str
    argument: str
    classes: int
    most: float | None  # largest sum of exp(entries) of one distribution; null: beyond 1e30
    probabilities: bool  # its entries are not negative, and sum to 1: not in log space


class Measure(TypedDict, total=False):
    """A number that the program measured between updates, or the best of them, when it changed."""

    name: str  # as the program names it
    value: float | None  # null: infinite, or not a number
    best: bool  # its name says that it is the best
    lower: bool | None  # its name says that less is better
    updates: int | None  # of the model, when it was measured; null: not known


class Seed(TypedDict, total=False):
    """A generator of random numbers got a seed, each once."""

    generator: str  # mlx | numpy | python
    value: int


class Error(TypedDict, total=False):
    """An exception left a watched call."""

    type: str
    message: str
    call: str
    caught: bool  # the program went on


class Ended(TypedDict, total=False):
    """The process ends."""

    exception: str | None  # class of what nobody caught


EVENTS: dict[str, type] = {
    "load": Load,
    "freeze": Freeze,
    "unfreeze": Freeze,
    "convert": Convert,
    "train": Train,
    "grad": Grad,
    "loss": Loss,
    "encode": Encode,
    "range": Range,
    "optimizer": Made,
    "update": Update,
    "write": Write,
    "compile": Compile,
    "save": Save,
    "fuse": Fuse,
    "generate": Generate,
    "evaluate": Evaluate,
    "input": Input,
    "measure": Measure,
    "seed": Seed,
    "error": Error,
    "exit": Ended,
}
"""Kind of an event to what stands in its `detail`; keys that do not apply are absent."""
