"""Which records of a data file reached the model, and which rows mlx-lm's evaluation measured.

All of it is looked up at the end, by text.

A record counts as used where its longest text stands in a training row, in a row that was evaluated, or in a
prompt; or a part of it that is in no other record, since rows may be cut at a cap, or anywhere where they are
pieces of a stream.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import distributed
from ..capture.probe import Words
from ..originals import json
from ..places import where
from ..run import watch
from ..trees import is_array
from . import fields

_RECORDS = 5000  # a file of more is not looked through
_PREFIX = 32  # characters by which a text is known where its row was cut
_SOME = 50  # records of which it is looked up what stands before them
# characters that are looked through at most, some seconds: a program's end is not to wait for us
_EFFORT = 4 << 30

_evaluated: dict[tuple[int, ...], str | None] = {}  # row without its padding -> where evaluation was called


def measuring(loss: Callable[..., Any], longest: int | None = None) -> Callable[..., Any]:
    """The same loss; the rows that it is called with are remembered.

    `longest`: the tokens that rows are cut to. What a cut made equal may be two records: such rows are left
    out.
    """
    place = where()

    @functools.wraps(loss)
    def measured(*args: Any, **kwargs: Any) -> Any:
        with watch.looking("evaluated rows"):
            rows = args[1].tolist() if len(args) > 1 and is_array(args[1]) and args[1].ndim == 2 else []
            if len(_evaluated) < _RECORDS:
                whole = (body for body in map(_body, rows) if longest is None or len(body) + 1 < longest)
                _evaluated.update(dict.fromkeys(whole, place))
        return loss(*args, **kwargs)

    return measured


def evaluated() -> dict[str, Any] | None:
    """Columns of `datasets` for the distinct rows that were evaluated; None where none was."""
    if not _evaluated:
        return None
    bodies = map(_body, _ids("rows", "ids"))
    trained = {body[: len(body) - cut] for body in bodies for cut in (0, 1, 2)}
    seen = sum(any(body[: len(body) - cut] in trained for cut in (0, 1, 2)) for body in _evaluated)
    place = next(iter(_evaluated.values()))
    return {"records": len(_evaluated), "used": seen, "place": place}


def used(path: Path) -> dict[str, Any]:
    """Columns `used` and `unused_between` of `datasets` for a data file.

    {} where its records cannot be looked for.

    Of a rank, which is given a part of the file, `found` as well: the numbers of the records that were found.
    """
    items = _records(path)
    records = [sorted(map(fields.bare, fields.strings(item)), key=len, reverse=True) for item in items]
    rows = _text() if records else ""
    used = contained(records, rows)
    if not any(used):
        none: dict[str, Any] = {"found": []} if used and rows and distributed.group()[1] else {}
        return {**none, **fields.facts(items)}
    if redrawn([texts[0] for texts, yes in zip(records, used, strict=True) if yes], rows):
        return {"used": sum(used), **fields.facts(items)}
    numbers = within(records, used, _text(asked=False))
    between = used[numbers[0] : numbers[-1]].count(False)
    found = {"found": numbers} if distributed.group()[1] else {}
    return {"used": sum(used), "unused_between": between, **found, **fields.facts(items)}


def within(records: Sequence[Sequence[str]], used: Sequence[bool], rows: str) -> list[int]:
    """The numbers of the used records that rows hold; of all that are used, where none is in a row.

    A record beyond them that was only asked ends no part of the file that was trained on.
    """
    numbers = [i for i, yes in enumerate(used) if yes]
    held = [i for i in numbers if records[i][0] in rows or records[i][0][:_PREFIX] in rows]
    return [i for i in numbers if held[0] <= i <= held[-1]] if held else numbers


def contained(records: Sequence[Sequence[str]], rows: str) -> list[bool]:
    """Which records, each its texts with the longest first, stand in the rows, one a line.

    All without white space.

    [] where to look for them would take long.
    """
    whole = [
        bool(texts) and bool(texts[0]) and (texts[0] in rows or texts[0][:_PREFIX] in rows)
        for texts in records
    ]
    if not any(whole):  # rows hold other texts than the file
        return whole
    every = "\n".join(text for texts in records for text in texts)
    parts = sum(2 * len(texts) for yes, texts in zip(whole, records, strict=True) if not yes)
    if parts * (len(rows) + len(every)) > _EFFORT:
        return []
    return [yes or _partly(texts, rows, every) for yes, texts in zip(whole, records, strict=True)]


def _partly(texts: Sequence[str], rows: str, every: str) -> bool:
    """Does a part of these texts stand in the rows that is in no other text?"""
    return any(
        part in rows and every.count(part) == sum(text.count(part) for text in texts)
        for part in _parts(texts)
    )


def _parts(texts: Iterable[str]) -> Iterator[str]:
    """The first and the last part of each text: a row that is cut in one of them still holds the other."""
    for text in texts:
        length = min(_PREFIX, max(fields.LEAST, len(text) // 2))
        if len(text) >= length:
            yield from {text[:length], text[-length:]}


def redrawn(keys: Sequence[str], rows: str) -> bool:
    """Do rows put the same record after different others?

    Then they were drawn from the records, and need not hold every one.
    """
    keys = [key for key in keys if len(key) >= fields.LEAST]
    some = keys[:: max(1, len(keys) // _SOME)]
    company = [
        {frozenset(other for other in keys if other in text) for text in _before(key, rows)} for key in some
    ]
    return bool(some) and 10 * sum(len(sets) > 1 for sets in company) >= len(some)


def _before(key: str, rows: str) -> Iterator[str]:
    """What stands before a text in the first rows that hold it."""
    at = rows.find(key)
    for _ in range(8):
        if at < 0:
            return
        yield rows[rows.rfind("\n", 0, at) + 1 : at]
        end = rows.find("\n", at)
        at = rows.find(key, end) if end >= 0 else -1


@functools.cache
def _text(*, asked: bool = True) -> str:
    """All rows as one text without white space; `asked`: and the prompts of generations."""
    model = fields.tokenized_model()
    if model is None:
        return ""
    words = Words(model)
    prompts = _ids("generations", "prompt_ids") if asked else ()
    rows = [*_ids("rows", "ids"), *prompts, *_evaluated]
    return "\n".join(fields.bare(words.text(row) or "") for row in rows)


def _ids(table: str, column: str) -> Iterator[list[int]]:
    """Token ids that this process wrote into a table."""
    path = watch.directory / f"{table}.jsonl"
    if not path.exists() or path.stat().st_size > 4 * fields.BYTES:
        return
    with path.open(encoding="utf-8", errors="surrogatepass") as file:
        for line in file:
            ids = json.loads(line).get(column)
            if isinstance(ids, list):
                yield ids


def _body(row: Iterable[int]) -> tuple[int, ...]:
    """A row without the run of one id at its end."""
    return tuple(fields.single_tail(row)[:-1])


def _records(path: Path) -> list[Any]:
    if path.suffix not in (".jsonl", ".json") or path.stat().st_size > fields.BYTES:
        return []
    text = path.read_text(encoding="utf-8")
    records = (
        json.loads(text)
        if path.suffix == ".json"
        else [json.loads(line) for line in text.splitlines() if line.strip()]
    )
    return records if isinstance(records, list) and len(records) <= _RECORDS else []
