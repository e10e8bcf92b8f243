"""A diagnosis as Markdown, to paste into an issue: what was found, why, where, and what was not seen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from forensics import __version__
from forensics.records import Diagnosis, Evidence, Finding, NotEvaluated, TwoRuns
from forensics.report.terminal.lines import safe
from forensics.units import counted

_ACTIVE = re.compile(r"([\\`*\[\]|<>~&]|(?<!\w)_|_(?!\w)|^[-+#])")
_LINKED = re.compile(
    r"(@|#)(?=\w)|(?<=:)(?=//)|(?<=www)(?=\.)"
)  # mentions, issues, addresses: made links whatever is escaped
_EVIDENCE = 8  # rows shown of one finding
_ENVIRONMENT = ("mlx", "mlx-lm", "python", "platform", "device", "transformers")


def diagnosis(d: Diagnosis | TwoRuns, environment: Mapping[str, str] | None = None) -> str:
    """The whole document; `environment` are versions by name, as the run recorded them."""
    if isinstance(d, TwoRuns):
        head = [
            f"## {d.verdict.upper()}: {escaped(d.headline)}",
            f"{code(d.a)} against {code(d.b)}",
        ]
        blocks = [*head, *_differences(d.differences)]
        for run in d.runs:
            blocks += [f"### {code(run.b.partition('@')[0])}", *_one(run, "####")]
    else:
        blocks = [f"## {d.verdict.upper()}: {escaped(d.headline)}", *_one(d, "###")]
    blocks += _versions(environment or {})
    return "\n\n".join(blocks) + "\n"


def escaped(text: object) -> str:
    """A text in which nothing is markup, a mention or a link: a character of no width stands in those."""
    return _LINKED.sub(lambda m: f"{m[0]}\u200b", _ACTIVE.sub(r"\\\1", safe(text)))


def code(text: object) -> str:
    """A text as code, whatever backticks it holds."""
    printable = safe(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", printable)), default=0) + 1)
    padding = " " if printable.startswith("`") or printable.endswith("`") or not printable else ""
    return f"{fence}{padding}{printable}{padding}{fence}"


def _one(d: Diagnosis, level: str) -> list[str]:
    pair = code(d.a) if d.a == d.b else f"{code(d.a)} → {code(d.b)}"
    blocks = [f"Judged: {pair}"]
    for number, finding in enumerate((f for f in d.findings if f.severity != "info"), 1):
        blocks += _finding(number, finding, level)
    infos = [f"- {escaped(f.claim)} ({code(f.id)})" for f in d.findings if f.severity == "info"]
    blocks += _listed("Also", infos)
    allowed = [f"- {code(a.finding.id)}: {escaped(a.finding.claim)} {escaped(a.reason)}" for a in d.allowed]
    blocks += _listed("Allowed", allowed)
    blocks += _listed("Not recorded, and it decides", [f"- {escaped(note)}" for note in d.notes])
    blocks += _folded(
        f"{counted(len(d.clean), 'check')} clean",
        [f"- {code(c.id)}: {escaped(c.summary)}" for c in d.clean],
    )
    blocks += _folded(f"{counted(len(d.not_evaluated), 'check')} not evaluated", _unseen(d.not_evaluated))
    return blocks


def _finding(number: int, finding: Finding, level: str) -> list[str]:
    head = f"{level} {number}. {finding.id}: {finding.severity}, {finding.role}, {finding.confidence}"
    lines = (
        [f"**Where:** {code(finding.where)} {code(finding.source) if finding.source else ''}".rstrip()]
        if finding.where
        else []
    )
    lines += [f"**Mend it:** {escaped(finding.fix)}"] if finding.fix else []
    lines += [f"**Explains:** {', '.join(map(code, finding.explains))}"] if finding.explains else []
    lines += [f"**Ruled out:** {escaped(line)}" for line in finding.ruled_out]
    lines += [f"**Check:** {code(finding.check)}"] if finding.check else []
    return [
        head,
        escaped(finding.claim),
        *_differences(finding.evidence, ("observed", "expected")),
        "  \n".join(lines),
    ]


def _differences(rows: tuple[Evidence, ...], names: tuple[str, str] = ("b", "a")) -> list[str]:
    if not rows:
        return []
    table = [f"| | {names[0]} | {names[1]} |", "| --- | --- | --- |"]
    table += [
        f"| {escaped(e.subject)} | {escaped(e.observed)} | {escaped(e.expected)} |" for e in rows[:_EVIDENCE]
    ]
    more = len(rows) - _EVIDENCE
    return ["\n".join(table), *([f"and {more} more"] if more > 0 else [])]


def _unseen(missing: Iterable[NotEvaluated]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for gap in missing:
        by_reason.setdefault(gap.needs, []).append(gap.id)
    return [f"- {escaped(needs)}: {', '.join(map(code, ids))}" for needs, ids in by_reason.items()]


def _versions(environment: Mapping[str, str]) -> list[str]:
    known = [f"{name} {environment[name]}" for name in _ENVIRONMENT if environment.get(name)]
    return [f"<sub>{escaped(', '.join([f'mlx-forensics {__version__}', *known]))}</sub>"]


def _listed(title: str, items: list[str]) -> list[str]:
    return [f"**{title}**\n\n" + "\n".join(items)] if items else []


def _folded(title: str, items: list[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>\n\n" + "\n".join(items) + "\n\n</details>"] if items else []
