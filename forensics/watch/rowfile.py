"""A file of rows inside the user's process, whose descriptor the program may close or reuse at any time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import resource
from pathlib import Path

from .originals import os

# descriptors from here on: below, the program gets the numbers that it would have without us
_HIGH = (
    512,
    128,
)
_write, _fstat = os.write, os.fstat  # as they were before the program could replace them


def refuse_beyond_the_limit(size: int) -> None:
    """Raise OSError where a file of `size` bytes is longer than this process may make one.

    The system would say so by a signal too, which ends a program that put the signal's default back.
    """
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit != resource.RLIM_INFINITY and size > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))


class RowFile:
    """Appends whole lines to `path`, unbuffered, so that a kill loses nothing before it.

    A program may close every descriptor (`os.closerange`, as daemons do) and open its own files under the
    same numbers. So each write first compares device and inode with those of the file that was opened; where
    they differ, the number is the program's: it is neither written to nor closed, and the file is opened
    again. Another thread that closes the number between that look and the write is not noticed.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, made where it is not there. Raises OSError."""
        self.path = path
        self.descriptor = -1
        self._identity = (0, 0)
        self._rest = b""  # the end of a row that the disk cut short
        self._open()

    def write(self, line: bytes) -> None:
        """Append a line, its newline with it. Raises OSError, where the file would be too long as well.

        What was cut short is ended before the next line is begun.
        """
        if not self._is_ours():
            self._open()
        self._drain()
        refuse_beyond_the_limit(_fstat(self.descriptor).st_size + len(line))
        self._rest = line
        try:
            self._drain()
        finally:
            if self._rest == line:  # not even begun: this row is lost, and the file stays one of whole lines
                self._rest = b""

    def close(self) -> None:
        """Close the file, unless its number is the program's by now. Raises OSError."""
        try:
            if self._rest:
                if not self._is_ours():
                    self._open()
                self._drain()
        finally:
            if self._is_ours():
                os.close(self.descriptor)
            self.descriptor = -1

    def _open(self) -> None:
        low = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self.descriptor = low
        for least in _HIGH:
            with contextlib.suppress(OSError):  # the limit of open files may be lower
                self.descriptor = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, least)
                os.close(low)
                break
        status = _fstat(self.descriptor)
        self._identity = (status.st_dev, status.st_ino)

    def _is_ours(self) -> bool:
        try:
            status = _fstat(self.descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def _drain(self) -> None:
        while self._rest:
            self._rest = self._rest[_write(self.descriptor, self._rest) :]
