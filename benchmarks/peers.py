"""What else compares two models.

Each is installed from the package index into an environment of its own, where that works.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_TRACKED = """
import pathlib, sys, tensortracker
a, b = map(pathlib.Path, sys.argv[1:])
for file in sorted(a.glob("*.safetensors")):
    tensortracker.resolve_diff(str(file), str(b / file.name))
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """One package. Each of `steps` is a line of the table.

    `slow`: it takes minutes for what others do in seconds, so only small pairs.
    """

    package: str
    steps: tuple[tuple[str, ...], ...]
    environment: str
    slow: bool = False


PEERS = (
    Peer(
        "reminis",
        (
            ("reminis", "convert", "-q", "{a}", "-o", "{at}/a.db"),
            ("reminis", "convert", "-q", "{b}", "-o", "{at}/b.db"),
            ("reminis", "diff", "-q", "{at}/a.db", "{at}/b.db"),
        ),
        "reminis",
    ),
    Peer("weightscope", (("weightscope", "diff", "{a}", "{b}"),), "weightscope"),
    Peer("tensortracker", (("python", "-c", _TRACKED, "{a}", "{b}"),), "torch"),
    Peer(
        "mergelens",
        (("mergelens", "compare", "{a}", "{b}", "--metric", "cosine_similarity", "--metric", "l2_distance"),),
        "torch",
    ),
    Peer("modeldelta", (("modeldelta", "{a}", "{b}"),), "torch", slow=True),
)
"""Three bring PyTorch, gigabytes of it, and share one environment."""


def commands(root: Path, a: Path, b: Path, *, slow: bool) -> dict[str, list[str]]:
    """Name to command of each peer that could be installed below `root`.

    What prepares the comparison is a line of its own.
    """
    found: dict[str, list[str]] = {}
    for peer in PEERS:
        place = root / "peers" / peer.environment
        if (peer.slow and not slow) or not _installed(place, peer.package):
            continue
        for words in peer.steps:
            last = words is peer.steps[-1]
            name = (
                peer.package
                if last
                else f"{peer.package}, {words[1]} {'first' if words is peer.steps[0] else 'second'}"
            )
            found[name] = [
                str(place / "bin" / words[0]),
                *(
                    w.replace("{a}", str(a)).replace("{b}", str(b)).replace("{at}", str(place))
                    for w in words[1:]
                ),
            ]
    return found


def _installed(place: Path, package: str) -> bool:
    python = place / "bin" / "python"
    if (
        not python.exists()
        and subprocess.run([sys.executable, "-m", "venv", str(place)], check=False).returncode
    ):
        return False
    there = f"import importlib.metadata as m; m.version({package!r})"
    if subprocess.run([str(python), "-c", there], check=False, capture_output=True).returncode == 0:
        return True
    return (
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=False).returncode == 0
    )
