"""How a recorded run was started, and why it may not be started again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.environment import versions
from forensics.errors import ForensicsError, UsageError
from forensics.store.store import Run

_DECIDING = ("mlx", "mlx-lm", "python")
_LONE = "-IES"
"""Options of Python that keep our hooks, and with them the guard, out."""


class NotRepeatable(ForensicsError):
    """A run that cannot be run again as it was recorded."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Launch:
    """The recorded command.

    `argv` of the Python that trained, its interpreter, and the directory in which it ran.
    """

    argv: tuple[str, ...]
    executable: str
    cwd: Path
    began: float  # seconds since the epoch


def recorded(run: Run) -> Launch:
    """How a run of the user's own was started.

    Raises:
        UsageError: a run that was brought in, shipped, or is no watched command: nothing that came from
        elsewhere is run.
        NotRepeatable: its command is not in the record, or what it needs is gone.
    """
    if run.prefix or run.store is None or run.store.owner_of(run.name):
        raise UsageError(
            f"Run {run.name} came from elsewhere, and nothing that did is run here.",
            where=run.name,
            hint="Capture the program yourself: forensics capture -- python train.py, then forensics prove.",
        )
    if run.head.get("kind") != "watched":
        raise UsageError(
            f"{run.name} is no watched command, so there is nothing to run again.",
            where=run.name,
            hint="forensics capture --name night -- python train.py, then forensics prove night.",
        )
    try:
        told = json.loads(str(run.head.get("launch") or "null"))
    except ValueError:
        told = None
    if not isinstance(told, Mapping):
        raise NotRepeatable(
            f"How run {run.name} was started is not in its record.",
            where=run.name,
            hint="Capture it again with this version; then it can be proved.",
        )
    found = Launch(
        tuple(map(str, told["argv"])), str(told["executable"]), Path(str(told["cwd"])), _began(run)
    )
    _startable(run, found)
    return found


def _began(run: Run) -> float:
    from datetime import datetime  # import time

    try:
        return datetime.fromisoformat(str(run.head.get("created_at"))).timestamp()
    except ValueError:
        return 0.0


def _startable(run: Run, launch: Launch) -> None:
    if not os.access(launch.executable, os.X_OK):
        raise NotRepeatable(
            "The Python that ran it is gone.",
            where=launch.executable,
            hint="Make that environment again, or capture the run with the one that is there.",
        )
    if not launch.cwd.is_dir():
        raise NotRepeatable(
            "The directory in which it ran is gone.",
            where=str(launch.cwd),
            hint="Put it back, or capture the run again where the program is now.",
        )
    script = launch.argv[1] if len(launch.argv) > 1 else "-"
    if not script.startswith("-") and not (launch.cwd / script).exists():
        raise NotRepeatable(
            f"The program {script} is gone.",
            where=str(launch.cwd / script),
            hint="Put it back, or capture the run again where the program is now.",
        )
    alone = next(
        (word for word in launch.argv[1:2] if word.startswith("-") and set(word[1:]) & set(_LONE)), None
    )
    if alone and not alone.startswith("--"):
        raise NotRepeatable(
            f"It ran with Python's option {alone}, which keeps the guard of a repeat out.",
            where=" ".join(launch.argv),
            hint="Capture it without that option.",
        )


def check_versions(launch: Launch, then: Mapping[str, str], now: Mapping[str, str] | None = None) -> None:
    """Refuse other versions than the recorded ones: what differs then would be held for the cure's doing.

    Args:
        then: of the record, by package; now: of the interpreter, default asked of its own environment.

    Raises:
        NotRepeatable: they differ.
    """
    present = _versions(launch) if now is None else now
    for package in _DECIDING:
        if package in then and package in present and then[package] != present[package]:
            raise NotRepeatable(
                f"It ran with {package} {then[package]}, and {present[package]} is there now.",
                where=launch.executable,
                hint=f"Install {package}=={then[package]} there, or capture the run again.",
            )


def _versions(launch: Launch) -> dict[str, str]:
    """Of the packages that lie beside the interpreter's own library."""
    import subprocess  # import time

    script = (
        "import json, platform\nfrom importlib.metadata import version, PackageNotFoundError\n"
        "found = {'python': platform.python_version()}\n"
        "for name in ('mlx', 'mlx-lm'):\n"
        "    try: found[name] = version(name)\n"
        "    except PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    try:
        done = subprocess.run(
            [launch.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        told = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return versions(())
    return {str(key): str(value) for key, value in told.items()}


def moved(argv: Sequence[str], homes: Mapping[str, str]) -> list[str]:
    """The words with each path below one of `homes` put below what stands for it; also in --option=PATH.

    The longest home first.
    """
    return [_moved(word, homes) for word in argv]


def _moved(word: str, homes: Mapping[str, str]) -> str:
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    for home in sorted(homes, key=len, reverse=True):
        if value == home or value.startswith(home + os.sep):
            return f"{option}{equals}{homes[home]}{value[len(home) :]}"
    return word
