"""The page: its head with the policy that forbids scripts and requests, and its body."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from forensics import __version__
from forensics.judge.material import Material
from forensics.records import TwoRuns
from forensics.report.html.render import environment
from forensics.report.html.sections import one
from forensics.report.html.several import several
from forensics.report.html.style import CSS
from forensics.report.html.two import two

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def page(*materials: Material) -> str:
    """One page on one pair of captures, on two runs side by side, or on several.

    Of two runs the first material is that of their ends; several have each their own alone.
    """
    first = materials[0]
    if len(materials) == 1:
        body = one(first)
    else:
        body = two(materials) if isinstance(first.diagnosis, TwoRuns) else several(materials)
    return (
        environment()
        .get_template("page.html")
        .render(
            policy=Markup(POLICY),
            verdict=verdicts(materials),
            title=first.title,
            css=Markup(CSS),
            body=body,
            version=__version__,
        )
    )


def verdicts(materials: Sequence[Material]) -> str:
    """The verdict of the page; of several runs those of all, in their order."""
    alone = len(materials) == 1 or isinstance(materials[0].diagnosis, TwoRuns)
    return ", ".join(m.diagnosis.verdict for m in (materials[:1] if alone else materials))
