"""A child process for what strangers made, under limits of memory and time that the parent watches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forensics import files
from forensics.bounded import Bounded, Limits
from forensics.bundle.archive import HINT
from forensics.environment import inherited
from forensics.errors import DamagedEvidence

_SPACE = 512 << 20
"""Address space of the child, where the system keeps such a limit."""
_MEMORY = 300 << 20
"""Memory that the child may really use; watched from here."""
_SECONDS, _SECONDS_A_MB = 5.0, 6.0
"""Of processor time; a third as much was too little for a valid bundle on a slow machine.

A busy one takes up to eight times as long.
"""
_BUSY = 8


def run(module: str, path: Path, arguments: Mapping[str, Any], nbytes: int = 0) -> Mapping[str, Any]:
    """Run a module of this package on the bundle at `path` and return what it answers.

    `nbytes`: what else it has to read.

    Raises:
        DamagedEvidence: it refused the bundle, took more time or memory than any of ours does, or gave no
        answer.
        OSError: it could not write what it was to write.
    """
    try:
        seconds = _SECONDS + _SECONDS_A_MB * path.stat().st_size / 1e6 + nbytes / 20e6
    except OSError as error:
        raise DamagedEvidence(
            f"The bundle cannot be read: {error.strerror}.", where=str(path), hint="Check the path."
        ) from error
    with files.temporary("child") as place:
        limits = {"memory": _SPACE, "seconds": int(seconds), "answer": str(place / "answer.json")}
        (place / "arguments.json").write_text(
            json.dumps({"zip": str(path.resolve()), **arguments, **limits}), encoding="utf-8"
        )
        status = _watched(
            [sys.executable, "-m", f"forensics.bundle.{module}", str(place / "arguments.json")],
            place,
            path,
            seconds,
        )
        try:
            answer: dict[str, Any] = json.loads((place / "answer.json").read_bytes())
        except (OSError, ValueError) as error:
            raise DamagedEvidence(
                f"The bundle cannot be read: its reader ended with status {status}.", str(path), HINT
            ) from error
    if status == 2:
        raise OSError(answer["errno"], answer["why"], answer["where"])
    if status == 3:
        raise DamagedEvidence(
            answer["message"], str(answer["where"]).replace(str(path.resolve()), str(path)), answer["hint"]
        )
    return answer


def _watched(command: list[str], place: Path, path: Path, seconds: float) -> int:
    """Run the child until it ends, or has had enough time or memory."""
    variables = {k: v for k, v in inherited().items() if not k.startswith("FORENSICS_")}
    variables["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
    )
    # The pipe says nothing: its end tells the child that we are gone, and that nobody waits for what it
    # writes.
    with subprocess.Popen(
        command,
        cwd=place,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        bounded = Bounded(child, lambda: Limits(_MEMORY, _BUSY * seconds))
        try:
            status = bounded.wait()
        finally:
            child.kill()
    if bounded.over:
        raise DamagedEvidence(
            f"The bundle is damaged: reading it takes more {bounded.over} than any of ours.", str(path), HINT
        )
    return status
