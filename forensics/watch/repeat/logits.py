"""The loss cured unread: the cotangent at the logits is replaced by that of the loss that should have been.

A cure gets a `Lesson` and returns the cotangent to go on with. All is computed by mlx in the program's own
backward pass, so that it holds in compiled functions as well; nothing is evaluated here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from .. import protocol
from ..training import hidden
from ..training.head import Head
from ..training.logits import reduce, wide
from ..trees import mx
from . import request

_cures: list[tuple[int, str, Callable[[Lesson], Any]]] = []
TARGETS, SHARES = 0, 1
"""Cures that say what is taught come before those that say how much."""


def cure(name: str, function: Callable[[Lesson], Any], order: int = SHARES) -> None:
    """Have `function(lesson)` say the cotangent as it should have been; `name` is the finding's id."""
    _cures.append((order, name, function))
    _cures.sort(key=lambda each: each[:2])


def cured(z: Any, ids: Any, g: Any, forwards: int, head: Head | None = None) -> Any:
    """The cotangent g at logits z of rows `ids` after all cures; `forwards`: of the gradient under way.

    With a head, z are the hidden states that it takes.
    """
    for _, name, function in _cures:
        if ids is not None and ids.ndim == 2 and z.ndim == 3:
            request.acted(name, protocol.AT_THE_LOSS)
            g = function(Lesson(z, ids, g, forwards, head)).astype(g.dtype)
    return g


