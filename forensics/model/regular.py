"""The files of a model's directory, looked at before anything opens them.

A pipe would wait for ever, and a device never ends.
"""

from __future__ import annotations

import stat
from pathlib import Path

from forensics.errors import UnreadableModel
from forensics.model.ranges import Stat
from forensics.model.remote import Remote

_HINT = "Remove it, or download the model again, from a source that you trust."
_READ = (".json", ".jsonl", ".jinja", ".safetensors", ".gguf", ".npz", ".model", ".txt", ".tiktoken", ".py")


def regular(path: Path) -> Stat:
    """What the system says of a regular file, links followed.

    Raises:
        UnreadableModel: it is a pipe, a device, a socket or a directory, or lies behind links that go in a
        circle.
        OSError: it is not there, or cannot be reached.
    """
    if isinstance(path, Remote):
        return path.stat()
    try:
        state = path.stat()
    except OSError as error:
        if path.is_symlink() and not isinstance(error, FileNotFoundError):
            raise UnreadableModel(
                f"The link leads nowhere: {error.strerror}.", where=str(path), hint=_HINT
            ) from error
        raise
    if not stat.S_ISREG(state.st_mode):
        raise UnreadableModel(f"This is {_kind(state.st_mode)}, no file.", where=str(path), hint=_HINT)
    return state


def look_through(directory: Path) -> int:
    """Look at all that a loader may open in a directory; returns the bytes of what is no weights.

    Raises:
        UnreadableModel: one is a pipe, a device or a socket.
    """
    if isinstance(directory, Remote):
        return 0
    nbytes = 0
    for path in (
        each for pattern in ("*", "additional_chat_templates/*") for each in directory.glob(pattern)
    ):
        if path.suffix not in _READ or path.is_dir():
            continue
        try:
            state = regular(path)
        except FileNotFoundError:  # a link to what is not there: no loader finds it either
            continue
        nbytes += 0 if path.suffix in (".safetensors", ".gguf", ".npz") else state.st_size
    return nbytes


def _kind(mode: int) -> str:
    names = {
        stat.S_IFIFO: "a pipe",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
    }
    return names.get(stat.S_IFMT(mode), "a directory")
