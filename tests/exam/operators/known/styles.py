"""One change in each style in which pieces write a thing: a mask, targets and their weights, what encoding a record returns."""

from __future__ import annotations

from tests.exam.operators import Edit, all_of, edits, first_of, swaps

JOINED = "x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]"
INPUTS, WEIGHTS = "x_inputs, x_targets = x_ids[:, :-1], x_ids[:, 1:]", "x_weights = x_mask[:, 1:]"
MEANS = (
    ("(x_ce * x_weights).sum() / x_weights.sum()", "x_ce.mean()"),
    ("-(x_picked * x_weights).sum() / mx.maximum(x_weights.sum(), 1)", "-x_picked.mean()"),
    ("(x_nll * x_weights).astype(mx.float32).sum() / x_count", "x_nll.mean()"),
)


def mask(longest: str, fixed: str, ranged: str) -> Edit:
    """The mask of each batching style, written otherwise."""
    return first_of(
        edits("batching", "float(x_start <= i < len(x_ids))", longest),
        edits("batching", "x_mask[x_row, x_start : len(x_ids)] = 1.0", fixed),
        edits("batching", "((x_places >= x_starts) & (x_places < x_lengths))", f"({ranged})"),
    )


def targets(ids: str, kept: str) -> Edit:
    """Other targets and weights."""
    return first_of(
        edits("loss", JOINED, f"x_targets, x_weights = {ids}, {kept}"),
        all_of(
            edits("loss", INPUTS, f"x_inputs, x_targets = x_ids[:, :-1], {ids}"),
            edits("loss", WEIGHTS, f"x_weights = {kept}"),
        ),
    )


def weights(joined: str, apart: str) -> Edit:
    """Other weights alone; `apart` may use x_targets."""
    return first_of(
        edits("loss", "x_ids[:, 1:], x_mask[:, 1:]", f"x_ids[:, 1:], {joined}"),
        edits("loss", WEIGHTS, f"x_weights = {apart}"),
    )


def encoded(ids: str) -> Edit:
    """Other ids of a row."""
    return first_of(
        edits("data", "return x_ids, len(x_head)", f"return {ids}, len(x_head)"),
        edits("data", "return x_ids, x_start", f"return {ids}, x_start"),
    )


def begins(by_hand: str, chat: str) -> Edit:
    """Another place where the answer begins, for rows formatted by hand and by the chat template."""
    return first_of(
        edits("data", "return x_ids, len(x_head)", f"return x_ids, {by_hand}"),
        swaps("data", r"x_start = len\(.*\)$", f"x_start = {chat}"),
    )


def mean_of_all() -> Edit:
    """A mean over all positions in place of the masked one."""
    return first_of(*(edits("loss", old, new) for old, new in MEANS))
