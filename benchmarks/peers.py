"""What else compares two models: each installed from the package index into an environment of its own, where that works."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PEERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "reminis": (
        ("reminis", "convert", "-q", "{a}", "-o", "{at}/a.db"),
        ("reminis", "convert", "-q", "{b}", "-o", "{at}/b.db"),
        ("reminis", "diff", "-q", "{at}/a.db", "{at}/b.db"),
    ),
    "weightscope": (("weightscope", "diff", "{a}", "{b}"),),
}
"""Package to its commands. tensortracker has no command; modeldelta and mergelens bring PyTorch, and take minutes by themselves."""


def commands(root: Path, a: Path, b: Path) -> dict[str, list[str]]:
    """Name to command of each peer that could be installed below `root`; what prepares the comparison is a line of its own."""
    found: dict[str, list[str]] = {}
    for package, steps in PEERS.items():
        place = root / "peers" / package
        if not _installed(place, package):
            continue
        for words in steps:
            name = package if words is steps[-1] else f"{package}, {words[1]} {'first' if words is steps[0] else 'second'}"
            found[name] = [str(place / "bin" / words[0]), *(w.format(a=a, b=b, at=place) for w in words[1:])]
    return found


def _installed(place: Path, package: str) -> bool:
    if (place / "bin" / package).exists():
        return True
    made = subprocess.run([sys.executable, "-m", "venv", str(place)], check=False)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", package]
    return made.returncode == 0 and subprocess.run(pip, check=False).returncode == 0
