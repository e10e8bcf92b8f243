"""Bytes of a tensor by their place in a file, wherever the file lies.

A range is a path, a place and what the file was, so that another process or machine can read the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from forensics.errors import UnreadableModel
from forensics.model.remote import Remote

_AGAIN = "Nothing else may write to it meanwhile; try again."


class Stat(Protocol):
    """What a file system says of a file."""

    @property
    def st_size(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Range:
    """Reads bytes [start, stop) counted from `begin`.

    `size` and `time` are the file's when its header was read.

    Each call looks whether a local file is still that one. Of a URL that is too slow: who reads a whole model
    looks before and after.
    """

    path: Path
    begin: int
    size: int
    time: int

    def __call__(self, start: int, stop: int) -> bytes:
        """Raises UnreadableModel: the file ended, changed or went away meanwhile."""
        try:
            if isinstance(self.path, Remote):
                return self.path.read_range(self.begin + start, self.begin + stop)
            return self._local(start, stop)
        except OSError as error:
            raise UnreadableModel(
                f"The file cannot be read any more: {error.strerror}.", where=str(self.path), hint=_AGAIN
            ) from error

    def _local(self, start: int, stop: int) -> bytes:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            data = os.pread(descriptor, stop - start, self.begin + start)
            now = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if len(data) != stop - start:
            raise UnreadableModel("The file ended while it was read.", where=str(self.path), hint=_AGAIN)
        if (now.st_size, now.st_mtime_ns) != (self.size, self.time):
            raise UnreadableModel("The file changed while it was read.", where=str(self.path), hint=_AGAIN)
        return data


def ranged(path: Path, begin: int, state: Stat) -> Range:
    """The bytes of a file from `begin` on; `state` is what `path.stat()` said when its header was read."""
    return Range(path, begin, state.st_size, state.st_mtime_ns)
