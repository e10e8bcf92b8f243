"""The page: its head with the policy that forbids scripts and requests, and the body for one diagnosis or two runs."""

from __future__ import annotations

from forensics import __version__
from forensics.judge.material import Material
from forensics.report.html.escape import text
from forensics.report.html.sections import one
from forensics.report.html.style import CSS
from forensics.report.html.two import two

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def page(*materials: Material) -> str:
    """One page on one pair of captures, or on two runs side by side (then the first material is that of their ends)."""
    first = materials[0]
    body = one(first) if len(materials) == 1 else two(materials)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>{text(first.diagnosis.verdict)}: {text(first.title)}</title><style>{CSS}</style></head>"
        f"<body><main>{body}<footer>Made by forensics {__version__} from captured evidence alone. This page runs no script and asks for nothing."
        "</footer></main></body></html>\n"
    )
