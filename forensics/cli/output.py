"""Where `-o` writes to."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from forensics.errors import UsageError
from forensics.files import temporary

STDOUT = Path("-")


@contextlib.contextmanager
def output(path: Path, what: str, option: str = "-o") -> Iterator[Path]:
    """The file to write for `option path`: `what`, as an error calls it.

    A link stays, and what it names is written. What is no file (a device, a FIFO) and stdout (`-`) get the
    bytes when they are whole.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        if path != STDOUT and (path.is_file() or not path.exists()):
            yield Path(os.path.realpath(path))
            return
        with temporary("out") as directory:
            yield directory / "made"
            _send(directory / "made", path)
    except OSError as error:
        if path == STDOUT:  # as of any command that writes there
            raise
        raise UsageError(
            f"{what} cannot be written: {error.strerror}.",
            where=str(path),
            hint=f"Give another place: {option} FILE.",
        ) from error


def _send(source: Path, path: Path) -> None:
    with source.open("rb") as whole:
        if path == STDOUT:
            shutil.copyfileobj(whole, sys.stdout.buffer)
            sys.stdout.flush()
        else:
            with path.open("wb") as device:
                shutil.copyfileobj(whole, device)
