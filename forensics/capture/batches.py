"""The training rows of a run: what they share, how they end, which prompts they hold.

And generations held against them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forensics.capture import frames, roles, runtables
from forensics.capture.answers import ids
from forensics.capture.frames import Facts
from forensics.capture.roles import Outline, Read
from forensics.records import Row
from forensics.store.keyed import Keyed

_GIVEN = 4
"""First tokens of an answer that a prompt may hold already."""


@dataclass(frozen=True)
class Lesson:
    """One row of a kept step; `head` names run, process, model, step and forward."""

    head: Mapping[str, Any]
    read: Read
    facts: Facts

    @property
    def model(self) -> str:
        return str(self.head["model"])


class Rows:
    """Training rows of kept steps, with what all rows that were seen say together."""

    def __init__(
        self,
        lessons: Sequence[Lesson],
        brief: Iterable[tuple[str, Outline, Sequence[int], Facts]],
        caps: Mapping[str, int],
        keyed: Keyed,
    ) -> None:
        """`brief` are (model, outline, tokens, tokenizer) of further rows.

        `caps` the length that rows are cut to, by model.
        """
        self._lessons, self._keyed = lessons, keyed
        self._prompts: set[str] = set()
        self._opened: dict[str, int] = {}
        self._widest: dict[str, int] = {}
        self._caps = caps
        bodies: dict[str, list[Sequence[int]]] = {}
        last: Counter[int] = Counter()
        every = [
            *brief,
            *((lesson.model, lesson.read.outline, lesson.read.tokens, lesson.facts) for lesson in lessons),
        ]
        for model, outline, tokens, facts in every:
            body = tokens[outline.head : outline.tail]
            bodies.setdefault(model, []).append(body)
            self._widest[model] = max(self._widest.get(model, 0), len(tokens))
            last.update(body[-1:])
            if digest := self._prompt(tokens, outline, facts):
                self._prompts.add(digest)
                self._opened |= self._beginnings(tokens, outline, facts)
        some = next((facts for _, _, _, facts in every), Facts())
        self._heads = {model: frames.shared_head(body, some) for model, body in bodies.items()}
        special = some.special | some.ends
        self._closing = _closing(lessons)
        self._ends = {token for token, count in last.items() if token in special and 2 * count >= len(every)}

    def _prompt(self, tokens: Sequence[int], outline: Outline, facts: Facts) -> str | None:
        if outline.answer is None or outline.answer <= outline.head:
            return None
        return self._keyed.digest(frames.fold(tokens[outline.head : outline.answer], facts))

    def _beginnings(self, tokens: Sequence[int], outline: Outline, facts: Facts) -> dict[str, int]:
        """Digests of the prompt with none and with the first few tokens of its answer, and how many."""
        if outline.answer is None:
            return {}
        ends = range(outline.answer, min(outline.answer + _GIVEN, len(tokens)) + 1)
        held = ((self._keyed.digest(frames.fold(tokens[outline.head : end], facts)), end) for end in ends)
        return {digest: end - outline.answer for digest, end in held if digest}

    def _head(self, body: Sequence[int], shared: tuple[int, ...] | None, facts: Facts) -> str | None:
        return self._keyed.digest(frames.fold(body, facts)[: len(shared)]) if shared else None

    def batch_rows(self) -> Iterator[Row]:
        """Rows of `batch_rows`."""
        for lesson in self._lessons:
            read, facts, outline = lesson.read, lesson.facts, lesson.read.outline
            counts = Counter(outline.roles)
            width, begins = len(read.line.inputs), frames.frame(read.body, facts)
            untaught = _untaught(read)
            yield {
                **lesson.head,
                "row": read.line.row,
                "width": width,
                "tokens": len(read.body),
                "prompt_tokens": counts[roles.PROMPT],
                "answer_tokens": counts[roles.ANSWER],
                "end_tokens": counts[roles.END],
                "pad_tokens": counts[roles.PAD],
                "first_pad": outline.tail if outline.tail < len(read.tokens) else None,
                "ends_with_end": frames.ends(read.body, facts) if facts.ends else None,
                "at_cap": counts[roles.PAD] == 0
                and len(read.tokens) in (self._widest[lesson.model], self._caps.get(lesson.model)),
                "bos_count": frames.bos_count(read.body, facts),
                "openings": frames.openings(read.body),
                "framed": None if begins is None else begins == "template",
                "frame": begins,
                "head_digest": self._head(read.body, self._heads[lesson.model], facts),
                "row_digest": self._keyed.digest(read.tokens),
                "prompt_digest": self._prompt(read.tokens, outline, facts),
                "out_of_range": sum(
                    t < 0 or (facts.rows is not None and t >= facts.rows) for t in read.tokens
                ),
                "opening_tokens": untaught,
                "opening_digest": self._keyed.digest(read.tokens[outline.answer : outline.answer + untaught])
                if untaught and outline.answer is not None
                else None,
            }

    def generation(self, row: Mapping[str, Any], facts: Facts) -> Row:
        """A row of `generations` held against the training rows.

        `prompt_ids` and `output_ids` are what the watcher gave.
        """
        prompt, output = ids(row.get("prompt_ids")), ids(row.get("output_ids"))
        shared = self._heads.get(str(row.get("model"))) or next((h for h in self._heads.values() if h), None)
        digest = self._keyed.digest(frames.fold(prompt, facts)) if prompt else None
        begins = frames.frame(prompt, facts) if prompt else None
        ends, stop = facts.ends | self._ends, set(ids(row.get("stop_set")))
        # nothing follows the last token; in a loop by hand the last is what the model would have said next,
        # and the one before may have been read to close the turn
        followed = output[: -2 if row.get("via") == "loop" else -1]
        at = next((i for i, token in enumerate(followed) if token in ends), None)
        emitted = {output[at]} if at is not None else ends
        return {
            **runtables.columns("generations", row),
            "end_position": at,
            "end_in_stop_set": bool(stop & emitted) if row.get("stop_set") is not None and emitted else None,
            "framed": None if begins is None else begins == "template",
            "frame": begins,
            "bos_count": frames.bos_count(prompt, facts) if prompt else None,
            "head_digest": self._head(prompt, shared, facts) if prompt else None,
            "prompt_digest": digest,
            "trained_on": digest in self._prompts if digest and self._prompts else None,
            "given_tokens": self._opened.get(digest) if digest else None,
            "ends_as_rows": output[-1] == self._closing if output and self._closing is not None else None,
        }


def _untaught(read: Read) -> int | None:
    """How many of the answer's first tokens carry no weight.

    None where no answer begins, or none of its tokens carries any.
    """
    begins = read.outline.answer
    if begins is None or begins < 1:
        return None
    weights = read.line.weights[begins - 1 :]
    return next((n for n, weight in enumerate(weights) if weight), None)


def _closing(lessons: Sequence[Lesson]) -> int | None:
    """The token that nine of ten rows teach last; None where they teach several."""
    lines = [lesson.read.line for lesson in lessons]
    taught = [[y for y, w in zip(line.targets, line.weights, strict=True) if w] for line in lines]
    last = Counter(targets[-1] for targets in taught if targets)
    token, count = last.most_common(1)[0] if last else (None, 0)
    return int(token) if token is not None and 10 * count >= 9 * last.total() else None
