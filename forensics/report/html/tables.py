"""Tables of a page: rows that become blocks on a phone, each cell with its heading for a screen reader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from forensics.judge.material import Declared
from forensics.records import ChangedParameter, Comparison, Row
from forensics.report.html.escape import text

_MAX_CHANGED = 200


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, label: str = "", kind: str = "wide stack") -> str:
    """Cells are HTML; the first of a row is its heading. `kind`: how it stands in the page."""
    head = "".join(f'<th scope="col">{_shown(h)}</th>' for h in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(f'<td data-head="{h.strip()}">{cell}</td>' for h, cell in zip(heads[1:], rest, strict=True))
        + "</tr>"
        for first, *rest in rows
    )
    caption = f'<caption class="vh">{text(label)}</caption>' if label else ""
    return f'<table class="{kind}">{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _shown(head: str) -> str:
    """A heading that begins with a space is for a screen reader alone."""
    return f'<span class="vh">{head.strip()}</span>' if head.startswith(" ") else head


def declared(lines: Sequence[Declared]) -> str:
    if not lines:
        return "<p>The program declared nothing that could be compared.</p>"
    rows = (
        (text(d.what), text(d.declared), text(d.observed), f'<span class="{"agrees" if d.agrees else "differs"}">{_word(d)}</span>')
        for d in sorted(lines, key=lambda d: d.agrees)
    )
    return table((" setting", "declared", "observed", " verdict"), rows, label="declared against observed")


def _word(d: Declared) -> str:
    return "✓ agrees" if d.agrees and d.observed != "not seen" else "not seen" if d.agrees else "✕ differs"


def differences(rows: Sequence[Row], a: str, b: str, *, keys: Sequence[str] = ("key",)) -> str:
    cells = ((text(" ".join(str(r[k]) for k in keys)), _value(r["a"]), _value(r["b"])) for r in rows)
    return table((" what", text(a), text(b)), cells, label=f"differences of {a} and {b}")


def _value(value: object) -> str:
    return '<span class="soft">none</span>' if value is None else text(value)


def counted(c: Comparison) -> str:
    """How many parameters stand where, and which changed most."""
    n = c.parameters
    kinds = [f"<strong>{n[k]:,}</strong> {k}" for k in ("changed", "identical", "added", "removed") if n.get(k)]
    if not kinds:
        return ""
    most = max(c.changed, key=_size, default=None)
    largest = ""
    if most is not None and most.relative is not None:
        largest = f" The largest change: <code>{text(most.name_b)}</code>, {100 * most.relative:.3g} % of its norm."
    return f"<p>Of {n.get('a', 0):,} parameters before and {n.get('b', 0):,} after: {', '.join(kinds)}.{largest}</p>"


def _size(p: ChangedParameter) -> float:
    """What is no number is larger than any, what was not measured less than all."""
    return -1.0 if p.relative is None else float("inf") if p.relative != p.relative else p.relative


def changed(c: Comparison) -> str:
    if not c.changed:
        return ""
    rows = "".join(
        f'<tr><th scope="row"><code>{text(p.name_b)}</code></th><td>{text(p.dtype)}</td><td>{text("×".join(map(str, p.shape)))}</td>'
        + "".join(f'<td class="num">{"" if v is None else f"{v:.3g}"}</td>' for v in (p.relative, p.max_abs, p.cosine, p.changed_fraction))
        + "</tr>"
        for p in sorted(c.changed, key=_size, reverse=True)[:_MAX_CHANGED]
    )
    names = "".join(f'<th scope="col">{n}</th>' for n in ("parameter", "type", "shape")) + "".join(
        f'<th scope="col" class="num">{n}</th>' for n in ("relative", "largest", "cosine", "share of elements")
    )
    some = f", the {_MAX_CHANGED} that changed most of {len(c.changed):,}" if len(c.changed) > _MAX_CHANGED else ", largest first"
    return (
        f'<details><summary>Changed parameters{some}</summary><div class="scroll" tabindex="0" role="group" aria-label="changed parameters">'
        f"<table><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )
