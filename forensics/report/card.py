"""A picture of a verdict to paste into an issue or a chat: SVG, light or dark as its reader's page is."""

from __future__ import annotations

import textwrap

from forensics import __version__
from forensics.records import Diagnosis, TwoRuns
from forensics.report.html.cards import summary
from forensics.report.html.render import environment

WIDTH = 720  # pixels, of which a line of text takes at most some _LETTERS letters
_LETTERS, _MAX_LINES = 72, 3


def card(diagnosis: Diagnosis | TwoRuns, title: str) -> str:
    """The verdict, its first cause or headline, and the counts; of two runs those of the second."""
    word, sentence, counts = summary(diagnosis)
    lines = textwrap.wrap(sentence, _LETTERS, max_lines=_MAX_LINES, placeholder=" …")
    shown = environment().get_template("card.svg")
    return shown.render(word=word, title=title, lines=lines, counts=counts, width=WIDTH, version=__version__)
