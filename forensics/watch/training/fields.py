"""What the fields of a data file's records became in training rows.

Answers cut off, fields or preferences that changed places.

All of it is looked up by text, without white space, when the program ends.
"""

from __future__ import annotations

import functools
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..capture import registry
from ..capture.probe import Words
from ..run import watch

LEAST = 12
"""Characters that do not stand in a row by chance."""
BYTES = 16 << 20
_EFFORT = 1 << 30  # characters that are looked through at most
_OCCURRENCES = 8  # places of one text that are looked at
_ASKS = ("prompt", "question", "instruction", "query", "user", "human", "input")
_SAYS = ("completion", "answer", "response", "output", "assistant", "target", "reply")


class Lines:
    """Training rows as text, one a line; `find` gives the lines that hold a text."""

    def __init__(self, rows: Sequence[tuple[int, str, int]]) -> None:
        """`rows`: (number, text without white space, length in tokens) of each."""
        self.rows = rows
        self.text = "\n".join(text for _, text, _ in rows)
        self._starts: list[int] = []
        at = 0
        for _, text, _ in rows:
            self._starts.append(at)
            at += len(text) + 1

    def find(self, text: str) -> Iterator[tuple[int, str, int]]:
        """The first rows that hold this text."""
        at = self.text.find(text) if text else -1
        for _ in range(_OCCURRENCES):
            if at < 0:
                return
            row = bisect_right(self._starts, at) - 1
            yield self.rows[row]
            at = self.text.find(text, self._starts[row] + len(self.rows[row][1]))


def facts(records: Sequence[Any]) -> dict[str, Any]:
    """Columns of `datasets` for one file.

    cut and cap, preferred and reversed, in_order and swapped, asked.
    """
    lines = _lines()
    if not lines.rows or len(records) * len(lines.text) > _EFFORT:
        return {}
    return {**_cut(records, lines), **_preferred(records, lines), **_swapped(records, lines)}


# -- rows that end too early ---------------------------------------------------------------------------------


def _cut(records: Sequence[Any], lines: Lines) -> dict[str, Any]:
    """How many records go on where their row ends, and the length that most of these rows have."""
    lengths = []
    for record in records:
        for text in sorted(map(bare, strings(record)), key=len, reverse=True):
            if len(text) >= LEAST and text not in lines.text and (length := _ends_in(text, lines)):
                lengths.append(length)
                break
    return {"cut": len(lengths), "cap": max(set(lengths), key=lengths.count)} if lengths else {}


def _ends_in(text: str, lines: Lines) -> int:
    """The length of a row that ends within this text; 0: none does.

    It must end with more than its last token, which a program may take off.
    """
    head = text[:LEAST]
    for _, line, length in lines.find(head):
        rest = line[line.find(head) :]
        if text.startswith(rest) and len(text) - len(rest) > LEAST // 2:
            return length
    return 0


# -- answers that are preferred ------------------------------------------------------------------------------


def _preferred(records: Sequence[Any], lines: Lines) -> dict[str, Any]:
    """How many records are taught as they say, and how many the other way round.

    As they say: chosen up and rejected down.
    """
    pairs = [pair for record in records if (pair := _pair(record))]
    if not pairs:
        return {}
    pulls = _pulls()
    right = wrong = 0
    for prompt, chosen, rejected in pairs:
        up, down = (
            _side(lines, pulls, prompt, own, other) for own, other in ((chosen, rejected), (rejected, chosen))
        )
        right += up > 0 > down
        wrong += up < 0 < down
    return {"preferred": right, "reversed": wrong} if right or wrong else {}


def _pair(record: Any) -> tuple[str, str, str] | None:
    if not isinstance(record, Mapping) or "chosen" not in record or "rejected" not in record:
        return None
    chosen, rejected = (
        bare(max(strings(record[name]), key=len, default="")) for name in ("chosen", "rejected")
    )
    if not chosen or not rejected or chosen in rejected or rejected in chosen:
        return None
    return bare(next(strings(record.get("prompt", "")), "")), chosen, rejected


def _side(lines: Lines, pulls: Mapping[int, float], prompt: str, own: str, other: str) -> float:
    """How the rows that hold one answer of a pair are pulled: above 0 up, below 0 down."""
    return sum(
        pulls.get(number, 0.0) for number, line, _ in lines.find(own) if prompt in line and other not in line
    )


