"""Texts of strangers made harmless: HTML escaped, control characters shown, direction overrides taken out."""

from __future__ import annotations

import html
import re
import unicodedata

_UNIT = re.compile(r"(\d) %")  # a number and its unit stay on one line
_NAMES = {"\n": "↵\n", "\t": "⇥"}


def text(value: object) -> str:
    """A text as HTML; what a terminal or a browser would act on is shown as a picture of itself."""
    return html.escape("".join(_shown(c) for c in _UNIT.sub("\\1\u00a0%", str(value))), quote=True)


def token(value: str | None) -> str:
    """A token as HTML, with line ends and tabs made visible; a redacted one is a dot."""
    if value is None:
        return "·"
    return html.escape("".join(_NAMES.get(c) or _shown(c) for c in value), quote=True) or "∅"


def _shown(character: str) -> str:
    if character in "\n\t":
        return character
    if character < " " or character == "\x7f":
        return chr(0x2400 + ord(character)) if character < " " else "␡"
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co"):  # direction overrides, zero widths, lone surrogates
        return "" if character in "\u200c\u200d" else "�"
    return character
