"""Reference on a terminal: tables of the schema with their columns, and what a finding means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from forensics.report.terminal.diagnosis import one_finding
from forensics.report.terminal.lines import hanging, safe, wrapped

if TYPE_CHECKING:
    from forensics.judge.specimen import Specimen
    from forensics.schema import Table


def tables(chosen: Sequence[Table], macros: Sequence[tuple[str, str]], width: int) -> Text:
    """Each table in a line, then each macro that SQL may use."""
    parts = [
        Text("Tables", "bold"),
        *_pairs([(choice.name, choice.meaning) for choice in chosen], width),
        Text(),
    ]
    parts += [Text("Macros: FROM name('RUN@POINT', ...)", "bold"), *_pairs(macros, width), Text()]
    return Text("\n").join([*parts, Text("forensics schema TABLE   its columns", "dim")])


def table(chosen: Table, width: int) -> Text:
    """The columns of one table with type and meaning."""
    parts = [Text(chosen.name, "bold"), wrapped(Text(chosen.meaning), width), Text()]
    return Text("\n").join(
        [*parts, *_pairs([(f"{c.name}  {c.type.lower()}", c.meaning) for c in chosen.columns], width)]
    )


def finding(name: str, facts: Mapping[str, Any], example: Specimen | None, width: int) -> Text:
    """What a finding means, an example, how to mend it, and what looks like it."""
    head = Text.assemble((name, "bold"), f"   {facts['severity']}, {facts['role']}, {facts['confidence']}")
    parts: list[Text] = [head, wrapped(Text(safe(facts["title"])), width), Text()]
    labels = {"fix": "Fix", "harmless": "In order"}
    parts += [
        hanging(label, safe(facts[key]), width, label=12)
        for key, label in labels.items()
        if facts[key] and not (key == "fix" and example and example.finding.fix == facts[key])
    ]
    lists = {"explains": "Explains", "rules_out": "Rules out", "references": "Known"}
    parts += [
        hanging(label, ", ".join(facts[key]), width, label=12) for key, label in lists.items() if facts[key]
    ]
    parts.append(hanging("Check", facts["check"], width, label=12))
    if example is not None:
        kind = "run" if example.source.startswith("snapshots/") else "program of our tests"
        head = Text(f"In a {kind} that has it ({example.source}):", "bold")
        parts += [Text(), head, one_finding(example.finding, width)]
    return Text("\n").join(parts)


def _pairs(pairs: Sequence[tuple[str, str]], width: int) -> Iterator[Text]:
    label = min(max((len(name) for name, _ in pairs), default=0) + 2, width // 2)
    return (hanging(name, safe(meaning) or " ", width, label=label) for name, meaning in pairs)
