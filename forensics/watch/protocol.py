"""What the watcher, inside the user's process, and the tool say to each other.

These are the files of a spool, and what stands in each.

A watched command leaves a directory, its spool, which the tool seals as captures. This module is the only one
of `watch` that the rest of forensics imports, and docs/spool.md is made from it. A row is one line of JSON, a
dict of these types. What a comment here does not say of a column, queries/schema.sql says under the same name
of table and column; `run`, `process` and `sequence`, which stand there too, the tool fills in. Columns that
are `NotRequired` may be absent; paths, texts and token ids are the user's own, and stay in the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from .captured import ClassName, Config, Missing, Tokenizer
from .steprows import Forward, Gradient, SelfTest, Step, TrainingRow, Weights, Word

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NotRequired

VARIABLE = "FORENSICS_SPOOL"
"""The variable of the environment that names the spool; it starts the watcher."""
VERSION = 1

RESIDUAL_MOST = 0.05
"""Largest `residual` at which a target and its weight count as read.

`residual_most()` of queries/lib/limits.sql is the same, and says why.
"""

OPTIONS, PROCESS, PLAN, EXIT = "options.json", "process.json", "plan.json", "exit.json"
STOP = "stop.json"
MODELS, RESERVE = "models", "reserve"
TENSORS, LOGITS = "tensors.safetensors", "logits.safetensors"

FILES = {
    OPTIONS: "what the tool asks of the watcher; written before the command begins",
    STOP: "the finding for which the program is to stop, and after which step; written while it runs",
    f"{MODELS}/m0 ...": "empty directories: the numbers of models over all processes are claimed by mkdir",
    RESERVE: (
        "bytes that the tool gives up before it seals, so that a full disk still has room for the tables"
    ),
    "p0/ p1/ ...": "one directory a process, claimed by mkdir; all that follows stands in it",
    f"p0/{PROCESS}": "who runs, and on what",
    f"p0/{PLAN}": "what lies ahead, when the first model is seen; the tool says it on stderr",
    f"p0/{RESERVE}": "bytes that the watcher gives up on a full disk, to say that it is full",
    "p0/TABLE.jsonl": "a table of the process, a row a line; a last line that is cut off is dropped",
    "p0/c3/TABLE.jsonl": "a table of the fourth capture; it counts once its row in `captures` is there",
    f"p0/c3/{TENSORS}": "key: digest; only bytes not written before in this run, and not in the store",
    f"p0/c3/{LOGITS}": "key: digest; next-token logits after each prompt (vocabulary,), float32",
    f"p0/{EXIT}": "how the process ended; absent after a kill",
}
"""Files of a spool."""

# -- files of one object -------------------------------------------------------------------------------------


class Prompt(TypedDict, total=False):
    """A prompt of the user: one of `prompt` (a user's message), `messages` or `ids`."""

    id: str
    prompt: str
    messages: list[dict[str, Any]]
    ids: list[int]
    reference: str  # what a right answer is


class Options(TypedDict, total=False):
    """What the tool asks of the watcher."""

    version: int  # of this form
    run: str  # name
    command: list[str]
    every: int | None  # capture `step-N` after every so many updates
    max_tokens: int | None  # of a probe's answer; 48
    tensors: str  # all | new | trainable | none: whose bytes are kept; nothing: a repeat of `prove`
    prompts: list[Prompt] | None  # null: the probes of the watcher
    answers: str  # a directory of answers that this store has of earlier runs
    moments: bool  # measure what an optimizer holds; `prove`, which never asks of it, says no
    looks: int  # generations of one capture whose model is asked its own prompt again; 8
    probe_seconds: float | None  # that the answers of one point may take; 60
    repeat: dict[str, Any]  # by `prove`: which run is repeated, and what is cured in it
    at: Sequence[int]  # updates after which a capture is taken, beside those of `every`
    judged_at: Sequence[int]  # steps after which the run is judged while it goes on
    known: str | None  # a file with one hex digest a line: tensors that the store has
    expect: str | None  # lora | dora | full | none, as the user said
    reload: bool  # load what was saved again in a fresh process
    selftest: str  # quick | full | off: what the model is asked about its own first batch
    scorers: list[str]  # module:function
    started: float  # Unix time
    parent: int  # process id of the tool


class Process(TypedDict, total=False):
    """One process that touched mlx."""

    pid: int
    parent: int
    argv: list[str]
    executable: str
    cwd: str
    started: float  # Unix time
    environment: dict[str, str]  # python, mlx, mlx-lm, platform, device, ...


class Plan(TypedDict):
    """What the capture will need."""

    nbytes: int  # of the first model
    trainable_nbytes: int  # of what can move in it
    free: int  # bytes of the disk
    tensors: str  # all | new | trainable | none, as in force
    degraded_from: str | None  # what was asked for, where the disk has not twice the need
    seconds: float | None  # of processor: the first capture with its probes; null until it is made
    leaves: int | None  # trainable tensors, as the first capture saw them


class Exit(TypedDict):
    """How the process ended."""

    time: float  # Unix time
    exception: str | None  # type and message of what nobody caught
    spent: float  # the watcher's seconds of processor in this process, without the program's own evaluations


# -- tables of a process -------------------------------------------------------------------------------------


class Capture(TypedDict):
    """Written when a capture is whole."""

    number: int  # of its directory c<number>
    point: str
    model: str
    time: float  # Unix time
    updates: int | None
    whole: bool
    probes_of: int | None  # number of the capture whose answers are its own
    probes: dict[str, Any] | None  # how the probes were asked
    pending: dict[str, Any] | None  # parameters that were not computed: operations, difference, scale
    place: str | None
    missing: list[Missing]
    path: str | None
    tokenizer_path: str | None
    tokenizer: Tokenizer | None


AT_THE_LOSS = "the gradient of the loss put right, at its logits"
"""What a cure says that it changed where it leaves the loss's value as it was."""


class Cure(TypedDict):
    """What a cure did in a program that is repeated."""

    id: str  # of the finding
    what: str


class Decision(TypedDict):
    """In a program that is repeated: a comparison of its loss's value, a save, or its end."""

    kind: str  # compare | save | end
    place: str | None
    outcome: bool | None  # of a comparison
    step: int  # updates before it


class Judged(TypedDict):
    """A step that can be judged from what is on disk now."""

    step: int


class Model(ClassName):
    """Written again whenever it changes: the last row of a model counts."""

    model: str
    path: str | None
    updates: int
    writes: int
    unwritten: int  # results of apply_gradients that the program has not put in place
    gradients: int
    generations: int
    saves: int
    parameters: int | None
    copied_from: str | None
    rank: int | None
    ranks: int | None


class Event(TypedDict):
    """What the program did; `detail` by `kind` is below."""

    time: float  # Unix time
    kind: str
    model: str | None
    detail: dict[str, Any]
    place: str | None


class Move(TypedDict):
    """The program is about to rename what it saved, or a directory above it.

    If that fails, the file stays where it was.
    """

    before: str
    after: str
    time: float  # Unix time


class SavedTensor(TypedDict):
    """A tensor that the program wrote into a file."""

    save: int
    path: str | None
    file: str | None
    name: str | None
    digest: str | None
    model: str | None
    updates: int | None
    place: str | None
    time: float  # Unix time


class Compiled(TypedDict, total=False):
    """Written again whenever it changes: the last row of a function counts."""

    function: int
    name: str
    purpose: str | None
    model: str | None
    calls: int
    traces: int
    state_in_inputs: bool | None
    state_in_outputs: bool | None
    random_used: bool
    random_captured: bool
    training_at_trace: bool | None
    number_traced: float | None  # a number that it names and that the program changed since: as it was traced
    number_later: float | None  # the same, as it was last
    number_calls: int  # calls that had another than the program's
    updates_behind: int | None  # at most, of a forward with weights built in
    repeat_difference: float | None
    live_difference: float | None
    live_scale: float | None
    place: str | None


class Generation(TypedDict):
    """One observed generation; the first 2,000 of a process are written."""

    generation: int
    model: str
    capture: int | None  # number of the capture in this process
    updates: int | None
    time: float  # Unix time
    via: str
    prompt: str | None  # text
    output: str | None  # text, without the token that stopped it
    prompt_ids: list[int] | None
    output_ids: list[int]  # with the token that stopped it
    prompt_tokens: int | None
    output_tokens: int
    finish_reason: str | None
    sampler: str | None
    settings: dict[str, Any]
    stop_tokens: int | None
    stop_set: list[int] | None
    place: str | None
    training_modules: NotRequired[int]  # this and what follows: of the first 8 of a capture, 40 of a model
    parameters_digest: NotRequired[str]
    repeat_difference: NotRequired[float]
    eval_difference: NotRequired[float]
    eval_repeat_difference: NotRequired[float]
    logit_scale: NotRequired[float]
    cache_tokens: NotRequired[int]
    cache_updates_behind: NotRequired[int | None]
    cache_difference: NotRequired[float]
    cache_repeated: NotRequired[int]


class Schedule(TypedDict):
    """A learning-rate schedule that the program made."""

    schedule: int
    kind: str
    steps: int | None
    arguments: dict[str, Any]
    place: str | None


class Dataset(TypedDict):
    """Written again whenever it changes: the last row of source, path, purpose and place counts."""

    source: str
    path: str | None
    file: str | None
    records: int | None
    purpose: str
    place: str | None
    used: NotRequired[int]
    unused_between: NotRequired[int]
    cut: NotRequired[int]  # these by the texts of the records, where their rows hold them
    cap: NotRequired[int]
    preferred: NotRequired[int]
    reversed: NotRequired[int]
    in_order: NotRequired[int]
    swapped: NotRequired[int]
    asked: NotRequired[int]
    found: NotRequired[list[int]]  # of a rank, which is given a part of the file: the records that were found


class Cell(TypedDict):
    """A cell of a notebook that a place names: its code lies in no file."""

    cell: str
    text: str | None


class Adapter(TypedDict):
    """What adapter the program declares."""

    origin: str
    via: str
    kind: str
    rank: float | None
    scale: float | None
    alpha: float | None
    dropout: float | None
    num_layers: float | None
    layers: NotRequired[list[int] | None]
    keys: list[Any] | None
    strength: str
    place: str | None


TABLES: dict[str, type] = {
    "missing": Missing,
    "captures": Capture,
    "cures": Cure,
    "decisions": Decision,
    "judged": Judged,
    "models": Model,
    "events": Event,
    "steps": Step,
    "gradients": Gradient,
    "forwards": Forward,
    "weights": Weights,
    "rows": TrainingRow,
    "words": Word,
    "moves": Move,
    "saved_tensors": SavedTensor,
    "compiled": Compiled,
    "generations": Generation,
    "schedules": Schedule,
    "selftests": SelfTest,
    "datasets": Dataset,
    "adapters": Adapter,
    "cells": Cell,
    "configs": Config,
}
"""Table of a process to the type of its rows."""
