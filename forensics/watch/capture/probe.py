"""The probe: fixed prompts of the tool, answered greedily in evaluation mode.

They make captures comparable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .. import protocol
from ..models import Model
from ..originals import time
from ..run import watch
from ..trees import mx
from . import answercache, decoder, facts, tensors
from .decoder import Line
from .forwardpass import logits
from .isolation import still

_QUESTIONS = ("What is the capital of France?", "What color is the sky?", "What is 2 + 2?")
_SECONDS = 60.0  # that the answers of one point may take; then they end where they are

_drafts: dict[tuple[int, ...], list[int]] = {}  # prompt -> the newest answer to it of any model
_said: dict[str, answercache.Said] = {}  # number of a model -> what it said when it was asked last
_limits: dict[
    tuple[int, ...], int
] = {}  # prompt -> tokens of an answer that was shortened: later ones are as short


@dataclass(frozen=True)
class Prompt:
    """One probe, as token ids; `text` is what a reader sees of it."""

    id: str
    text: str | None
    ids: tuple[int, ...]
    reference: str | None = None


def answer(
    model: Model, prefix: str, state: tuple[str, str] | None = None, as_before: bool = False
) -> dict[str, Any] | None:
    """Have the model answer the probes, and write what it said as rows of capture `prefix`.

    Transcripts, tokens and next-token logits are written.

    Nothing is asked of a model without tokenizer, unless the prompts are token ids: None then, else how it
    was asked. Raises what the model raised, after all prompts were tried.

    Args:
        state: the digests of parameters and settings, by which an earlier run's answers are found; None: they
        are not looked for.
        as_before: nothing was added to the model since it was asked last that can change an answer: where the
        logits after a prompt are those of then to the bit, the answer of then stands.
    """
    words = Words(model)
    prompts = list(_prompts(model, words))
    if not prompts:
        return None
    began = time.perf_counter()
    lines = [Line(each.ids, _limits.get(each.ids, limit()), _drafts.get(each.ids, ())) for each in prompts]
    for line in lines:
        if words.rows is not None and max(line.ids) >= words.rows:
            line.error = ValueError(f"token {max(line.ids)} is beyond the {words.rows} rows of the embedding")
    seconds = float(watch.options.get("probe_seconds") or _SECONDS)
    key = (
        answercache.key(model.module, state, [line.ids for line in lines], limit(), words.stop)
        if state
        else None
    )
    earlier = answercache.Answers(key, _said.get(model.number) if as_before else None, words.stop)
    with still(model.module, evaluation=True):
        asked = decoder.answer(model.module, lines, words.stop, seconds, earlier.fill)
    digests: dict[str, Any] = {}
    whole = [line for line in lines if line.first is not None and not line.error and not asked.shortened]
    _said[model.number] = answercache.said(whole, words.stop)
    for prompt, line in zip(prompts, lines, strict=True):
        if asked.shortened and line.finish == "length":
            line.limit = _limits[line.ids] = len(line.tokens)
        _write(prefix, prompt, line, words, digests)
    if digests:
        tensors.write(watch.directory / prefix / protocol.LOGITS, digests)
    failed = next((line.error for line in lines if line.error is not None), None)
    if failed is not None:
        raise failed
    return {
        "seconds": round(time.perf_counter() - began, 3), "together": asked.together, "apart": asked.apart,
        "read": asked.read, "shortened": asked.shortened,
        "skipped": sum(line.first is None for line in lines), "remembered": earlier.filled,
        "key": None if asked.shortened else key,
    }  # fmt: skip


def next_logits(model: Model) -> Any:
    """(vocabulary,) float32: what the model says after the first probe; None where there is none to ask."""
    core, words = mx(), Words(model)
    first = next(_prompts(model, words), None)
    if first is None or (words.rows is not None and max(first.ids) >= words.rows):
        return None
    with still(model.module, evaluation=True):
        last = logits(model.module, first.ids)[-1].astype(core.float32)
        core.eval(last)
    return last


def _write(prefix: str, prompt: Prompt, line: Line, words: Words, digests: dict[str, Any]) -> None:
    """The rows of one answer; a prompt that there was no time for leaves none."""
    if line.error is not None:
        error = f"{type(line.error).__name__}: {line.error}"[:300]
        _row(prefix, prompt, line, finish_reason="error", error=error)
        return
    if line.first is None:
        return
    first = tensors.digest(line.first)
    digests[first] = line.first
    output = [token.id for token in line.tokens]
    _drafts[line.ids] = output
    for position, token in enumerate(line.tokens):
        watch.part(
            prefix, "tokens", prompt_id=prompt.id, position=position, token_id=token.id,
            token=words.one(token.id), **{"class": words.kind(token.id)}, logprob=token.logprob,
            top=[[index, words.one(index), value] for index, value in token.top],
        )  # fmt: skip
    text = words.text(output[:-1] if line.finish == "stop" else output)
    _row(
        prefix, prompt, line, output=text, output_ids=output, finish_reason=line.finish,
        output_tokens=len(output), logits_digest=first,
    )  # fmt: skip


def _row(prefix: str, prompt: Prompt, line: Line, **values: Any) -> None:
    watch.part(
        prefix, "transcripts", prompt_id=prompt.id, source="probe", prompt=prompt.text, prompt_ids=prompt.ids,
        prompt_tokens=len(prompt.ids), reference=prompt.reference,
        settings={"sampler": "greedy", "max_tokens": line.limit}, **values,
    )  # fmt: skip


def expect(ids: Sequence[int], output: Sequence[int], most: int | None) -> None:
    """Note an earlier answer to this prompt, and how many tokens there was time for (`most`)."""
    _drafts[tuple(ids)] = list(output)
    if most is not None and most < limit():
        _limits[tuple(ids)] = most


def limit() -> int:
    """The most tokens that a probe's answer may have."""
    return max(1, int(watch.options.get("max_tokens") or 48))


