"""What was looked at and is clean; what was not evaluated, by what it needs, and how to capture that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from forensics.records import Cleared, NotEvaluated
from forensics.report.html.escape import text

WATCHED = "a watched run: forensics capture -- COMMAND"
_HOW = (
    ("crashed", "The check itself failed: please report it, with the bundle."),
    ("digests alone", "Capture again with --tensors all."),
    ("could not be", "The capture says why: forensics show RUN."),
    ("a score", "Capture with --scorer module:function, which scores the same answers before and after."),
    ("probes", "Capture with --prompts FILE: the tool asks them before and after training."),
    ("three questions", "Capture with --prompts FILE, of three questions or more."),
    ("tokenizer", "Give the directory of the model with its tokenizer."),
    ("reload", "Let the program save its adapter or model, and capture without --no-reload."),
    ("nothing was saved", "Nothing was saved. Where it should have been: let the program save before it ends."),
    ("generated nothing", "Let the program generate an answer, or ask with --prompts FILE."),
)


def clean(items: Sequence[Cleared]) -> str:
    if not items:
        return ""
    rows = "".join(f'<tr><th scope="row"><code>{text(c.id)}</code></th><td>{text(c.said)}</td></tr>' for c in items)
    return (
        f"<details><summary>{len(items)} checks were clean</summary>"
        f'<table class="wide"><thead><tr><th scope="col">check</th><th scope="col">what it saw</th></tr></thead><tbody>{rows}</tbody></table></details>'
    )


def not_evaluated(items: Sequence[NotEvaluated]) -> str:
    """Grouped by what is needed, the most frequent first; what a watched run would give is one thing to do."""
    if not items:
        return "<p>Everything that applies was evaluated.</p>"
    groups: dict[str, list[str]] = defaultdict(list)
    for each in items:
        groups[WATCHED if each.needs.endswith(WATCHED) else each.needs].append(each.id)
    ordered = sorted(groups.items(), key=lambda kv: (not kv[0].startswith("crashed"), kv[0] != WATCHED, -len(kv[1])))
    body = "".join(_group(needs, ids) for needs, ids in ordered)
    lead = "Nothing is claimed about these: what they look at is not there. Many need a thing that this program does not do, and are not missing."
    return (
        f'<p class="lead">{lead}</p><details{" open" if len(ordered) <= 3 else ""}><summary>{len(items)} '
        f"check{'s were' if len(items) != 1 else ' was'} not evaluated, and what each needs</summary><ul class=groups>{body}</ul></details>"
    )


def _group(needs: str, ids: Sequence[str]) -> str:
    names = " ".join(f"<code>{text(name)}</code>" for name in ids)
    if needs == WATCHED:
        said = "A watched run"
        how = 'Run the training again under the tool: <code class="copy">forensics capture --name night -- python train.py</code>'
    else:
        said = text(needs[:1].upper() + needs[1:])
        how = next((text(advice) for word, advice in _HOW if word in needs), "")
    return f'<li><strong>{said}</strong>{f" — {how}" if how else ""}<span class="ids">{names}</span></li>'
