"""What answers are like: shares, loops and equality of transcripts, classes of tokens, built-in scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from forensics.capture.frames import Facts, fold
from forensics.records import Row
from forensics.store.keyed import Keyed

_BLOCK = 16  # tokens of the longest block whose repetition counts as a loop


def ids(value: Any) -> list[int]:
    """Token ids of a list or its JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    return [int(i) for i in value] if isinstance(value, (list, tuple)) else []


def transcript(raw: Mapping[str, Any], capture: str, facts: Facts, keyed: Keyed) -> Row:
    """A row of `transcripts` from what the watcher wrote.

    It reads prompt, output, ids, finish_reason, settings, logits_digest.
    """
    prompt, output = ids(raw.get("prompt_ids")), ids(raw.get("output_ids"))
    spoken = without_stop(output, raw.get("finish_reason"), facts)
    common, count = Counter(output).most_common(1)[0] if output else (None, 0)
    settings = raw.get("settings")
    return {
        "capture": capture,
        "prompt_id": raw.get("prompt_id"),
        "source": raw.get("source"),
        "prompt": raw.get("prompt"),
        "output": raw.get("output"),
        "prompt_ids": json.dumps(prompt),
        "output_ids": json.dumps(output),
        "finish_reason": raw.get("finish_reason"),
        "settings": json.dumps(settings) if settings is not None else None,
        "prompt_tokens": len(prompt),
        "output_tokens": len(output),
        "special_tokens": sum(facts.kind(i) != "text" for i in spoken),
        "top_token_share": count / len(output) if output else None,
        "top_token_class": facts.kind(common) if common is not None else None,
        "loop_share": loop_share(spoken),
        "output_digest": keyed.digest(spoken) if raw.get("finish_reason") != "error" else None,
        "prompt_digest": keyed.digest(fold(prompt, facts)) if prompt else None,
        "logits_digest": raw.get("logits_digest"),
    }


def without_stop(output: Sequence[int], finish: Any, facts: Facts) -> Sequence[int]:
    """The output without the token that stopped it."""
    return output[:-1] if output and finish == "stop" and facts.kind(output[-1]) == "end" else output


def loop_share(output: Sequence[int]) -> float | None:
    """Share of the tokens that repeat, back to back, a block of up to 16 tokens.

    None where there is no token.

    A block counts where it stands at least three times in a row; its first time is no repetition.
    """
    n = len(output)
    if not n:
        return None
    repeated = [False] * n
    for block in range(1, min(_BLOCK, n // 3) + 1):
        run = 0
        for i in range(block, n + 1):
            if i < n and output[i] == output[i - block]:
                run += 1
                continue
            if run >= 2 * block:
                repeated[i - run : i] = [True] * run
            run = 0
    return sum(repeated) / n


def token(raw: Mapping[str, Any], capture: str, facts: Facts) -> Row:
    """A row of `tokens`.

    Its class is the watcher's, which knows the stop set in force, else the tokenizer's.
    """
    top = raw.get("top")
    return {
        "capture": capture,
        "prompt_id": raw.get("prompt_id"),
        "position": raw.get("position"),
        "token_id": raw.get("token_id"),
        "token": raw.get("token"),
        "class": (
            raw.get("class")
            or (facts.kind(int(raw["token_id"])) if isinstance(raw.get("token_id"), int) else None)
        ),
        "logprob": raw.get("logprob"),
        "top": json.dumps(top) if isinstance(top, list) else top,
    }


def observed_tokens(raw: Mapping[str, Any], capture: str, facts: Facts) -> Iterator[Row]:
    """Rows of `tokens` of a generation of the program's own: ids and classes, without probabilities.

    The stop set is its own.
    """
    stop = set(ids(raw.get("stop_set")))
    for position, token_id in enumerate(ids(raw.get("output_ids"))):
        yield {
            "capture": capture,
            "prompt_id": raw.get("prompt_id"),
            "position": position,
            "token_id": token_id,
            "token": (facts.names or {}).get(token_id),
            "class": "end" if token_id in stop else facts.kind(token_id),
            "logprob": None,
            "top": None,
        }


def scores(rows: Sequence[Row], references: Mapping[str, str]) -> Iterator[Row]:
    """Rows of `scores` of the built-in scorers, for answers that are no error.

    special-share: special tokens over tokens; repetition: `loop_share`; length: tokens; exact-match: 1 where
    the answer is the reference but for white space around it, only where there is a reference.
    """
    for row in rows:
        if row.get("finish_reason") == "error":
            continue
        length = int(row["output_tokens"] or 0)
        values: dict[str, float | None] = {
            "special-share": int(row["special_tokens"] or 0) / length if length else 0.0,
            "repetition": float(row["loop_share"] or 0.0),
            "length": float(length),
        }
        reference = references.get(str(row["prompt_id"])) if row.get("source") == "probe" else None
        if reference is not None and isinstance(row.get("output"), str):
            values["exact-match"] = float(str(row["output"]).strip() == reference.strip())
        for name, value in values.items():
            yield score(str(row["capture"]), row["prompt_id"], name, "", value)


def score(
    capture: str, prompt: Any, scorer: str, key: str, value: float | None, error: str | None = None
) -> Row:
    """One row of `scores`."""
    return {
        "capture": capture,
        "prompt_id": prompt,
        "scorer": scorer,
        "key": key,
        "value": value,
        "error": error,
    }