# -- prompts -------------------------------------------------------------------------------------------------


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
    plain = text if text is not None else "\n".join(str(message.get("content")) for message in messages)
    return [*_head(hf), *facts.encode(hf, plain)]


def rendered(tokenizer: Any, messages: Any) -> str:
    """A chat as the template writes it, with the prompt for an answer; plain lines without a template."""
    if facts.template(tokenizer) is None:
        return "\n".join(str(message.get("content")) for message in messages)
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _head(hf: Any) -> list[int]:
    """The BOS id where the tokenizer puts one in front of a text by itself."""
    backend = getattr(hf, "backend_tokenizer", None)
    if backend is None:
        return []
    with_special, without = backend.encode("a").ids, backend.encode("a", add_special_tokens=False).ids
    count = len(with_special) - len(without)
    return list(with_special[:count]) if count > 0 and with_special[count:] == without else []


# -- words ---------------------------------------------------------------------------------------------------


class Words:
    """What token ids mean to a model's tokenizer; without one, only that there is no stop set."""

    def __init__(self, model: Model) -> None:
        known = facts.tokenizer(model)
        self._hf = facts.inner(model.tokenizer) if model.tokenizer is not None else None
        self.rows = known.get("rows") or facts.embedding_rows(model.module)
        self.stop = set(known.get("eos_ids", ()))
        self._pad, self._bos = known.get("pad_id"), known.get("bos_id")
        self._special = {*known.get("special_ids", ()), *_special(self._hf, known.get("added_tokens", {}))}
        self._texts: dict[int, str | None] = {}

    def kind(self, token: int) -> str:
        """end (in the stop set), pad, bos, special, or text."""
        if token in self.stop:
            return "end"
        if token == self._pad:
            return "pad"
        if token == self._bos:
            return "bos"
        return "special" if token in self._special else "text"

    def one(self, token: int) -> str | None:
        """The text of one token by itself."""
        if token not in self._texts:
            self._texts[token] = self.text([token])
        return self._texts[token]

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
