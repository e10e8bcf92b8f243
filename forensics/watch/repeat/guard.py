"""Keeps a repeat from what lies outside its folder: writes, sockets, other programs, questions to the user.

An audit hook: it holds for every Python of the repeat and cannot be taken out again. What mlx and safetensors
write themselves is asked of `check` by the hooks in `files`. Each refusal is one line of refused.jsonl,
beside the folder; so is each file that stood there before and is written on, which is no refusal.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

VARIABLE = "FORENSICS_SCRATCH"
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = {  # event -> which of its arguments are paths that change
    "os.remove": (0,), "os.rename": (0, 1), "os.rmdir": (0,), "os.mkdir": (0,), "os.symlink": (1,),
    "os.link": (1,), "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,), "os.utime": (0,),
    "os.setxattr": (0,), "shutil.rmtree": (0,), "shutil.move": (0, 1), "sqlite3.connect": (0,),
}  # fmt: skip
_NET = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto")
_STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system")
_READERS = {"uname", "lscpu", "sysctl", "sw_vers", "git", "ldconfig", "system_profiler"}
"""Programs that tell of the machine or of the code; any other might write what we cannot see."""

_allowed: list[str] = []
_said: set[tuple[str, str]] = set()
_missing: set[str] = set()
"""Folders in which the recorded run wrote all that was there: made where the program takes them for given."""
MISSING = "missing.json"
_file = -1
_work = ""


class Refused(PermissionError):
    """What a repeat may not do."""


def install(scratch: str) -> None:
    """Allow writes below `scratch` and the spool alone, from now on."""
    global _file, _work
    _work = os.path.join(os.path.realpath(scratch), "work") + os.sep
    _allowed[:] = [os.path.realpath(scratch) + os.sep, "/dev/"]
    spool = os.environ.get("FORENSICS_SPOOL")
    if spool:
        _allowed.append(os.path.realpath(spool) + os.sep)
    _file = os.open(os.path.join(scratch, "refused.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.set_inheritable(_file, False)
    with contextlib.suppress(OSError, ValueError), open(os.path.join(scratch, MISSING)) as file:
        _missing.update(json.load(file))
    sys.addaudithook(_audit)


def check(path: Any) -> None:
    """Raise where `path` is no place that a repeat may write to."""
    if not _allowed or isinstance(path, int) or path is None:
        return
    with contextlib.suppress(TypeError, ValueError):
        real = os.path.realpath(os.fsdecode(path))
        if not f"{real}{os.sep}".startswith(tuple(_allowed)):
            refuse("write", real)
        _find(os.path.dirname(real))


def _find(folder: str) -> None:
    """A program that did not make a folder before it writes there found it: it stands there, empty."""
    if folder in _missing:
        _missing.discard(folder)
        os.makedirs(folder, exist_ok=True)


def _written_on(path: Any, flags: int) -> None:
    """Note that a file which holds something already is changed and not made anew."""
    if flags & os.O_TRUNC or not isinstance(path, (str, bytes, os.PathLike)):
        return
    real = os.path.realpath(os.fsdecode(path))
    if real.startswith(_work) and ("changes", real) not in _said and os.path.isfile(real):
        _said.add(("changes", real))
        if os.path.getsize(real):
            _say("changes", real.removeprefix(_work))


def _say(kind: str, what: str) -> None:
    os.write(_file, (json.dumps({"kind": kind, "what": what}) + "\n").encode())


def refuse(kind: str, what: str) -> None:
    """Write the refusal down and raise it."""
    if (kind, what) not in _said:
        _said.add((kind, what))
        _say(kind, what)
    raise Refused(13, "a repeat of a recorded run may not do this", what)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event == "open":
        path, mode, flags = args
        if (isinstance(flags, int) and flags & _WRITES) or (
            isinstance(mode, str) and set(mode) & set("wax+")
        ):
            check(path)
            if isinstance(flags, int):
                _written_on(path, flags)
    elif event in ("os.listdir", "os.scandir") and _missing:
        with contextlib.suppress(TypeError, ValueError):
            _find(os.path.realpath(os.fsdecode(args[0] or ".")))
    elif event in _PATHS:
        for place in _PATHS[event]:
            if place < len(args) and args[place] not in (":memory:", b":memory:"):
                check(args[place])
    elif event in _NET:
        address = args[0] if event == "socket.getaddrinfo" else args[1]
        if (
            not isinstance(address, (str, bytes)) or event == "socket.getaddrinfo"
        ):  # a path is a socket of this machine's
            refuse("network", str(address))
    elif event in _STARTS:
        _started(event, args)
    elif event == "builtins.input":
        refuse("input", str(args[0]) if args else "")


def _started(event: str, args: tuple[Any, ...]) -> None:
    """Pythons are guarded as this one is, unless they leave the environment out.

    A shell and what it starts is not.
    """
    first = args[1] if event == "os.spawn" else args[0]
    words = args[2] if event == "os.spawn" and len(args) > 2 else args[1] if len(args) > 1 else ()
    words = [os.fsdecode(word) for word in words] if isinstance(words, (list, tuple)) else [str(words)]
    name = os.path.basename(os.fsdecode(first) if isinstance(first, (str, bytes, os.PathLike)) else words[0])
    python = name.startswith("python") and not any(
        word.startswith("-") and not word.startswith("--") and set(word[1:]) & set("IES")
        for word in words[1:2]
    )
    if event == "os.system" or not (python or name in _READERS):
        refuse("program", " ".join(words)[:200])
