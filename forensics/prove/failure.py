"""Why a repeat did not come to its end, and what its owner can do about it."""

from __future__ import annotations

from forensics.prove.process import PATIENCE_OVER
from forensics.prove.repeat import Repeat

_WHY = {
    "input": "it asks for input",
    "network": "it needs the network ({what})",
    "write": "it writes to {what}, outside of the folder that it is given",
    "program": "it starts another program ({what})",
}
_HINTS = {
    "input": "Give what it asks for by an option or a file, capture it so, and prove that run.",
    "network": "Fetch what it needs once, capture it offline (HF_HUB_OFFLINE=1), and prove that run.",
    "write": "Let it write below the folder that it is started in, or give the place by an option;"
    " then capture it again.",
    "program": "Capture the Python that trains by itself, without what starts other programs.",
}
_LAST = 200  # characters of what the program said last


def why(done: Repeat) -> str:
    """In a few words; what was refused to it comes before what it said itself."""
    if not done.status:
        return "nothing was captured of it"
    refused = {str(error.get("kind")): str(error.get("what")) for error in reversed(done.refused)}
    for kind, words in _WHY.items():
        if kind in refused:
            return words.format(what=refused[kind])
    if done.status == PATIENCE_OVER:
        return "it took more than five times as long as recorded"
    last = next((line.strip() for line in reversed(done.output) if line.strip()), "no output")
    return f"it ended with status {done.status}: {last[:_LAST]}"


def hint(done: Repeat) -> str:
    """What to do."""
    refused = {str(error.get("kind")) for error in done.refused}
    found = next((words for kind, words in _HINTS.items() if kind in refused), None)
    return found or "Run the command by hand in a copy of its folder, and see what it lacks."
