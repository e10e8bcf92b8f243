"""Reads a file of probe prompts: one user message a line, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from forensics.errors import UsageError
from forensics.watch import protocol


@dataclass(frozen=True, slots=True)
class Prompt:
    """One probe: exactly one of `prompt` (a user message), `messages` (a chat), `ids` (token ids) is set."""

    id: str
    prompt: str | None = None
    messages: Sequence[Mapping[str, str]] | None = None
    ids: Sequence[int] | None = None
    reference: str | None = None

    def as_json(self) -> protocol.Prompt:
        given = {key: value for key, value in asdict(self).items() if value is not None}
        return cast(protocol.Prompt, given)


def read_prompts(path: Path) -> list[Prompt]:
    """Prompts of a text file or of a file of JSON lines.

    A text file has one user message a line. A line of JSON is
    {"prompt" | "messages" | "ids", "id", "reference"}.

    Raises:
        UsageError: the file cannot be read, a line is no prompt, an id is used twice, or there is no prompt
        at all.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The prompts cannot be read: {getattr(error, 'strerror', None) or error}.",
            where=str(path),
            hint="Give a UTF-8 text or .jsonl file.",
        ) from error
    given = [(n, line.strip()) for n, line in enumerate(lines, 1) if line.strip()]
    as_json = bool(given) and all(line.startswith("{") for _, line in given)
    prompts = [
        _parse(path, n, line, i) if as_json else Prompt(f"p{i}", prompt=line)
        for i, (n, line) in enumerate(given)
    ]
    if not prompts:
        raise UsageError("The file holds no prompt.", where=str(path), hint="Write one user message a line.")
    if len({p.id for p in prompts}) < len(prompts):
        raise UsageError("Two prompts have the same id.", where=str(path), hint="Give each its own id.")
    return prompts


def _parse(path: Path, number: int, line: str, index: int) -> Prompt:
    def refuse(why: str) -> UsageError:
        return UsageError(
            f"Line {number} is no prompt: {why}.",
            where=f"{path}:{number}",
            hint='Write {"prompt": "..."} or {"messages": [...]} or {"ids": [...]}.',
        )

    try:
        value = json.loads(line)
    except ValueError as error:
        raise refuse(str(error)) from error
    kinds = [k for k in ("prompt", "messages", "ids") if value.get(k) is not None]
    if len(kinds) != 1:
        raise refuse("it needs exactly one of prompt, messages, ids")
    content = value[kinds[0]]
    fits = {
        "prompt": isinstance(content, str),
        "messages": isinstance(content, list)
        and all(isinstance(m, dict) and isinstance(m.get("content"), str) for m in content),
        "ids": isinstance(content, list)
        and bool(content)
        and all(type(i) is int and i >= 0 for i in content),
    }
    if not fits[kinds[0]]:
        raise refuse(f"{kinds[0]} has another form")
    reference = value.get("reference")
    if reference is not None and not isinstance(reference, str):
        raise refuse("reference is no text")
    return Prompt(str(value.get("id", f"p{index}")), reference=reference, **{kinds[0]: content})
