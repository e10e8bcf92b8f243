"""What was looked at and is clean; what was not evaluated, by what it needs, and how to capture that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from markupsafe import Markup

from forensics.records import Cleared, NotEvaluated
from forensics.report.html.render import macros

WATCHED = "a watched run"
_CRASHED = "The check itself failed: please report it, with the bundle."


def absent(names: Sequence[str]) -> Markup:
    """The parts of a page that this evidence does not hold."""
    return Markup(macros("coverage").absent(names))


def clean(items: Sequence[Cleared]) -> Markup:
    return Markup(macros("coverage").clean(items))


def not_evaluated(items: Sequence[NotEvaluated]) -> Markup:
    """Grouped by what is needed, the most frequent first.

    What a watched run would give is one thing to do.
    """
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for item in items:
        unwatched = item.kind == "unwatched"
        groups[item.kind, WATCHED if unwatched else item.needs, "" if unwatched else item.how].append(item.id)
    order = {"crashed": 0, "unwatched": 1, "unseen": 2}
    ordered = sorted(groups.items(), key=lambda kv: (order.get(kv[0][0], 3), -len(kv[1])))
    lead = (
        "Nothing is claimed about these: what they look at is not there. Many need a thing that this program"
        " does not do, and are not missing."
    )
    return Markup(
        macros("coverage").not_evaluated(len(items), [_group(*key, ids) for key, ids in ordered], lead)
    )


def _group(kind: str, needs: str, how: str, ids: Sequence[str]) -> dict[str, object]:
    if kind == "unwatched":
        again = "forensics capture --name night -- python train.py"
        return {
            "said": "A watched run",
            "how": "Run the training again under the tool: ",
            "command": again,
            "ids": ids,
        }
    heading = needs[:1].upper() + needs[1:]
    return {"said": heading, "how": _CRASHED if kind == "crashed" else how, "command": "", "ids": ids}
