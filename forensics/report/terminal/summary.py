"""One run or capture in short, on a terminal: what `show` says."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from forensics.judge.proofs import claim, effect
from forensics.report.question import question
from forensics.report.terminal.lines import (
    clip,
    folded,
    hanging,
    number,
    safe,
    sparkline,
    spread,
    table,
    visible,
)
from forensics.report.terminal.listing import age
from forensics.report.terminal.proving import WORDS
from forensics.units import counted, ended, size

Facts = Mapping[str, Any]
LABEL = 11
ANSWERS = 8


def run(facts: Facts, width: int) -> Text:
    """What `show RUN` prints."""
    end = "" if facts["exit_status"] is None else ended(facts["exit_status"])
    took = "" if facts["seconds"] is None else f"{facts['seconds']:.1f} s"
    head = Text.assemble(
        (safe(facts["ref"]), "bold"), "  ", "  ".join(filter(None, [_when(facts), took, end]))
    )
    state = "" if facts["complete"] else "incomplete"
    blocks: list[Text] = [spread(head, state, width) if state else head]
    if facts["command"]:
        blocks.append(_row("command", shlex.join(map(str, facts["command"])), width))
    blocks += [
        _row("model" if n == 0 else "", text, width) for n, text in enumerate(map(_model, facts["models"]))
    ]
    blocks.append(_captures(facts["captures"], width))
    blocks += [
        _row("training" if n == 0 else "", text, width)
        for n, text in enumerate(_training(facts["training"], width))
    ]
    blocks += [*_adapters(facts["adapters"], width), *_optimizers(facts["optimizers"][-1:], width)]
    blocks += [
        _row("saved" if n == 0 else "", text, width) for n, text in enumerate(map(_save, facts["saves"]))
    ]
    blocks += [*_answers(facts["answers"], width), *_scores(facts["scores"], width)]
    blocks += [*_proofs(facts["proof"] or {}, width), *_environment(facts, width), *_missing(facts, width)]
    return Text("\n").join(blocks)


def capture(facts: Facts, width: int) -> Text:
    """What `show CAPTURE` prints."""
    where = " ".join(filter(None, [facts["source"], facts["format"]]))
    head = Text.assemble(
        (safe(facts["ref"]), "bold"), "  ", "  ".join(filter(None, [_when(facts), where, facts["model"]]))
    )
    blocks = [head if facts["complete"] else spread(head, "incomplete", width)]
    if facts["place"] or facts["path"]:
        blocks.append(_row("at", facts["place"] or facts["path"], width))
    if facts["updates"] is not None:
        blocks.append(_row("updates", f"{facts['updates']:,}", width))
    if facts["tensors"]:
        parts = (
            f"{_count(facts['parameters'])} in {counted(facts['tensors'], 'tensor')},"
            f" {size(_n(facts['nbytes']))}"
        )
        if facts["source"] == "live":
            parts += f"; {_count(facts['trainable'])} trainable"
        blocks.append(_row("parameters", parts, width))
        columns = ["role", "tensors", "parameters", "dtypes"] + [
            k for k in ("nans", "infs", "unreadable") if any(r[k] for r in facts["roles"])
        ]
        blocks.append(
            table(columns, [[r[c] for c in columns] for r in facts["roles"]], width, indent=4 + LABEL)
        )
    elif facts["whole"] is False:
        blocks.append(_row("parameters", "digests alone were kept at this point", width))
    if facts["modules"]:
        blocks.append(
            _row("modules", ", ".join(f"{m['n']} {safe(m['class'])}" for m in facts["modules"]), width)
        )
    blocks += [
        *_adapters(facts["adapters"], width),
        *_optimizers(facts["optimizers"], width),
        *_configs(facts["configs"], width),
    ]
    blocks += [*_answers(facts["answers"], width), *_scores(facts["scores"], width)]
    blocks += [*_environment(facts, width), *_missing(facts, width)]
    return Text("\n").join(blocks)


def _proofs(document: Facts, width: int) -> Iterator[Text]:
    """What came of each cure, here or where the bundle came from."""
    for n, cure in enumerate(document.get("cures", ())):
        told = claim(cure) if document.get("claimed") else f"{WORDS[cure['outcome']].lower()}: {effect(cure)}"
        yield _row("proof" if n == 0 else "", f"{' + '.join(cure['ids'])} {told}", width)


def _row(label: str, text: str | Text, width: int) -> Text:
    return hanging(label, text if isinstance(text, Text) else safe(text), width, label=LABEL)


def _when(facts: Facts) -> str:
    created = facts.get("created_at")
    return f"{safe(created)[:16].replace('T', ' ')} ({age(created, datetime.now(UTC))})" if created else ""


def _model(m: Mapping[str, Any]) -> str:
    parts = [f"{m['n' if 'n' in m else 'model']} {m['class'] or 'tree of arrays'}"]
    known = {"parameters": "tensor", "updates": "update", "generations": "generation", "saves": "save"}
    parts += [counted(m[k], word) for k, word in known.items() if m[k]]
    parts += [f"copy of {m['copied_from']}"] if m["copied_from"] else []
    parts += [f"rank {m['rank']} of {m['ranks']}"] if m["ranks"] else []
    return ", ".join(parts) + (" (main)" if m["main"] else "")


def _captures(captures: Sequence[Mapping[str, Any]], width: int) -> Text:
    if not captures:
        return _row("captures", "none", width)
    rows = [
        [
            str(c["capture"]).rpartition("@")[2],
            c["updates"],
            _count(c["parameters"]) if c["tensors"] else "digests alone",
            f"{_count(c['trainable'])} trainable" if c["tensors"] and c["source"] == "live" else "",
            _short(c["place"]),
        ]
        for c in captures
    ]
    return table(["captures", "updates", "parameters", "", "at"], rows, width, right=(1, 2), indent=4)


def _training(training: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    for t in training:
        model = f"{t['model']}: " if len(training) > 1 else ""
        spark = sparkline(t["loss"] or [], min(24, width - 50))
        yield (
            f"{model}{counted(t['steps'], 'step')}, loss {number(t['loss_first'])} ->"
            f" {number(t['loss_last'])}  {spark}"
        )
        if t["trains_on"]:
            yield f"{model}the loss trains on " + ", ".join(
                f"{role} {share:.0%}" for role, share in t["trains_on"].items()
            )


def _adapters(adapters: Sequence[Mapping[str, Any]], width: int) -> Iterator[Text]:
    last: dict[str, Mapping[str, Any]] = {
        str(a["origin"]) + str(a["via"]) * (a["origin"] == "declared"): a for a in adapters
    }
    for n, a in enumerate(last.values()):
        parts = [f"{a['kind'] or 'adapter'}"]
        parts += [
            f"{k.replace('num_', '')} {number(a[k])}"
            for k in ("rank", "scale", "alpha", "dropout", "num_layers")
            if a[k] is not None
        ]
        parts += [counted(a["modules"], "module")] if a["modules"] is not None else []
        keys = a["keys"] if isinstance(a["keys"], list) else []
        parts += (
            [f"on {', '.join(map(str, keys[:8]))}" + (f" and {len(keys) - 8} more" if len(keys) > 8 else "")]
            if keys
            else []
        )
        place = f" at {_short(a['place'])}" if a["place"] else ""
        yield _row(
            "adapter" if n == 0 else "", f"{a['origin']} ({a['via']}{place}): {', '.join(parts)}", width
        )
    if adapters and all(a["origin"] == "declared" for a in adapters):
        yield _row("", "observed: none", width)


def _optimizers(optimizers: Sequence[Mapping[str, Any]], width: int) -> Iterator[Text]:
    for o in optimizers:
        parts = [str(o["class"])]
        parts += [f"step {o['step']:,}"] if o["step"] is not None else []
        parts += (
            [f"rate {number(o['learning_rate'])}{' (scheduled)' if o['scheduled'] else ''}"]
            if o["learning_rate"] is not None
            else []
        )
        settings = o["settings"] if isinstance(o["settings"], dict) else {}
        parts += [f"{k} {v}" for k, v in settings.items()]
        parts += [counted(o["state_tensors"], "state tensor")] if o["state_tensors"] else []
        yield _row("optimizer", ", ".join(parts), width)


def _save(s: Mapping[str, Any]) -> str:
    of = (
        f", {s['model']} after {counted(s['updates'], 'update')}"
        if s["model"] and s["updates"] is not None
        else ""
    )
    return (
        f"{s['file']}: {counted(s['tensors'], 'tensor')}{of}"
        + (" (gone since)" if s["gone"] and s["tensors"] else "")
        + (f" at {_short(s['place'])}" if s["place"] else "")
    )


def _answers(answers: Sequence[Mapping[str, Any]], width: int) -> Iterator[Text]:
    if not answers:
        return
    yield Text("    answers", "dim")
    previous = None
    for a in answers[:ANSWERS]:
        if a["capture"] != previous:
            previous = a["capture"]
            yield Text("      " + safe(previous), "dim")
        prompt = clip(visible(question(str(a["prompt"]))), 40) if a["prompt"] is not None else "(redacted)"
        output = (
            folded(visible(str(a["output"])))
            if a["output"] is not None
            else f"({a['output_tokens']} tokens, redacted)"
        )
        finish = "" if a["finish_reason"] == "stop" else f" ({a['finish_reason']})"
        line = f"{a['prompt_id']}  {prompt} -> “{output.strip()}”{finish}"
        yield hanging("", clip(line, 3 * (width - 10)), width, label=4)
    if len(answers) > ANSWERS:
        yield Text(f"        and {len(answers) - ANSWERS} more: --json gives all", "dim")


def _scores(scores: Sequence[Mapping[str, Any]], width: int) -> Iterator[Text]:
    """Means over the probes of the first capture and the last, or over the program's own answers.

    Then whose scores failed, and why.
    """
    by_scorer: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for s in scores:
        by_scorer.setdefault((s["scorer"], s["key"]), []).append(s)
    parts = []
    for (scorer, key), rows in by_scorer.items():
        name = f"{scorer} {key}".strip()
        means = [s["mean"] for s in rows if s["source"] == "probe" and s["scored"]] or [
            s["mean"] for s in rows if s["scored"]
        ]
        if means:
            parts.append(f"{name} " + " -> ".join(number(mean) for mean in means[:1] + means[1:][-1:]))
        if failed := sum(s["failed"] for s in rows):
            why = next(s["error"] for s in rows if s["error"])
            parts.append(
                f"{name} failed on {failed} of {failed + sum(s['scored'] for s in rows)} answers: {why}"
            )
    yield from (_row("scores" if n == 0 else "", text, width) for n, text in enumerate(parts))


_TOLD = (
    (
        "model",
        (
            "model_type",
            "hidden_size",
            "num_hidden_layers",
            "vocab_size",
            "tie_word_embeddings",
            "quantization.bits",
            "quantization.group_size",
        ),
    ),
    ("tokenizer", ("class", "eos_ids", "pad_id", "bos_id", "end_ids")),
    ("generation", ("eos_token_id", "temperature", "top_p")),
)


def _configs(configs: Sequence[Mapping[str, Any]], width: int) -> Iterator[Text]:
    values = {(c["kind"], c["key"]): c["value"] for c in configs}
    for kind, keys in _TOLD:
        parts = [f"{k} {_brief(values[kind, k])}" for k in keys if (kind, k) in values]
        if parts:
            yield _row(kind, ", ".join(parts), width)


def _brief(value: object) -> str:
    try:
        return clip(str(json.loads(str(value))), 40)
    except ValueError:
        return clip(str(value), 40)


def _environment(facts: Facts, width: int) -> Iterator[Text]:
    known = facts["environment"]
    parts = [f"{k} {known[k]}" for k in ("python", "mlx", "mlx-lm", "platform", "device") if known.get(k)]
    if parts:
        yield _row("with", ", ".join(parts), width)


def _missing(facts: Facts, width: int) -> Iterator[Text]:
    for n, m in enumerate(facts["missing"]):
        yield _row(
            "missing" if n == 0 else "", Text(f"{safe(m.get('what'))}: {safe(m.get('why'))}", "yellow"), width
        )


def _short(place: object) -> str:
    """The last part of a file:line."""
    return safe(place or "").rpartition("/")[2]


def _count(value: Any) -> str:
    """134.5 M"""
    n = float(value or 0)
    for unit, scale in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if n >= scale:
            return f"{n / scale:.1f} {unit}"
    return f"{n:.0f}"


def _n(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
