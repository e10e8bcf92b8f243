"""Rows of the tables of one capture, and what stands inside of them. Part of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from .originals import hashlib

if TYPE_CHECKING:
    from typing import NotRequired

ClassName = TypedDict("ClassName", {"class": str | None})  # no class body can name it


class Frame(TypedDict):
    """The ids that a chat template puts around texts."""

    head: list[int]  # before the user's text
    middle: list[int]  # between the user's text and the answer
    tail: list[int]  # after an answer


class Tokenizer(TypedDict, total=False):
    """Facts of a tokenizer, in `captures`; the tool makes rows of `configs` of them, kind tokenizer."""

    vocab_size: int
    vocabulary_digest: str | None  # of the tokens of its ids; see vocabulary_digest
    rows: int | None  # of the model's embedding
    bos_id: int | None
    eos_id: int | None
    pad_id: int | None
    unk_id: int | None
    eos_ids: list[int]  # at which mlx-lm stops
    special_ids: list[int]
    added_tokens: dict[str, int]
    end_ids: list[int]  # that end a turn: of eos_ids, generation_config, and the template after an answer
    template_digest: str | None
    frame: Frame | None  # null: no chat template, or it refuses
    digest: str | None  # of tokenizer.json
    names: dict[str, str]  # id to token, of the special ids


class Missing(TypedDict):
    """Evidence that could not be taken, once a `what`."""

    what: str
    why: str
    kind: str  # watcher | loss: of the loss at its tokens | rows: of a table | part: of a capture
    time: NotRequired[float]  # Unix time
    table: NotRequired[str]  # the table whose rows are lost


class Config(TypedDict):
    """One leaf of a configuration.

    In a table of the process it is the program's, in a table of a capture the model's.
    """

    kind: str
    key: str
    value: str  # JSON


class Module(ClassName):
    """A module of the model; kind, canonical name, rank and layer the tool derives from names and shapes."""

    module: str
    training: bool
    scale: float | None
    dropout: float | None
    attributes: dict[str, Any]


class Quantization(TypedDict):
    """How the weight of a quantized module is packed."""

    mode: str
    bits: int
    group_size: int


class Placement(TypedDict):
    """Where which tensor stands: a parameter, or a moment of an optimizer."""

    name: str
    dtype: str  # as safetensors writes it
    shape: list[int]
    nbytes: int
    trainable: bool | None
    evaluated: bool | None
    digest: str | None
    shared_with: NotRequired[str | None]
    error: NotRequired[str]
    file: NotRequired[list[Any]]  # [path, size, mtime_ns, inode, name] of the file that has these bytes
    role: NotRequired[str]  # optimizer
    stats: NotRequired[dict[str, Any]]  # only where the bytes are not written
    quantization: NotRequired[Quantization]  # on the weight of a quantized module


class Optimizer(ClassName):
    """An optimizer that updated the model."""

    optimizer: str
    step: int | None
    learning_rate: float | None
    scheduled: bool
    settings: dict[str, Any]
    state_tensors: int
    state_l2: float
    state_evaluated: bool


class Transcript(TypedDict):
    """The answer to a probe."""

    prompt_id: str
    source: str
    prompt: str | None
    prompt_ids: Sequence[int]
    prompt_tokens: int
    settings: dict[str, Any]
    reference: str | None  # what a right answer is
    finish_reason: str  # error, too: then the rest is absent
    output: NotRequired[str | None]  # without the token that stopped it
    output_ids: NotRequired[list[int]]  # with the token that stopped it
    output_tokens: NotRequired[int]
    logits_digest: NotRequired[str]
    error: NotRequired[str]  # why it could not be answered


class Token(ClassName):
    """A token of such an answer."""

    prompt_id: str
    position: int
    token_id: int
    token: str | None
    logprob: float
    top: list[Any]


TABLES: dict[str, type] = {
    "modules": Module,
    "placements": Placement,
    "optimizers": Optimizer,
    "configs": Config,
    "transcripts": Transcript,
    "tokens": Token,
}
"""Table of a capture to the type of its rows."""


SAMPLED = 32_768
"""Ids of which the tokens are read, evenly drawn of a larger vocabulary: some 20 ms."""


def vocabulary_digest(size: int, tokens: Callable[[Sequence[int]], Sequence[str | None]]) -> str | None:
    """SHA-256 of the tokens of evenly drawn ids below `size`; None where there are none.

    `tokens` gives the texts of ids as the vocabulary spells them, None for an id without one.
    """
    if size <= 0:
        return None
    drawn = range(0, size, -(-size // SAMPLED))
    lines = (f"{i} {token}" for i, token in zip(drawn, tokens(drawn), strict=True))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
