"""What token ids mean to a run.

Classes, the chat template's turn markers, where answers begin, what rows share.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_BEFORE = 8  # tokens that may stand before the block that opens a row, a begin token and the name of a role
_BLOCK = 3  # tokens of a block at least: fewer are a word that is repeated


@dataclass(frozen=True)
class Facts:
    """A tokenizer, as far as the watcher told of it; all empty where a model has none."""

    bos: int | None = None
    pad: int | None = None
    rows: int | None = None
    stop: frozenset[int] = frozenset()
    ends: frozenset[int] = frozenset()
    special: frozenset[int] = frozenset()
    head: tuple[int, ...] = ()
    middle: tuple[int, ...] = ()
    tail: tuple[int, ...] = ()
    framed: bool = False  # there is a chat template
    names: Mapping[int, str] | None = None
    text: frozenset[int] = frozenset()  # where nothing names a pad: ids that stand within rows

    @property
    def unnamed(self) -> bool:
        """Does nothing say which id is padding, or that any token is special?"""
        return self.pad is None and not (self.special or self.ends)

    @classmethod
    def read(cls, tokenizer: Mapping[str, Any] | None) -> Facts:
        """Facts from the watcher's dict; see docs/spool.md."""
        tokenizer = tokenizer or {}
        frame = tokenizer.get("frame")
        frame = frame if isinstance(frame, Mapping) else None
        added = tokenizer.get("added_tokens") or {}
        return cls(
            bos=_one(tokenizer.get("bos_id")),
            pad=_one(tokenizer.get("pad_id")),
            rows=_one(tokenizer.get("rows")),
            stop=_many(tokenizer.get("eos_ids")),
            ends=_many(tokenizer.get("end_ids")) | _many(tokenizer.get("eos_ids")),
            special=_many(tokenizer.get("special_ids"))
            | _many(list(added.values()) if isinstance(added, Mapping) else None),
            head=tuple(_listed(frame.get("head"))) if frame else (),
            middle=tuple(_listed(frame.get("middle"))) if frame else (),
            tail=tuple(_listed(frame.get("tail"))) if frame else (),
            framed=frame is not None,
            names={int(k): str(v) for k, v in (tokenizer.get("names") or {}).items()},
        )

    def kind(self, token: int) -> str:
        """end, pad, bos, special or text."""
        if token in self.stop:
            return "end"
        if token == self.pad:
            return "pad"
        if token == self.bos:
            return "bos"
        return "special" if token in self.special or token in self.ends else "text"

    @cached_property
    def markers(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """(what opens a user's turn, what opens an answer), as short as tells them apart.

        None without a template.

        Both are cut at a special token, since what stands beside a text may be tokenized together with it.
        """
        if not self.middle:
            return None
        user, answer = _cuts(self.head, self.special), _cuts(self.middle, self.special)
        if not answer:
            return None if len(self.middle) < 3 else (self.head[1:-1], self.middle[1:-1])
        for opened in answer:
            matching = next((u for u in user if u[0] == opened[0]), user[0] if user else ())
            if opened != matching:
                return matching, opened
        return None


def _one(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _listed(value: Any) -> list[int]:
    return [i for i in value if isinstance(i, int)] if isinstance(value, (list, tuple)) else []


def _many(value: Any) -> frozenset[int]:
    return frozenset(_listed(value))


def _cuts(ids: Sequence[int], special: Collection[int]) -> list[tuple[int, ...]]:
    """Endings of `ids` that begin with a special token, the shortest first."""
    return [tuple(ids[i:]) for i in range(len(ids) - 1, -1, -1) if ids[i] in special]


def find(row: Sequence[int], marker: Sequence[int], start: int = 0) -> int:
    """Where `marker` stands in `row` at or after `start`; -1 where it does not."""
    if marker:
        first, length = marker[0], len(marker)
        for i in range(start, len(row) - length + 1):
            if row[i] == first and tuple(row[i : i + length]) == tuple(marker):
                return i
    return -1


def bos_count(row: Sequence[int], facts: Facts) -> int:
    """BOS ids at the head of the row."""
    count = 0
    while facts.bos is not None and count < len(row) and row[count] == facts.bos:
        count += 1
    return count


def fold(row: Sequence[int], facts: Facts) -> Sequence[int]:
    """The row without the BOS ids at its head: what is left is the same however many there are."""
    return row[bos_count(row, facts) :]


def ends(row: Sequence[int], facts: Facts) -> bool:
    """Does the row end with a token that ends answers?

    What the template writes after that token may follow it.
    """
    if not row:
        return False
    after = facts.tail[1:] if facts.tail and facts.tail[0] in facts.ends else ()
    last = len(row) - len(after) if after and tuple(row[-len(after) :]) == after else len(row)
    return row[-1] in facts.ends or (last > 0 and row[last - 1] in facts.ends)


def frame(row: Sequence[int], facts: Facts) -> str | None:
    """How a row stands to the chat template: `template`, `partial` or `none`.

    None where there is no template.

    `template`: it begins with the template's head, or with another turn's opening (a system message of its
    own), and holds the marker of an answer.
    """
    if not facts.framed:
        return None
    body = fold(row, facts)
    head = fold(facts.head, facts)
    marks = facts.markers
    user, answer = marks if marks else ((), tuple(facts.middle))
    begins = tuple(body[: len(head)]) == tuple(head) or bool(
        user and body and body[0] == user[0] and find(body, user) >= 0
    )
    holds = find(body, answer) >= 0
    if begins and holds:
        return "template"
    special_head = any(i in facts.special for i in head)
    return "partial" if holds or (begins and special_head) or find(body, user) >= 0 else "none"


def shared_head(rows: Sequence[Sequence[int]], facts: Facts) -> tuple[int, ...] | None:
    """What all rows begin with, BOS left out; cut after the mark that opens a user's turn.

    None where that cannot be told.

    One distinct row alone does not tell its head from its text: then only the template's own mark does.
    """
    distinct = {tuple(fold(row, facts)) for row in rows}
    if not distinct:
        return None
    low, high = min(distinct), max(distinct)
    n = next((i for i, (x, y) in enumerate(zip(low, high, strict=False)) if x != y), min(len(low), len(high)))
    common = low[:n]
    user = facts.markers[0] if facts.markers else ()
    at = find(common, user)
    if at >= 0:
        return common[: at + len(user)]
    return common if len(distinct) > 1 else None


def openings(body: Sequence[int]) -> int:
    """How many times the block that opens a row stands there, back to back; 1 where it is not repeated."""
    for begin in range(min(_BEFORE + 1, len(body))):
        for size in range(_BLOCK, (len(body) - begin) // 2 + 1):
            block = body[begin : begin + size]
            if body[begin] == body[begin + size] and body[begin + size : begin + 2 * size] == block:
                count = 2
                while body[begin + count * size : begin + (count + 1) * size] == block:
                    count += 1
                return count
    return 1