class Lesson:
    """What one forward's loss teaches.

    Logits z (rows, positions, vocabulary), input ids (rows, positions), cotangent g as z.

    Where a loss makes no logits, z are the hidden states (rows, positions, width) that `head` takes.

    Masks are (rows, positions) booleans; the role of a position is that of the token that follows it in its
    row.
    """

    def __init__(self, z: Any, ids: Any, g: Any, forwards: int, head: Head | None = None) -> None:
        self.z, self.ids, self.g, self.forwards, self.head = z, ids, g, forwards, head

    @cached_property
    def _read(self) -> dict[str, Any]:
        return reduce(self.z, self.g) if self.head is None else hidden.reduce(self.z, self.g, self.head)

    @property
    def target(self) -> Any:
        """The token that the loss teaches at each position."""
        return self._read["target"]

    @cached_property
    def weight(self) -> Any:
        """The signed weight of each position, exactly 0 where nothing comes back."""
        return mx().where(self._read["mass"] > 0, self._read["weight"], 0.0)

    @property
    def vocabulary(self) -> int:
        """How many tokens the head has a row for."""
        return int(self.z.shape[-1] if self.head is None else self.head.arrays["weight"].shape[0])

    @property
    def residual(self) -> Any:
        return self._read["residual"]

    @cached_property
    def taught(self) -> Any:
        """Positions that carry weight."""
        return self._read["mass"] > 0

    # -- the rows --------------------------------------------------------------------------------------------

    @cached_property
    def _row(self) -> Any:
        """The ids and one token more.

        Where the program cut the row, that token is what the last position teaches.
        """
        core = mx()
        follows = core.where(self._last_seen, self.target[:, -1], self.ids[:, -1]).astype(self.ids.dtype)
        return core.concatenate([self.ids, follows[:, None]], axis=1)

    @cached_property
    def _last_seen(self) -> Any:
        """Of each row: is the token after its last position known?

        It is where the loss teaches next tokens.
        """
        core = mx()
        if self.ids.shape[1] < 2:
            return self.taught[:, -1]
        here = core.where(self.taught[:, :-1], self.target[:, :-1] == self.ids[:, 1:], False).sum()
        return core.logical_and(self.taught[:, -1], here * 2 >= self.taught[:, :-1].sum())

    @property
    def following(self) -> Any:
        """The next token of the row at each position."""
        return self._row[:, 1:]

    @property
    def last(self) -> Any:
        """The last position of each row, (1, positions)."""
        width = self.ids.shape[1]
        return (mx().arange(width) == width - 1)[None]

    @cached_property
    def has_target(self) -> Any:
        """Positions of which the next token of the row is known.

        All but the last, unless the loss says it.
        """
        core = mx()
        every = core.ones(self.ids[:, :-1].shape, core.bool_)
        return core.concatenate([every, self._last_seen[:, None]], axis=1)

    @cached_property
    def pad(self) -> Any:
        """Padding before and after the row; the first of a tail whose id also ends answers is the end."""
        core, row = mx(), self._row
        none = core.zeros(row.shape, core.bool_)
        pads = request.fact("pads") or []
        if not pads:
            return none[:, 1:]
        tail = core.cumprod((row == row[:, -1:]).astype(core.int32), axis=1, reverse=True)
        long = tail.sum(axis=1, keepdims=True)
        alone = row[:, -1:] == (request.fact("pad") if request.fact("pad") is not None else -1)
        after = core.where(
            core.logical_and(_in(row[:, -1:], pads), core.logical_or(long > 1, alone)), tail, 0
        )
        ending = core.logical_and(_in(row[:, -1:], request.fact("ends") or []), after > 0)
        first = core.arange(row.shape[1])[None] == row.shape[1] - long
        after = core.where(core.logical_and(ending, first), 0, after)
        head = core.cumprod((row == row[:, :1]).astype(core.int32), axis=1)
        many = core.logical_and(_in(row[:, :1], pads), head.sum(axis=1, keepdims=True) > 1)
        return core.logical_or(after > 0, core.where(many, head > 0, False))[:, 1:]

    @cached_property
    def prompt(self) -> Any:
        """Tokens before an answer begins, by the template's turn markers.

        Nowhere where there is no template.
        """
        core, row = mx(), self._row
        markers = request.fact("markers")
        if not markers:
            return core.zeros(row.shape, core.bool_)[:, 1:]
        (opener, user), opened = markers
        places = core.arange(1, row.shape[1] + 1)[None]
        begins = core.where(_after(_match(row, opened), len(opened)), places, 0)
        turns = core.where(row == opener if opener is not None else _match(row, user), places, 0)
        begun, turned = core.cummax(begins, axis=1), core.cummax(turns, axis=1)
        answers = core.logical_and(begun > 0, begun > turned)
        # the row's own end token belongs to the answer that it ends; a row without a marker has no prompt
        # that could be told
        return core.logical_and(core.logical_not(answers), begins.max(axis=1, keepdims=True) > 0)[:, 1:]

    @property
    def marked(self) -> Any:
        """Rows, (rows, 1), of which the template's markers tell the prompt from the answer."""
        return self.prompt.any(axis=1, keepdims=True)

    @cached_property
    def end(self) -> Any:
        """Tokens that end an answer."""
        return mx().logical_and(_in(self.following, request.fact("ends") or []), self.answer)

    @cached_property
    def misplaced(self) -> Any:
        """How many positions of each row, (rows, 1), the mask has wrong.

        Taught and no answer, or an answer and not taught.
        """
        core = mx()
        known = core.logical_and(self.answer, self.has_target)
        return core.not_equal(self.taught, known).sum(axis=1, keepdims=True)

    @cached_property
    def uneven(self) -> Any:
        """One boolean: do the weights of taught positions differ among themselves?"""
        core = mx()
        weight = core.abs(self.weight)
        least = core.where(self.taught, weight, core.inf).min()
        return least < 0.99 * weight.max()

    @cached_property
    def answer(self) -> Any:
        """Tokens of answers, the token that ends them among these."""
        core = mx()
        return core.logical_not(core.logical_or(self.pad, self.prompt))

    @cached_property
    def follows(self) -> Any:
        """One boolean: are most targets the next tokens of their rows?

        Where they are not, the fault is not in a mask.
        """
        core = mx()
        at = core.logical_and(self.taught, self.has_target)
        return core.logical_and(at, self.target == self.following).sum() * 2 > at.sum()

    def relation(self, by: int) -> Any:
        """One boolean: do targets stand `by` places to the right in the row, and not at the next one?

        With 0 each position is its own target.
        """
        core, width = mx(), self.ids.shape[1]
        taught = self.taught[:, : width - max(by, 1)]
        there = self.target[:, : width - max(by, 1)]
        at = self.ids[:, by : by + there.shape[1]]
        fits = core.logical_and(taught, there == at).sum()
        following = core.logical_and(taught, there == self.ids[:, 1 : 1 + there.shape[1]]).sum()
        return core.logical_and(fits * 10 >= taught.sum() * 9, fits > following)

    # -- what should have been -------------------------------------------------------------------------------

    def only(self, mask: Any) -> Any:
        """The cotangent with no weight but where `mask` is.

        A mean stays a mean: weights that summed to one at most keep their sum.
        """
        return self.g * self._shares(mask)[..., None]

    def _shares(self, mask: Any) -> Any:
        core = mx()
        whole, left = self.weight.sum(), (self.weight * mask).sum()
        mean = core.logical_and(core.abs(whole) <= 1.001, core.abs(left) > 1e-12)
        return mask * core.where(mean, whole / core.where(left == 0, 1.0, left), 1.0)

    def teach(self, target: Any, weight: Any) -> Any:
        """The cotangent of a cross-entropy with these targets and weights, both (rows, positions)."""
        core = mx()
        if self.head is not None:
            return hidden.cotangent(self.z, target, weight, self.head)
        z = wide(self.z)
        onehot = core.arange(z.shape[-1]) == target[..., None]
        return (core.softmax(z, axis=-1) - onehot) * weight[..., None]

    def spread(self, mask: Any) -> Any:
        """The weights over a mask, with a mean kept a mean.

        Positions keep their own weight where they have any, else they get what the others have on average.
        """
        core = mx()
        weight = core.abs(self.weight) * mask
        whole, left = core.abs(self.weight).sum(), weight.sum()
        return weight * core.where(whole <= 1.001, whole / core.where(left == 0, 1.0, left), 1.0)

    def mean(self, mask: Any, total: float | None = None) -> Any:
        """Equal weights over a mask that sum to `total`, else to what the loss's own sum to.

        To one, where that is nothing or a sum.
        """
        core = mx()
        whole = core.abs(self.weight.sum()) if total is None else core.array(total)
        whole = core.where(core.logical_and(whole > 1e-6, whole <= 1.001), whole, 1.0)
        return mask.astype(core.float32) * (whole / core.maximum(mask.sum(), 1))


def _in(array: Any, ids: list[int]) -> Any:
    core = mx()
    mask = core.zeros(array.shape, core.bool_)
    for token_id in ids:
        mask = core.logical_or(mask, array == token_id)
    return mask


def _match(row: Any, marker: list[int]) -> Any:
    """Where `marker` begins in each row."""
    core, width = mx(), row.shape[1]
    mask = core.ones(row.shape, core.bool_)
    for place, token in enumerate(marker):
        there = row[:, place:] == token
        missing = core.zeros((row.shape[0], min(place, width)), core.bool_)
        mask = core.logical_and(mask, core.concatenate([there, missing], axis=1))
    return mask


def _after(starts: Any, length: int) -> Any:
    """Moved to the right by `length`."""
    core = mx()
    missing = core.zeros((starts.shape[0], min(length, starts.shape[1])), core.bool_)
    return core.concatenate([missing, starts[:, :-length]], axis=1)
