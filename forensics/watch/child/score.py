"""Run as a script, in a child of the program's own interpreter: the user's scorers over transcripts.

    python score.py transcripts.jsonl scores.jsonl module:function ...

Rows in: {"capture", "prompt_id", "prompt", "output", "reference"}; a function is called as function(prompt,
output), and with reference= where it takes one. Rows out: {"capture", "prompt_id", "scorer", "key", "value",
"error"}, one a number.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any


def main(given: str, wanted: str, names: list[str]) -> None:
    sys.path[0] = os.getcwd()  # not our own folder: the scorer is a module of the program's
    rows = [json.loads(line) for line in Path(given).read_text(encoding="utf-8").splitlines() if line]
    with Path(wanted).open("w", encoding="utf-8") as out:
        for name in names:
            for score in scores(name, rows):
                out.write(json.dumps(score, ensure_ascii=False) + "\n")


def scores(name: str, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of one scorer.

    What fails is one row with the error: for one transcript, or for each where the scorer cannot be found.
    """
    function: Callable[..., Any] | None = None
    broken: str | None = None
    try:
        function = find(name)
    except BaseException as error:  # noqa: BLE001   a module may even exit on import
        broken = _line(error)
    for row in rows:
        head = {"capture": row.get("capture"), "prompt_id": row.get("prompt_id"), "scorer": name}
        try:
            pairs = numbers(call(function, row)) if function is not None else []
        except (Exception, SystemExit) as error:  # noqa: BLE001
            yield {**head, "key": "", "value": None, "error": _line(error)}
            continue
        if function is None:
            yield {**head, "key": "", "value": None, "error": broken}
        for key, value in pairs:
            yield {**head, "key": key, "value": value, "error": None}


def find(name: str) -> Callable[..., Any]:
    """The function that `module:function` names; the function may be an attribute of a class."""
    module, colon, path = name.partition(":")
    if not colon or not module or not path:
        raise ValueError(f"{name!r} is not module:function")
    function: Any = importlib.import_module(module)
    for part in path.split("."):
        function = getattr(function, part)
    if not callable(function):
        raise TypeError(f"{name} is not a function")
    return function  # type: ignore[no-any-return]


def call(function: Callable[..., Any], row: Mapping[str, Any]) -> Any:
    """function(prompt, output), with the reference where it takes one: by name, or as a third argument."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return function(row.get("prompt"), row.get("output"))
    if any(
        parameter.name == "reference" or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters
    ):
        return function(row.get("prompt"), row.get("output"), reference=row.get("reference"))
    places = sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for parameter in parameters
    )
    if places > 2 or any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return function(row.get("prompt"), row.get("output"), row.get("reference"))
    return function(row.get("prompt"), row.get("output"))


def numbers(result: Any) -> list[tuple[str, float | str]]:
    """(key, value) of a number (key '') or of a mapping of numbers; raises TypeError for anything else."""
    pairs = (
        [(str(key), value) for key, value in result.items()]
        if isinstance(result, Mapping)
        else [("", result)]
    )
    return [(key, _number(value)) for key, value in pairs]


def _number(value: Any) -> float | str:
    """A float; NaN and infinity as the strings that JSON lines hold for them."""
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        value = value.item()  # a scalar of numpy or mlx
    if not isinstance(value, Real):
        raise TypeError(f"a score is a number or a mapping of numbers, not {type(value).__name__}")
    number = float(value)
    if math.isnan(number):
        return "NaN"
    return ("Infinity" if number > 0 else "-Infinity") if math.isinf(number) else number


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
