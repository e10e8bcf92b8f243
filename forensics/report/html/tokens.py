"""Which tokens the loss trains on: shares by role as a bar, and the first rows with each token shaded by its weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from forensics.judge.material import Token, TrainingRow
from forensics.report.html.escape import text, token

_ROLES = {"prompt": "prompt", "answer": "answer", "end": "end", "pad": "padding"}


def lessons(shares: Mapping[str, float], rows: Sequence[TrainingRow]) -> str:
    if not shares and not rows:
        return "<p>What the loss trains on was not seen.</p>"
    if not rows:
        return bar(shares)
    first, *rest = _told(rows)
    more = f"<details><summary>{len(rest)} more row{'s' * (len(rest) != 1)}</summary>{''.join(rest)}</details>" if rest else ""
    return bar(shares) + legend() + first + more


def bar(shares: Mapping[str, float], head: str = "The loss's weight over all steps") -> str:
    """Where the weight goes, in the order of a row."""
    parts = {role: share for role, share in shares.items() if share > 0.0005}
    if not parts:
        return ""
    said = ", ".join(f"{_ROLES[role]} {_percent(share)}" for role, share in parts.items())
    spans = "".join(f'<span class="r-{role}" style="flex:{share:.4f} 0 0">{_label(role, share)}</span>' for role, share in parts.items())
    return f'<p class="small"><strong>{text(head)}</strong>: {said}</p><div class="bar" aria-hidden="true">{spans}</div>'


def _label(role: str, share: float) -> str:
    return f"{_ROLES[role]} {_percent(share)}" if share > 0.11 else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"


def legend() -> str:
    roles = "".join(f'<span><span class="tok r-{role}">{words}</span></span>' for role, words in _ROLES.items())
    steps = "".join(
        f'<span class="tok r-answer w{n}" style="border:0">{words}</span>' for n, words in enumerate(("none", "some", "more", "most"))
    )
    return f'<p class="legend"><span>Underlined by role:</span>{roles}<span>shaded by weight: {steps}</span></p>'


def _told(rows: Sequence[TrainingRow]) -> list[str]:
    """Rows that are the same in text and weight are shown once, with the steps that they come back at."""
    seen: dict[str, list[TrainingRow]] = {}
    for row in rows:
        seen.setdefault(_row(row), []).append(row)
    heads = (f'{_named(found)} <span class="tag">{_shares(found[0].tokens)}</span>' for found in seen.values())
    return [f"<h3 class=step>{head}</h3>{body}" for head, body in zip(heads, seen, strict=True)]


def _named(rows: Sequence[TrainingRow]) -> str:
    first, *again = rows
    places = [f"step {r.step:,}" if r.row == first.row else f"step {r.step:,}, row {r.row + 1}" for r in again]
    return f"Step {first.step:,}, row {first.row + 1}" + (f"; the same at {', '.join(places)}" if again else "")


def first_row(rows: Sequence[TrainingRow]) -> str:
    return _told(rows)[0] if rows else "<p>No row was kept.</p>"


def _row(row: TrainingRow) -> str:
    largest = max((abs(t.number or 0.0) for t in row.tokens), default=0.0)
    body = "".join(_runs(row.tokens, largest))
    more = f' <span class="soft">… and {row.left_out:,} more</span>' if row.left_out else ""
    hidden = all(t.text is None for t in row.tokens)
    note = '<p class="soft small">The text was taken out; roles and weights were kept.</p>' if hidden else ""
    return f'{note}<div class="tokens">{body}{more}</div>'


def _shares(tokens: Sequence[Token]) -> str:
    total = sum(abs(t.number or 0.0) for t in tokens)
    parts = {role: sum(abs(t.number or 0.0) for t in tokens if t.kind == role) / (total or 1.0) for role in _ROLES}
    return ", ".join(f"{_ROLES[role]} {_percent(share)}" for role, share in parts.items() if share > 0.0005) or "no weight at all"


def _runs(tokens: Sequence[Token], largest: float) -> Iterator[str]:
    """Neighbours of one role and one shade in one span; a role is named where it begins."""
    named = ""
    for (role, level), found in groupby(tokens, lambda t: (t.kind, _level(t, largest))):
        group = list(found)
        if role not in ("end", named):
            named = role
            yield f'<span class="role">{_ROLES.get(role, text(role))}</span>'
        mean = sum(t.number or 0.0 for t in group) / len(group)
        weight = "no weight" if level == 0 else f"weight {mean:.3g} each"
        yield f'<span class="tok r-{text(role)} w{level}" title="{_ROLES.get(role, text(role))}: {len(group)} tokens, {weight}">{_texts(group)}</span>'


def _level(t: Token, largest: float) -> int:
    share = abs(t.number or 0.0) / largest if largest else 0.0
    return 0 if share < 1e-6 else 1 if share < 0.34 else 2 if share < 0.67 else 3


def _texts(group: Sequence[Token]) -> str:
    """A token said over and over is shown once, with its count."""
    parts = []
    for said, found in groupby(group, lambda t: t.text):
        n = len(list(found))
        parts.append(token(said) * n if n <= 3 and said is not None else f"{token(said)} ×{n} " if n > 1 else token(said))
    return "".join(parts)
