"""What the user has accepted, with a reason: findings that are shown and never count.

They stand under `allow` in [tool.forensics] of pyproject.toml, in forensics.toml, or in --allow ID.

    [[tool.forensics.allow]]
    id = "prompt-in-loss"
    reason = "we teach the prompts too"
    file = "pretrain.py"     # only where the finding points there
    model = "m1"             # only where that model is judged
    until = 2027-01-31       # up to that day; then it counts again

What is allowed is shown and never counts. What follows from nothing else is allowed with it; what was
measured in answers stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from forensics import settings
from forensics.errors import UsageError, near
from forensics.records import Allowed, Finding

_KEYS = {"id", "reason", "file", "model", "until"}
_FORM = 'Write [[tool.forensics.allow]] with id = "..." and reason = "..." (and file, model or until).'


@dataclass(frozen=True)
class Allowance:
    """One finding that is accepted: everywhere, or where it points into `file`, or where `model` is judged.

    `until` a day, here.
    """

    id: str
    reason: str
    file: str | None = None
    model: str | None = None
    until: date | None = None

    def covers(self, finding: Finding, model: str | None) -> bool:
        place = (finding.where or "").rpartition(":")[0]
        here = self.file is None or place == self.file or place.endswith(f"/{self.file}")
        stands = self.until is None or date.today() <= self.until
        return finding.id == self.id and here and stands and self.model in (None, model)


def configured(start: Path, known: Sequence[str]) -> tuple[Allowance, ...]:
    """What the nearest configuration file allows, of `start` and the directories above it.

    That is forensics.toml, or pyproject.toml with [tool.forensics].

    Raises:
        UsageError: an entry without an id or a reason, an id that no detector gives, a file that is no TOML.
    """
    nearest = settings.nearest(start, _FORM)
    if nearest is None:
        return ()
    path, table = nearest
    return tuple(_entry(entry, str(path), known) for entry in _entries(table, path))


def given(ids: Iterable[str], known: Sequence[str]) -> tuple[Allowance, ...]:
    """--allow ID, or ID=REASON. Raises as `configured`."""
    pairs = (text.partition("=") for text in ids)
    return tuple(
        _entry({"id": name, "reason": why or "allowed on the command line"}, "--allow", known)
        for name, _, why in pairs
    )


def split(
    findings: Sequence[Finding], allowances: Sequence[Allowance], model: str | None
) -> tuple[tuple[Finding, ...], tuple[Allowed, ...]]:
    """Findings that count, and those that are allowed, each in order."""
    reasons = {
        f.id: allowance.reason for f in findings for allowance in allowances if allowance.covers(f, model)
    }
    explained: dict[str, set[str]] = {}
    for finding in findings:
        for other in finding.explains:
            explained.setdefault(other, set()).add(finding.id)
    for finding in findings:
        above = explained.get(finding.id, set())
        if finding.role == "consequence" and finding.id not in reasons and above and above <= reasons.keys():
            reasons[finding.id] = f"follows from {', '.join(sorted(above))}"
    counted = tuple(f for f in findings if f.id not in reasons)
    return counted, tuple(Allowed(f, reasons[f.id]) for f in findings if f.id in reasons)


def _entries(table: Mapping[str, Any], path: Path) -> Sequence[Any]:
    entries = table.get("allow", [])
    if not isinstance(entries, list):
        raise UsageError("allow is no list.", where=str(path), hint=_FORM)
    return entries


def _entry(entry: Any, where: str, known: Sequence[str]) -> Allowance:
    if not isinstance(entry, dict) or not all(
        isinstance(value, str) and value for key, value in entry.items() if key != "until"
    ):
        raise UsageError(f"{entry!r} is no entry of allow.", where=where, hint=_FORM)
    entry = {**entry, **({"until": _day(entry["until"], where)} if "until" in entry else {})}
    if not {"id", "reason"} <= entry.keys() <= _KEYS:
        raise UsageError(f"An entry of allow has {', '.join(sorted(entry))}.", where=where, hint=_FORM)
    if entry["id"] not in known:
        close = near(entry["id"], known, 1)
        hint = f"Did you mean {close[0]}?" if close else "forensics query lists them."
        raise UsageError(f"There is no finding {entry['id']!r}.", where=where, hint=hint)
    return Allowance(**entry)


def _day(value: Any, where: str) -> date:
    """A date of TOML, or its text."""
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise UsageError(f"{value!r} is no day.", where=where, hint="Write until = 2027-01-31.") from None
