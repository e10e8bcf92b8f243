"""The tool's own questions: fixed prompts, answered greedily in evaluation mode, so that captures can be compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..run import Model, watch
from ..trees import mx
from . import facts, tensors
from .forward import Reader
from .still import still

_QUESTIONS = ("What is the capital of France?", "What color is the sky?", "What is 2 + 2?")
_TOP = 5  # alternatives kept a position


@dataclass(frozen=True)
class Prompt:
    """One probe, as token ids; `text` is what a reader sees of it."""

    id: str
    text: str | None
    ids: tuple[int, ...]
    reference: str | None = None


def answer(model: Model, prefix: str) -> bool:
    """Have the model answer the probes, and write transcripts, tokens and next-token logits of capture `prefix`.

    Nothing is asked of a model without tokenizer, unless the prompts are token ids: False then. Raises what the model raised,
    after all prompts were tried.
    """
    words = Words(model)
    prompts = list(_prompts(model, words))
    if not prompts:
        return False
    kept: dict[str, Any] = {}
    failed: Exception | None = None
    with still(model.module, evaluation=True):
        for prompt in prompts:
            try:
                _answer(model, prompt, words, prefix, kept)
            except Exception as error:  # noqa: BLE001   the other prompts go on
                failed = failed or error
                text = f"{type(error).__name__}: {error}"[:300]
                _row(prefix, prompt, finish_reason="error", error=text)
    if kept:
        tensors.write(watch.directory / prefix / "logits.safetensors", kept)
    if failed is not None:
        raise failed
    return True


def _answer(model: Model, prompt: Prompt, words: Words, prefix: str, kept: dict[str, Any]) -> None:
    if words.rows is not None and max(prompt.ids) >= words.rows:
        raise ValueError(f"token {max(prompt.ids)} is beyond the {words.rows} rows of the embedding")
    reader = Reader(model.module)
    after = reader.read(prompt.ids)
    first = tensors.digest(after)
    kept[first] = after
    output: list[int] = []
    finish = "length"
    for position in range(limit()):
        token, logprob, top = choose(after)
        output.append(token)
        watch.row(
            f"{prefix}/tokens", prompt_id=prompt.id, position=position, token_id=token, token=words.text([token]),
            **{"class": words.kind(token)}, logprob=logprob, top=[[index, words.text([index]), value] for index, value in top],
        )  # fmt: skip
        if token in words.stop:
            finish = "stop"
            break
        if position + 1 < limit():
            after = reader.read([token])
    text = words.text(output[:-1] if finish == "stop" else output)
    _row(
        prefix,
        prompt,
        output=text,
        output_ids=output,
        finish_reason=finish,
        output_tokens=len(output),
        logits_digest=first,
    )


def _row(prefix: str, prompt: Prompt, **values: Any) -> None:
    watch.row(
        f"{prefix}/transcripts", prompt_id=prompt.id, source="probe", prompt=prompt.text, prompt_ids=prompt.ids,
        prompt_tokens=len(prompt.ids), reference=prompt.reference, settings={"sampler": "greedy", "max_tokens": limit()}, **values,
    )  # fmt: skip


def limit() -> int:
    """So many tokens a probe's answer may have."""
    return max(1, int(watch.options.get("max_tokens") or 48))


def choose(after: Any) -> tuple[int, float, list[tuple[int, float]]]:
    """(best token, its log-probability, [(token, log-probability)] of the best few) of logits (vocabulary,); one evaluation."""
    core = mx()
    scores = after - core.logsumexp(after)
    count = min(_TOP, scores.size)
    best = core.argmax(after)
    few = core.argpartition(-scores, count - 1)[:count]
    values = scores[few]
    core.eval(best, few, values, scores)
    token = int(best.item())
    pairs = sorted(
        zip(few.tolist(), values.tolist(), strict=True), key=lambda pair: (-_rank(pair[1]), pair[0])
    )
    return token, float(scores[token].item()), pairs


def _rank(value: float) -> float:
    return -math.inf if math.isnan(value) else value


# -- prompts ---------------------------------------------------------------------------------------------------------


def _prompts(model: Model, words: Words) -> Iterator[Prompt]:
    given = watch.options.get("prompts") or [
        {"id": f"p{index}", "prompt": text} for index, text in enumerate(_QUESTIONS)
    ]
    for index, each in enumerate(given):
        name, reference = str(each.get("id") or f"p{index}"), each.get("reference")
        if each.get("ids"):
            ids = tuple(map(int, each["ids"]))
            yield Prompt(name, words.text(ids), ids, reference)
        elif model.tokenizer is not None:
            text, messages = each.get("prompt"), each.get("messages")
            ids = tuple(prompt_ids(model.tokenizer, text, messages))
            if ids:
                yield Prompt(
                    name, text if text is not None else rendered(model.tokenizer, messages), ids, reference
                )


def prompt_ids(tokenizer: Any, text: str | None, messages: Any) -> list[int]:
    """Token ids of a user message or a chat, through the chat template where there is one."""
    hf = facts.inner(tokenizer)
    if facts.template(tokenizer) is not None:
        return facts.encode(hf, rendered(tokenizer, messages or [{"role": "user", "content": text}]))
    plain = text if text is not None else "\n".join(str(each.get("content")) for each in messages)
    return [*_head(hf), *facts.encode(hf, plain)]


def rendered(tokenizer: Any, messages: Any) -> str:
    """A chat as the template writes it, with the prompt for an answer; plain lines without a template."""
    if facts.template(tokenizer) is None:
        return "\n".join(str(each.get("content")) for each in messages)
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _head(hf: Any) -> list[int]:
    """The BOS id where the tokenizer puts one in front of a text by itself."""
    backend = getattr(hf, "backend_tokenizer", None)
    if backend is None:
        return []
    with_special, without = backend.encode("a").ids, backend.encode("a", add_special_tokens=False).ids
    count = len(with_special) - len(without)
    return list(with_special[:count]) if count > 0 and with_special[count:] == without else []


# -- words -----------------------------------------------------------------------------------------------------------


class Words:
    """What token ids mean to a model's tokenizer; without one, only that there is no stop set."""

    def __init__(self, model: Model) -> None:
        known = facts.tokenizer(model)
        self._hf = facts.inner(model.tokenizer) if model.tokenizer is not None else None
        self.rows = known.get("rows") or facts.embedding_rows(model.module)
        self.stop = set(known.get("eos_ids", ()))
        self._pad, self._bos = known.get("pad_id"), known.get("bos_id")
        self._special = {*known.get("special_ids", ()), *_special(self._hf, known.get("added_tokens", {}))}

    def kind(self, token: int) -> str:
        """end (in the stop set), pad, bos, special, or text."""
        if token in self.stop:
            return "end"
        if token == self._pad:
            return "pad"
        if token == self._bos:
            return "bos"
        return "special" if token in self._special else "text"

    def text(self, ids: Sequence[int]) -> str | None:
        if self._hf is None:
            return None
        return str(self._hf.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _special(hf: Any, added: dict[str, int]) -> list[int]:
    """Added tokens that are marked special; all of them where the tokenizer does not say."""
    marked = getattr(hf, "added_tokens_decoder", None)
    if isinstance(marked, dict) and marked:
        return [index for index, token in marked.items() if getattr(token, "special", True)]
    return list(added.values())
