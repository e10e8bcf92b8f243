"""A diagnosis on a terminal: the verdict, then a block for each cause.

A block says what follows from the cause and what was ruled out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from rich.text import Text

from forensics.judge.material import Heat, Step
from forensics.records import Diagnosis, Evidence, Example, Finding, NotEvaluated, TwoRuns, Verdict
from forensics.report.question import question
from forensics.report.terminal.difference import heat_map
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
    wrapped,
)
from forensics.store.manifest import run_of
from forensics.units import counted

COLOURS: dict[Verdict, str] = {
    "faulty": "bold red",
    "suspect": "bold yellow",
    "healthy": "bold green",
    "inconclusive": "bold yellow",
}
_CLASSES = {"pad": "padding", "end": "the end of an answer"}
_WATCHED = "a watched run: forensics capture -- COMMAND"
"""What every check asks for that files alone do not answer."""
SHOWN = 3
_NAMED = 9  # clean checks
"""Rows of evidence that are shown of a finding; --all shows every one."""


def diagnosis(
    d: Diagnosis | TwoRuns,
    width: int,
    *,
    everything: bool = False,
    steps: Sequence[Step] = (),
    heat: Heat | None = None,
) -> Text:
    """What `diagnose` prints. `everything`: all evidence, all that is clean, all that was not evaluated."""
    return (
        _two_runs(d, width, everything) if isinstance(d, TwoRuns) else _one(d, width, everything, steps, heat)
    )


def _one(d: Diagnosis, width: int, everything: bool, steps: Sequence[Step], heat: Heat | None) -> Text:
    pair = safe(d.a) if d.a == d.b else f"{safe(d.a)} -> {safe(d.b)}"
    blocks = [
        spread(
            wrapped(Text.assemble((d.verdict.upper(), COLOURS[d.verdict]), "  ", safe(d.headline)), width),
            pair,
            width,
        )
    ]
    blocks += _findings(d.findings, width, everything)
    infos = [f for f in _shown(d.findings) if f.severity == "info"]
    if infos:
        blocks.append(_lines(hanging("Also", f"{safe(f.claim)} ({f.id})", width) for f in infos))
    if d.allowed:
        blocks.append(
            _lines(
                hanging("Allowed", f"{safe(e.finding.claim)} ({e.finding.id}: {safe(e.reason)})", width)
                for e in d.allowed
            )
        )
    shown = d.example is not None and d.verdict in ("faulty", "suspect")
    seen = [
        *_trained(steps, width),
        *_computed(d, width, everything),
        *(_example(d.example, d.findings, width) if shown and d.example else ()),
    ]
    if seen:
        blocks.append(_lines(seen))
    if heat and any(cell.changed or cell.adapted for cell in heat.cells.values()):
        blocks.append(heat_map(heat, width))
    blocks.append(_lines(_closing(d, width, everything)))
    return Text("\n\n").join(block for block in blocks if block.plain)


# -- findings ------------------------------------------------------------------------------------------------


def _shown(findings: Sequence[Finding]) -> list[Finding]:
    """Findings with a block of their own: what another one explains stands under that one."""
    folded = {name for f in findings for name in f.explains}
    return [f for f in findings if f.id not in folded]


def _findings(findings: Sequence[Finding], width: int, everything: bool) -> Iterator[Text]:
    by_id = {f.id: f for f in findings}
    shown_above: set[str] = set()
    for place, finding in enumerate((f for f in _shown(findings) if f.severity != "info"), 1):
        yield _finding(
            place,
            finding,
            [by_id[name] for name in finding.explains if name in by_id],
            shown_above,
            width,
            everything,
        )
        shown_above |= set(finding.explains)


def one_finding(f: Finding, width: int) -> Text:
    """A finding by itself, as a diagnosis shows it."""
    return _finding(1, f, [], set(), width, everything=False)


def _finding(
    place: int, f: Finding, follows: Sequence[Finding], shown_above: set[str], width: int, everything: bool
) -> Text:
    style = "bold red" if f.severity == "error" else "bold yellow"
    head = Text.assemble(
        (f"{place:2d}  ", "bold"),
        (f.id, style),
        f"   {f.confidence}",
        "" if f.role == "cause" else f" {f.role}",
    )
    if f.only_in:
        head.append(f"   only in {f.only_in}", "dim")
    claim = Text(safe(f.claim), "bold")
    one_line = len(head.plain) + 3 + claim.cell_len <= width
    parts = [Text.assemble(head, "   ", claim)] if one_line else [head, hanging("", claim, width, label=0)]
    shown = f.evidence if everything else f.evidence[:SHOWN]
    more = len(f.evidence) - len(shown)
    for row, each in enumerate(shown):
        tail = f" (and {more} more)" if more and row + 1 == len(shown) else ""
        parts.append(hanging("Saw" if row == 0 else "", _saw(each) + tail, width))
    for row, other in enumerate(follows):
        sentence = f"{other.id}, as above" if other.id in shown_above else f"{safe(other.claim)} ({other.id})"
        parts.append(hanging("So" if row == 0 else "", sentence, width))
    if f.proof:
        parts.append(hanging("Proof", f"{safe(f.proof)}.", width))
    if f.ruled_out:
        parts.append(hanging("Not", safe(", ".join(f.ruled_out)) + ".", width))
    line = f"{safe(f.where)}: " if f.where and f.where not in f.fix else ""
    if f.source:
        parts.append(hanging("Line", f"{safe(f.where or '')}  {safe(f.source)}", width))
    fix = f"{line}{safe(f.fix)}".removesuffix(": ")
    if fix:
        parts.append(hanging("Fix", Text(fix, "bold"), width))
    if f.references:
        parts.append(
            hanging("Known", safe("; ".join(f.references if everything else f.references[:2])), width)
        )
    if f.check:
        parts.append(hanging("Check", safe(f.check), width))
    return _lines(parts)


def _saw(e: Evidence) -> str:
    expected = f"; expected {safe(e.expected)}" if e.expected and e.expected != "unknown" else ""
    return f"{safe(e.subject)}: {safe(e.observed)}{expected}"


def _trained(steps: Sequence[Step], width: int) -> Iterator[Text]:
    """The course of the loss and of the updates, each with its first and last number."""
    for head, values in (("Loss", [s.loss for s in steps]), ("Updates", [s.update_norm for s in steps])):
        known = [v for v in values if v is not None]
        if known:
            spark = sparkline(values, min(40, width - 40))
            yield hanging(
                head, f"{number(known[0])} {spark} {number(known[-1])}   {counted(len(steps), 'step')}", width
            )


def _computed(d: Diagnosis, width: int, everything: bool) -> Iterator[Text]:
    """What was not computed at which point. What no update led to (fresh adapters) is for `--all`."""
    if d.evaluation and (everything or "pending" in d.evaluation or "@end" in d.evaluation):
        yield hanging("Eval", safe(d.evaluation), width)


def _example(example: Example, findings: Sequence[Finding], width: int) -> Iterator[Text]:
    """What the model says now, and the text of the tokens that findings speak of."""
    if example.prompt is not None and example.after is not None:
        yield hanging("Asked", _quoted(question(example.prompt), width), width)
        yield hanging("before", _quoted(example.before or "", width), width)
        yield hanging(
            "after",
            _quoted(example.after, width)
            + ("" if example.finish == "stop" else f" ({safe(example.finish)})"),
            width,
        )
    spoken = " ".join(f"{f.id} {f.claim}" for f in findings)
    named = [
        f"{_CLASSES.get(name, name)} is {visible(token)}"
        for name, token in example.tokens.items()
        if name in spoken
    ]
    if named:
        yield hanging("Tokens", ", ".join(named), width)


def _quoted(text: str, width: int) -> str:
    return f"“{clip(folded(visible(text)).strip(), 2 * (width - 16))}”"


# -- what was looked at --------------------------------------------------------------------------------------


def _closing(d: Diagnosis, width: int, everything: bool) -> Iterator[Text]:
    if d.verdict == "inconclusive":
        for row, gap in enumerate(d.notes):
            yield hanging("Missing" if row == 0 else "", safe(gap), width)
        run = run_of(safe(d.b))
        recorded = f"forensics show {run} says what was recorded; " if d.watched else ""
        yield hanging("Next", f"{recorded}forensics capture -- COMMAND records a run.", width)
    if everything:
        for row, each in enumerate(d.clean):
            yield hanging("Clean" if row == 0 else "", f"{each.id}: {safe(each.summary)}", width)
    elif d.verdict in ("healthy", "inconclusive") and d.clean:
        yield hanging("Clean", _named([outcome.id for outcome in d.clean]), width)
    yield from _unseen(d.not_evaluated, width, everything)


def _named(ids: Sequence[str]) -> str:
    few = ", ".join(ids[:_NAMED])
    return few if len(ids) <= _NAMED else f"{few} and {len(ids) - _NAMED} more. --all lists what each saw."


def _unseen(not_evaluated: Sequence[NotEvaluated], width: int, everything: bool) -> Iterator[Text]:
    """What was not evaluated: folded to counts by what is needed, the most frequent first."""
    if everything:
        for row, each in enumerate(not_evaluated):
            yield hanging("Unseen" if row == 0 else "", f"{each.id}: {_why(each)}", width)
        return
    if not not_evaluated:
        return
    crashed = [outcome for outcome in not_evaluated if outcome.kind == "crashed"]
    # many facts come from a watched run: that is one thing to do
    needs = Counter(
        _WATCHED if outcome.kind == "unwatched" else outcome.needs
        for outcome in not_evaluated
        if outcome not in crashed
    ).most_common()
    listed = [f"{safe(text)} ({n})" for text, n in needs[:SHOWN]] + (
        [f"other reasons ({sum(n for _, n in needs[SHOWN:])})"] if needs[SHOWN:] else []
    )
    if listed:
        yield hanging(
            "Unseen",
            f"{counted(len(not_evaluated) - len(crashed), 'check')} not evaluated:"
            f" {'; '.join(listed)}. --all lists them.",
            width,
        )
    for each in crashed:
        yield hanging("Crashed", f"{each.id}: {safe(each.needs)}", width)


def _why(each: NotEvaluated) -> str:
    return f"{'crashed: ' if each.kind == 'crashed' else ''}{safe(each.needs)}"


def _two_runs(d: TwoRuns, width: int, everything: bool) -> Text:
    headline = Text.assemble((d.verdict.upper(), COLOURS[d.verdict]), safe(d.headline), "  ", safe(d.b))
    blocks = [spread(wrapped(headline, width), f"against {safe(d.a)}", width)]
    for name, each in zip((d.a, d.b), d.runs, strict=True):
        judged = Text.assemble(
            (f"{safe(name)}: ", "bold"),
            (each.verdict.upper(), COLOURS[each.verdict]),
            "  ",
            safe(each.headline),
        )
        blocks.append(wrapped(judged, width))
    names_of = {"a": d.a, "b": d.b}
    for side in ("a", "b"):
        only = [f for f in d.findings if f.only_in == side]
        if any(f.severity != "info" for f in only):
            blocks.append(Text(f"Only in {safe(names_of[side])}", "bold"))
            blocks += _findings([_without_side(f) for f in only], width, everything)
    settings = [e for e in d.differences if e.kind != "cause"]
    shown = settings if everything else settings[:20]
    if shown:
        rows = [[e.subject, e.expected, e.observed] for e in shown]
        more = len(settings) - len(shown)
        blocks.append(_lines([
            Text("Settings and facts that differ", "bold"),
            table(["", safe(d.a), safe(d.b)], rows, width, first=34),
            *([Text(f"  and {more} more: --all lists them", "dim")] if more else []),
        ]))  # fmt: skip
    return Text("\n\n").join(blocks)


def _without_side(f: Finding) -> Finding:
    return replace(f, only_in=None)


def _lines(parts: Iterable[Text]) -> Text:
    return Text("\n").join(parts)
