"""Each command is killed at a random moment.

What was in the store before is there afterwards, and the next command works.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.harm.counts import Count
from tests.support.command import LOOP, command, environment, forensics, write

COMMANDS: dict[str, list[str]] = {
    "capture": ["capture", "--quiet", "--no-reload", "--name", "other", "--", sys.executable, "train.py"],
    "capture with reload": ["capture", "--quiet", "--", sys.executable, "train.py"],
    "diagnose": ["diagnose", "night"],
    "diff": ["diff", "night@start", "night@end"],
    "report": ["report", "night", "-o", "out.html"],
    "bundle": ["bundle", "night", "-o", "out.zip"],
    "open": ["open", "sent.zip", "--as", "sent"],
    "import": ["import", "sent.zip"],
    "gc": ["gc"],
    "sql": ["sql", "SELECT count(*) FROM placements"],
    "rm": ["rm", "spare"],
    "verify": ["verify"],
}


def run(seed: int, count: int, place: Path) -> Count:
    """So many kills, spread over the commands and over the time that each takes."""
    draws = random.Random(seed)  # noqa: S311
    done = Count(
        "what is killed harms nothing that was kept, and the next command works", "kills of every command"
    )
    sound = _sound(place / "sound")
    known = {name for name in COMMANDS if _is_there(name)}
    seconds: dict[str, float] = {}
    for number in range(count):
        name = sorted(known)[number % len(known)]
        directory = place / f"k{number}"
        shutil.copytree(sound, directory, symlinks=True)
        after = draws.uniform(0.02, seconds.setdefault(name, _length(sound, place / "length", name)))
        _kill(directory, COMMANDS[name], after)
        done.add(f"{name} after {after:.2f} s", _wrong(directory))
        shutil.rmtree(directory)
    done.notes.append(", ".join(sorted(known)))
    return done


def _is_there(name: str) -> bool:
    words = command(COMMANDS[name][0], "--help")
    return subprocess.run(words, env=environment(), capture_output=True, check=False).returncode == 0


def _sound(directory: Path) -> Path:
    directory.mkdir(parents=True)
    write(directory, LOOP)
    for name in ("night", "spare"):
        done = forensics(
            directory, "capture", "--quiet", "--no-reload", "--name", name, "--", sys.executable, "train.py"
        )
        assert done.status == 0, done.err
    made = forensics(directory, "bundle", "night", "-o", "sent.zip")
    assert made.status == 0, made.err
    return directory


def _length(sound: Path, directory: Path, name: str) -> float:
    shutil.copytree(sound, directory, symlinks=True)
    began = time.monotonic()
    whole = forensics(directory, *COMMANDS[name])
    # 1: diff found a difference; what is refused at once would be killed to no purpose
    assert whole.status in (0, 1), f"{name} undisturbed: exit {whole.status}: {whole.err}"
    shutil.rmtree(directory)
    return time.monotonic() - began


def _kill(directory: Path, words: list[str], after: float) -> None:
    process = subprocess.Popen(
        command(*words), cwd=directory, env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(after)
    with contextlib.suppress(ProcessLookupError):  # it had ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wrong(directory: Path) -> str | None:
    """What the next commands find amiss."""
    listed = forensics(directory, "list", "--json")
    if listed.status not in (0, 2) or "Traceback" in listed.err:
        return f"list: exit {listed.status}: {listed.err[-300:]}"
    if "night" not in json.dumps(json.loads(listed.out)):
        return "list: night is gone"
    judged = forensics(directory, "diagnose", "night", "--json")
    if judged.status not in (0, 1) or json.loads(judged.out).get("verdict") != "healthy":
        return f"diagnose night: exit {judged.status}: {judged.err[-200:]} {judged.out[:200]}"
    verified = forensics(directory, "verify", "night")
    if verified.status:
        return f"verify night: exit {verified.status}: {verified.err[-200:]} {verified.out[-300:]}"
    again = forensics(
        directory, "capture", "--quiet", "--no-reload", "--name", "after", "--", sys.executable, "train.py"
    )
    return (
        None if again.status == 0 and not again.err else f"capture: exit {again.status}: {again.err[-300:]}"
    )
