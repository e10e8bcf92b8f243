"""One drawn program, plain and under `forensics capture`: what of it differs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.command import command, environment


def compared(directory: Path, program: str) -> list[str]:
    """What is not the same watched: of output, errors (live objects among them), exit status and files; [] where all is."""
    seen, plain = (_ran(directory / name, program, watch=name == "watched") for name in ("watched", "plain"))
    return [what for what in plain if plain[what] != seen[what]]


def _ran(directory: Path, program: str, *, watch: bool) -> dict[str, object]:
    directory.mkdir(parents=True)
    (directory / "program.py").write_text(program)
    words = [sys.executable, "program.py"]
    store = directory.parent / "store"
    watched = [*command("--store", str(store), "capture", "--quiet", "--no-reload", "--"), *words]
    done = subprocess.run(
        watched if watch else words, cwd=directory, env=environment(), capture_output=True, check=False
    )
    files = {path.name: path.read_bytes() for path in sorted(directory.iterdir())}
    errors = done.stderr.replace(os.fsencode(directory), b"DIRECTORY")
    return {"stdout": done.stdout, "stderr": errors, "exit": done.returncode, "files": files}


def killed(directory: Path, program: str, after: float) -> str | None:
    """The capture is killed with its program after so many seconds: what the next command cannot read, None where it can."""
    directory.mkdir(parents=True)
    (directory / "program.py").write_text(program)
    words = command("capture", "--quiet", "--no-reload", "--", sys.executable, "program.py")
    process = subprocess.Popen(
        words,
        cwd=directory,
        env=environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    read = subprocess.run(
        command("list", "--json"),
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return None if read.returncode in (0, 2) and "Traceback" not in read.stderr else read.stderr[-300:]
