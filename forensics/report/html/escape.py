"""Texts of strangers made harmless: HTML escaped, control characters shown, direction overrides taken out."""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup, escape

_UNIT = re.compile(r"(\d) %")  # a number and its unit stay on one line
_NAMES = {"\n": "↵\n", "\t": "⇥"}


def harmless(value: object) -> str:
    """A text, in which what a terminal or a browser would act on is a picture of itself.

    It is not escaped yet.
    """
    return "".join(_shown(c) for c in _UNIT.sub("\\1\u00a0%", str(value)))


def text(value: object) -> Markup:
    """A text of a stranger as HTML."""
    return escape(harmless(value))


def token(value: str | None) -> Markup:
    """A token as HTML, with line ends and tabs made visible; a redacted one is a dot."""
    if value is None:
        return Markup("·")
    return escape("".join(_NAMES.get(c) or _shown(c) for c in value)) or Markup("∅")


def _shown(character: str) -> str:
    if character in "\n\t":
        return character
    if character < " " or character == "\x7f":
        return chr(0x2400 + ord(character)) if character < " " else "␡"
    if unicodedata.category(character) in (
        "Cc",
        "Cf",
        "Cs",
        "Co",
    ):  # direction overrides, zero widths, lone surrogates
        return "" if character in "\u200c\u200d" else "�"
    return character
