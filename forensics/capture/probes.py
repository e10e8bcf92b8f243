"""What a model at rest says: loaded in a fresh process with mlx, where there is mlx, and asked the probes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from forensics.capture import rows, scores
from forensics.capture.frames import Facts
from forensics.capture.pointnames import Named
from forensics.capture.questions import Answers, Questions
from forensics.capture.reload import ask
from forensics.capture.rows import Record
from forensics.capture.sources import raw_tensors, tensor_row
from forensics.capture.spool import Captured, Spool
from forensics.model.composite import Composed
from forensics.model.headers import read_header
from forensics.model.regular import look_through
from forensics.model.trust import refused, trusted
from forensics.store.keyed import Keyed
from forensics.store.packs import Packs
from forensics.tensors.measure import measure
from forensics.watch import protocol


def answers(
    composed: Composed, named: Named, questions: Questions, keyed: Keyed, packs: Packs | None
) -> Answers:
    """Ask the model; `packs` keep the logits, None keeps their statistics alone."""
    given = [p.as_json() for p in questions.prompts] if questions.prompts else None
    with tempfile.TemporaryDirectory(prefix="forensics-ask-") as name:
        place = Path(name) / "spool"
        options = protocol.Options(prompts=given, max_tokens=questions.max_tokens)
        result = Answers()
        beside = composed.adapter.path if composed.adapter else None
        captured, result.refused = None, refused(_looked_at(composed))
        why = result.refused
        if why is None:
            nbytes = sum(p.stored.raw.nbytes for p in composed.pieces) + look_through(composed.model.path)
            captured, why = ask(place, composed.model.path, beside, options, trust=trusted(), nbytes=nbytes)
        if why:
            result.missing.append({"what": "the answers to probes", "why": why, "kind": "answers"})
        if captured is not None:
            _read(result, captured, named, questions, keyed, packs, Spool(place))
        else:
            result.missing += scores.missing(questions.scorers, "there was no answer to score")
        return result


def _looked_at(composed: Composed) -> list[Path]:
    """The directories that are loaded, every file of theirs that a loader takes looked at first.

    Raises:
        UnreadableModel: one is no regular file, or a file of weights beside the model's own is damaged:
        mlx-lm loads all of them.
    """
    directories = [
        c.path if c.path.is_dir() else c.path.parent
        for c in (composed.model, composed.adapter)
        if c is not None
    ]
    for directory in directories:
        look_through(directory)
    for file in sorted(composed.model.path.glob("model*.safetensors")):
        if file not in composed.model.files:
            read_header(file)
    return directories


def _read(
    answers: Answers,
    captured: Captured,
    named: Named,
    questions: Questions,
    keyed: Keyed,
    packs: Packs | None,
    spool: Spool,
) -> None:
    tokenizer = captured.head.get("tokenizer")
    answers.tokenizer = tokenizer if isinstance(tokenizer, Mapping) else {}
    facts = Facts.read(answers.tokenizer)
    record = Record(named, {}, facts=facts)
    rows.answers(record, captured.rows("transcripts"), captured.rows("tokens"), keyed)
    references = {p.id: p.reference for p in questions.prompts or () if p.reference is not None}
    answers.missing += scores.fill(spool, [record], questions.scorers, references)
    logits = list(raw_tensors(captured.logits_file))
    if packs is not None and logits:
        packs.put([(raw.name, raw) for raw in logits])
    record.rows("tensors").extend(
        tensor_row(measure(raw), "none" if packs is None else "pack") for raw in logits
    )
    answers.tables = record.tables
