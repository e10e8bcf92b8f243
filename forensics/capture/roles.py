"""What each position of a training row teaches.

Prompt, answer, end or padding, and how the target stands to the row.

Input: what the watcher read off the gradient at the logits. The role of a position is that of the row's next
token; where the program cut the row (`model(batch[:, :-1])`), that token is the target of the last position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from forensics.capture.frames import Facts, find

PROMPT, ANSWER, END, PAD = "prompt", "answer", "end", "pad"
NEXT, SAME, SECOND, OTHER = "next", "same", "next-but-one", "other"
_SURE = 3  # repeats at the tail after which an id that is no special token counts as padding


@dataclass(frozen=True)
class Line:
    """One row of one forward, as lists of one length.

    Token ids, targets (where the weight is not 0), weights, masses, residuals.
    """

    row: int
    inputs: Sequence[int]
    targets: Sequence[int | None]
    weights: Sequence[float | None]
    mass: Sequence[float | None]
    residual: Sequence[float | None]


@dataclass(frozen=True)
class Outline:
    """The role of each token of a row, and where its parts begin.

    `head` tokens of padding come before the row, the padding after it begins at `tail` (its length where
    there is none); `answer` is where the first answer begins, None where that cannot be told; `marked`: the
    template's markers told it.
    """

    roles: tuple[str, ...]
    head: int
    tail: int
    answer: int | None
    marked: bool


@dataclass(frozen=True)
class Read:
    """A row that was read: `tokens` with the one that follows where it is known."""

    line: Line
    tokens: Sequence[int]
    relations: Sequence[str | None]
    outline: Outline

    def role(self, position: int) -> str | None:
        """The role of the token that follows `position`.

        None where none is known to follow and none is taught.
        """
        roles = self.outline.roles
        if position + 1 < len(roles):
            return roles[position + 1]
        return roles[position] if self.line.weights[position] else None

    @property
    def body(self) -> Sequence[int]:
        """The row without its padding."""
        return self.tokens[self.outline.head : self.outline.tail]


def lines(forward: Mapping[str, Any]) -> Iterator[Line]:
    """The rows of one forward; what is not there is None at each position."""
    for i, row in enumerate(forward.get("inputs") or []):
        inputs = [int(t) for t in row] if isinstance(row, list) else []

        def part(name: str, i: int = i, n: int = len(inputs)) -> list[Any]:
            every = forward.get(name)
            rows = (
                every[i] if isinstance(every, list) and i < len(every) and isinstance(every[i], list) else []
            )
            return [_finite(x) for x in rows[:n]] + [None] * (n - len(rows))

        yield Line(i, inputs, part("targets"), part("weights"), part("mass"), part("residual"))


def _finite(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value


def read(batch: Sequence[Line], facts: Facts) -> list[Read]:
    """The rows of one forward. Rows of a batch tell of each other which id is padding."""
    extended = [(line, *_follow(line)) for line in batch]
    pads = padding([edges(tokens) for _, tokens, _ in extended], facts)
    outlines = []
    for line, tokens, relations in extended:
        first = next((i for i, weight in enumerate(line.weights) if weight), None)
        outlines.append(Read(line, tokens, relations, outline(tokens, facts, pads, first)))
    return outlines


# -- targets -------------------------------------------------------------------------------------------------


def _follow(line: Line) -> tuple[list[int], list[str | None]]:
    """The row with the token that follows it, where the targets say that they are next tokens.

    And the relation of each target.

    In a run of equal tokens a target fits several relations: it takes the one that the row's other targets
    have.
    """
    x, y, n = line.inputs, line.targets, len(line.inputs)
    fitting = [_relations(x, y[i], i) if line.weights[i] and y[i] is not None else () for i in range(n)]
    usual = _most(f[0] for f in fitting[: n - 1] if len(f) == 1) or _most(f[0] for f in fitting[: n - 1] if f)
    relations = [(usual if usual in f else f[0]) if f else None for f in fitting]
    tokens = list(x)
    if n and relations[-1] and (usual == NEXT or (usual is None and relations[-1] == OTHER)):
        tokens.append(int(y[-1] or 0))
        relations[-1] = NEXT
    for i in (n - 2, n - 1):
        if usual == SECOND and i >= 0 and relations[i]:
            relations[i] = SECOND  # it lies beyond the row, as it would
    return tokens, relations


def _relations(x: Sequence[int], y: int | None, i: int) -> tuple[str, ...]:
    """How a target stands to the row; several where the row repeats itself."""
    places = ((NEXT, i + 1), (SAME, i), (SECOND, i + 2))
    return tuple(name for name, at in places if at < len(x) and x[at] == y) or (OTHER,)


def _most(values: Iterable[str]) -> str | None:
    common = Counter(values).most_common(1)
    return common[0][0] if common else None


# -- padding -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edges:
    """How often the first and the last id of a row of `length` tokens repeat at their edge."""

    first: int
    head: int
    last: int
    tail: int
    length: int
    tokens: Sequence[int] = ()

    def inside(self, token: int) -> int:
        """The longest run of an id between the edges; 0 where it stands at them alone."""
        inner = self.tokens[self.head : len(self.tokens) - self.tail]
        return max((len(list(same)) for each, same in groupby(inner) if each == token), default=0)


def edges(tokens: Sequence[int]) -> Edges | None:
    """The edges of a row; None of an empty one."""
    if not tokens:
        return None
    return Edges(tokens[0], _run(tokens), tokens[-1], _run(tokens[::-1]), len(tokens), tokens)


def _run(tokens: Sequence[int]) -> int:
    """How often the first id repeats from the start on."""
    n = 0
    while n < len(tokens) and tokens[n] == tokens[0]:
        n += 1
    return n


def padding(batch: Iterable[Edges | None], facts: Facts) -> frozenset[int]:
    """The ids that pad this batch.

    The tokenizer's own pad id; special ids that repeat; other ids that repeat at the tail of several rows, or
    often, but not where text has them as well: a letter of `Arr` ends two windows of a text now and then, and
    stands within others; so do four spaces.

    Others at the head may be text, as `###` is: they pad where their number differs from row to row, or many
    stand before some rows and none before others, and no row is filled up at its tail.
    """
    rows = [e for e in batch if e]
    named, tails = facts.special | facts.ends, Counter(e.last for e in rows if e.tail > 1)
    sure = {facts.pad} if facts.pad is not None else set()
    sure |= {
        token
        for e in rows
        for token, run in ((e.first, e.head), (e.last, e.tail))
        if run > 1 and token in named
    }
    often = {e.last for e in rows if e.tail >= _SURE}
    several = {token for token, count in tails.items() if count > 1}
    sure |= {token for token in often if max(e.inside(token) for e in rows) < 2}
    sure |= {token for token in several - often if not any(e.inside(token) for e in rows)}
    pads = frozenset(sure - facts.text)
    if any(bounds(e, facts, pads)[1] < e.length for e in rows):
        return pads
    heads = {
        token: {e.head if e.first == token else 0 for e in rows}
        for token in {e.first for e in rows if e.head > 1}
    }
    return pads | {
        token
        for token, counts in heads.items()
        if token not in facts.text
        and (len(counts - {0, 1}) > 1 or (len(counts) > 1 and max(counts) >= 2 * _SURE))
    }


def text(rows: Iterable[Edges | None]) -> frozenset[int]:
    """Ids that stand within at least as many rows as they are repeated at the edges of: symbols of the text.

    Where there is no tokenizer nothing names the padding, and a symbol may end a row twice by chance.
    """
    edge, within = Counter[int](), Counter[int]()
    for e in rows:
        if e:
            edge.update({token for token, run in ((e.first, e.head), (e.last, e.tail)) if run > 1})
            within.update(set(e.tokens[e.head : len(e.tokens) - e.tail]))
    return frozenset(token for token, count in edge.items() if within[token] >= count)


def bounds(e: Edges | None, facts: Facts, pads: frozenset[int]) -> tuple[int, int]:
    """(length of the padding before the row, where the padding after it begins).

    One id alone at the edge is padding only where the tokenizer says so; BOS at the head is no padding unless
    it repeats often.
    """
    if e is None:
        return 0, 0
    tail = e.length
    if e.last in pads and (e.tail > 1 or e.last == facts.pad):
        tail -= e.tail
        if e.last in facts.ends and tail > 0:
            tail += 1  # the first of them is the end of the answer
    head = 0
    if e.first in pads and e.head < e.length and (e.head > 1 or e.first == facts.pad):
        head = e.head if e.first != facts.bos or (e.first == facts.pad and e.head >= _SURE) else 0
    return min(head, tail), tail


# -- roles ---------------------------------------------------------------------------------------------------


def outline(tokens: Sequence[int], facts: Facts, pads: frozenset[int], first: int | None) -> Outline:
    """The roles of a row's tokens.

    `first` is the first position with weight: where a masked head comes before it, it ends there.
    """
    head, tail = bounds(edges(tokens), facts, pads)
    roles, answer = _turns(tokens, head, tail, facts)
    marked = answer is not None
    if answer is None and first is not None and head < first < tail - 1:
        answer = first + 1
        roles = [PROMPT] * answer + [ANSWER] * (len(tokens) - answer)
    for i, token in enumerate(tokens):
        if i < head or i >= tail:
            roles[i] = PAD
        elif token in facts.ends:
            roles[i] = END
    return Outline(tuple(roles), head, tail, answer, marked)


def _turns(tokens: Sequence[int], head: int, tail: int, facts: Facts) -> tuple[list[str], int | None]:
    """Prompt and answer by the template's turn markers: a role a token, and where the first answer begins.

    None without markers.
    """
    marks = facts.markers
    if marks is None or find(tokens[:tail], marks[1], head) < 0:
        return [ANSWER] * len(tokens), None
    user, opened = marks
    opener = user[0] if user and user[0] in facts.special else None
    roles: list[str] = []
    first, now = None, PROMPT
    while len(roles) < len(tokens):
        i = len(roles)
        if tuple(tokens[i : i + len(opened)]) == opened:
            roles += [PROMPT] * len(opened)
            first, now = len(roles) if first is None else first, ANSWER
            continue
        if now == ANSWER and (tokens[i] == opener or (user and tuple(tokens[i : i + len(user)]) == user)):
            now = PROMPT
        roles.append(now)
    return roles, first
