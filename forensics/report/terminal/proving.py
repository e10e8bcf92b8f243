"""A proof on a terminal: one line for each cure.

What was harmed before and after, and how far the repeat agrees with the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from forensics.judge.proofs import effect
from forensics.report.terminal.lines import LABEL, hanging, safe

WORDS = {"proved": "PROVED", "partly": "PARTLY", "no-effect": "NOT IT", "impossible": "UNPROVED"}
_STYLES = {"proved": "bold green", "partly": "bold yellow", "no-effect": "bold", "impossible": "dim"}
_HEAD = 10
_SHOWN = 3  # changes beside a cure


def proof(document: Mapping[str, Any], width: int) -> Text:
    """What `prove` prints, from the document of `prove --json`."""
    lines = [_cure(cure, width) for cure in document["cures"]]
    lines.append(_repeated(document, width))
    if document.get("patch"):
        lines.append(Text(f"\nTo read and to apply yourself:\n\n{document['patch']}".rstrip()))
    return Text("\n").join(lines)


def _cure(cure: Mapping[str, Any], width: int) -> Text:
    outcome = str(cure["outcome"])
    ids = " + ".join(map(safe, cure["ids"]))
    out = Text.assemble((f"{WORDS[outcome]:{_HEAD}}", _STYLES[outcome]), (ids, "bold"))
    out.append("\n").append_text(hanging("", safe(effect(cure)), width))
    if did := "; ".join(dict.fromkeys(map(safe, cure.get("did", {}).values()))):
        out.append("\n").append_text(hanging("Did", did, width))
    if cure["also_changed"]:
        changes = [safe(change) for change in cure["also_changed"]]
        more = f"; {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        out.append("\n").append_text(hanging("Changed", "; ".join(changes[:_SHOWN]) + more, width))
    return out


def _repeated(document: Mapping[str, Any], width: int) -> Text:
    if not document["repeats"]:
        return hanging("Repeat", safe(document["agreement"]), width, label=LABEL)
    agrees = "repeats as recorded" if document["repeatable"] else "does not repeat as recorded"
    text = f"{safe(document['run'])} {agrees}: {safe(document.get('agreement') or '')}."
    return hanging("Repeat", text, width, label=LABEL)