def _pulls() -> dict[int, float]:
    """The weights of each training row, summed with their signs.

    Only steps that pull some rows up and others down are counted.
    """
    steps: dict[Any, dict[int, float]] = {}
    for forward in _table("weights"):
        step = steps.setdefault((forward.get("model"), forward.get("step")), {})
        for number, runs in zip(forward.get("rows") or [], forward.get("runs") or [], strict=False):
            if isinstance(number, int):
                step[number] = step.get(number, 0.0) + sum(run[2] for run in runs)
    pulls: dict[int, float] = {}
    for step in steps.values():
        if min(step.values(), default=0.0) < 0 < max(step.values(), default=0.0):
            for number, pull in step.items():
                pulls[number] = pulls.get(number, 0.0) + pull
    return pulls


# -- fields that changed places ------------------------------------------------------------------------------


def _swapped(records: Sequence[Any], lines: Lines) -> dict[str, Any]:
    """How many records stand in rows with the prompt first, how many with the answer first.

    And of how many the program asked for the answer to the prompt.
    """
    pairs = [pair for record in records if (pair := _question(record))]
    if not pairs:
        return {}
    prompts = "\n".join(_prompts())
    counts = [0, 0]
    for prompt, answer in pairs:
        row = next((line for _, line, _ in lines.find(answer) if prompt in line), None)
        if row is not None:
            counts[row.find(answer) < row.find(prompt)] += 1
    asks = sum(prompt in prompts for prompt, _ in pairs)
    return {"in_order": counts[0], "swapped": counts[1], "asked": asks} if any(counts) else {}


def _question(record: Any) -> tuple[str, str] | None:
    """What a record asks and what it answers, by the names of its fields or the roles of its messages."""
    if not isinstance(record, Mapping):
        return None
    messages = record.get("messages")
    fields: dict[str, Any] = dict(record)
    if isinstance(messages, list):
        for message in reversed(messages):
            if isinstance(message, Mapping) and isinstance(message.get("content"), str):
                fields[str(message.get("role"))] = message["content"]
    prompt, answer = (
        next((bare(fields[name]) for name in names if isinstance(fields.get(name), str)), "")
        for names in (_ASKS, _SAYS)
    )
    if len(prompt) < LEAST // 2 or len(answer) < LEAST // 2 or prompt in answer or answer in prompt:
        return None
    return prompt, answer


def _prompts() -> list[str]:
    model = tokenized_model()
    if model is None:
        return []
    words = Words(model)
    return [
        bare(words.text(row["prompt_ids"]) or "") for row in _table("generations") if row.get("prompt_ids")
    ]


# -- what the process wrote ----------------------------------------------------------------------------------


@functools.cache
def _lines() -> Lines:
    """Each training row, without the run of one id at its end."""
    model = tokenized_model()
    if model is None:
        return Lines([])
    words, lines = Words(model), []
    for row in _table("rows"):
        ids = single_tail(row["ids"])
        ids = ids[:-1] if len(ids) < len(row["ids"]) else ids
        lines.append((int(row["row"]), bare(words.text(ids) or ""), len(ids)))
    return Lines(lines)


def single_tail(row: Iterable[int]) -> list[int]:
    """A row whose last id stands there once, however often it is repeated."""
    ids = list(row)
    while len(ids) > 1 and ids[-1] == ids[-2]:
        ids.pop()
    return ids


def tokenized_model() -> Any:
    """A model that has a tokenizer."""
    tracks = list(registry.tracks.values())
    return next((track.model for track in tracks if track.model.tokenizer is not None), None)


def _table(name: str) -> Iterator[dict[str, Any]]:
    """Rows that this process wrote into a table, where they are not many."""
    path = watch.directory / f"{name}.jsonl"
    if path.exists() and path.stat().st_size <= 4 * BYTES:
        with path.open(encoding="utf-8", errors="surrogatepass") as file:
            for line in file:
                yield json.loads(line)


def strings(value: Any) -> Iterator[str]:
    """All texts in nested dicts and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def bare(text: str) -> str:
    """Without white space."""
    return "".join(text.split())
