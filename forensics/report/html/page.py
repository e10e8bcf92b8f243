"""The page: its head with the policy that forbids scripts and requests, and its body."""

from __future__ import annotations

from markupsafe import Markup

from forensics import __version__
from forensics.judge.material import Material
from forensics.report.html.render import environment
from forensics.report.html.sections import one
from forensics.report.html.style import CSS
from forensics.report.html.two import two

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def page(*materials: Material) -> str:
    """One page on one pair of captures, or on two runs side by side.

    Of two runs the first material is that of their ends.
    """
    first = materials[0]
    return (
        environment()
        .get_template("page.html")
        .render(
            policy=Markup(POLICY),
            verdict=first.diagnosis.verdict,
            title=first.title,
            css=Markup(CSS),
            body=one(first) if len(materials) == 1 else two(materials),
            version=__version__,
        )
    )
