"""The question in a prompt: what the user asked last, without the marks of a chat template around it."""

from __future__ import annotations

import re

MARKER = re.compile(
    r"(<[|｜][^<>\n]{1,40}[|｜]>|</?s>|<(?:bos|eos|pad|start_of_turn|end_of_turn)>|\[/?INST\])"
)
"""What the templates of common models put around turns. Only for showing: no finding rests on it."""
_ROLE = re.compile(r"^\s*(user|human|assistant|model|system|tool)\s*(\n|$)", re.IGNORECASE)


def question(prompt: str) -> str:
    """The last turn that is not the beginning of an answer.

    The prompt itself where no template is recognized.
    """
    if MARKER.search(prompt) is None:
        return prompt.strip()
    turns = [piece for piece in MARKER.split(prompt)[::2] if piece.strip()]
    messages = [
        (match[1].lower() if (match := _ROLE.match(turn)) else "", _ROLE.sub("", turn, count=1).strip())
        for turn in turns
    ]
    questions = [text for role, text in messages if text and role in ("user", "human", "")]
    return questions[-1] if questions else prompt.strip()
