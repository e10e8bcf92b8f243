"""Files that must never lie there half-written.

Copies cost nothing where the filesystem can share blocks.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import functools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_FICLONE = 0x40049409


_LOCK = ".held"
_MOMENT = 1.0
"""Seconds after which a process that was about to hold a lock is there no more."""


def cache_directory() -> Path:
    """The user's cache directory of this program; what lies there can be lost at any time."""
    if root := os.environ.get("XDG_CACHE_HOME"):
        return Path(root) / "mlx-forensics"
    home = Path("~").expanduser()
    return (home / "Library/Caches" if sys.platform == "darwin" else home / ".cache") / "mlx-forensics"


@functools.cache
def scratch(purpose: str) -> Path:
    """A temporary directory of this process for `purpose`, removed when it ends."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(temporary(purpose))


def spelled(path: Path) -> str:
    """The path in UTF-8, for libraries that take no other: through a link where it is not."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return str(_link(path.parent) / path.name)
    return str(path)


@functools.cache
def _link(directory: Path) -> Path:
    links = scratch("links")
    link = links / str(len(list(links.iterdir())))
    link.symlink_to(directory.absolute(), target_is_directory=True)
    return link


@contextlib.contextmanager
def temporary(purpose: str) -> Iterator[Path]:
    """A temporary directory.

    What killed processes left goes when the next one asks for a directory.
    """
    _sweep(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix=f".forensics-{purpose}~{os.getpid()}-"))
    directory = folder.with_name(folder.name[1:])
    try:
        with locked(folder / _LOCK, exclusive=True):
            folder.rename(directory)  # nobody sweeps what has no lock yet
            (directory / "work").mkdir()
            yield directory / "work"
    finally:
        _removed(directory)


@functools.cache
def _sweep(parent: str) -> None:
    """Remove temporary directories whose lock nobody holds.

    A lock tells more than a process's number, which another container has too.

    Of the moments before a process holds its lock and after it let go, in which it may be killed too, the
    number alone tells.
    """
    for lock in Path(parent).glob(f"forensics-*/{_LOCK}"):
        with contextlib.suppress(OSError), locked(lock, exclusive=True) as free:
            if free:
                _removed(lock.parent)
    for place in [*Path(parent).glob(".forensics-*~*"), *Path(parent).glob("forensics-*~*")]:
        with contextlib.suppress(OSError):
            bare = place.name.startswith(".") or not (place / _LOCK).exists()
            if bare and stale(place) and time.time() - place.stat().st_mtime > _MOMENT:
                _removed(place)


def _removed(directory: Path) -> None:
    """The lock goes last: a process may be killed while it removes."""
    shutil.rmtree(directory / "work", ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def aside(path: Path) -> Path:
    """A temporary name beside `path`. `~` stands in no name of a run, capture or pack.

    The process id tells what is stale.
    """
    return path.with_name(f"{path.name}~{os.getpid()}-{os.urandom(3).hex()}")


def stale(path: Path) -> bool:
    """Whether `path` is a temporary name whose process is gone."""
    _, tilde, owner = path.name.rpartition("~")
    number = owner.partition("-")[0]
    return bool(tilde) and number.isdigit() and not alive(int(number))


def alive(pid: int) -> bool:
    """Whether a process with this number runs."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it.

    Readers see the old content or the new, nothing between.
    """
    part = aside(path)
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def remember(path: Path, data: bytes, most: int) -> None:
    """Write a file of a cache, whose directory keeps the newest `most` files of its kind.

    One that cannot be written is no error.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        old = sorted(path.parent.glob(f"*{path.suffix}"), key=lambda p: p.stat().st_mtime)
        for gone in old[: max(0, len(old) - most)]:
            gone.unlink(missing_ok=True)
        write_whole(path, data)


def sync(path: Path) -> None:
    """Force a file or a directory's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some filesystems refuse it for directories
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clone(source: Path, target: Path) -> bool:
    """Make `target` share the blocks of `source` until one of them changes.

    False where the filesystem cannot. Never a hard link.
    """
    try:
        if sys.platform == "darwin":
            return (
                ctypes.CDLL(None, use_errno=True).clonefile(os.fsencode(source), os.fsencode(target), 0) == 0
            )
        with source.open("rb") as old, target.open("xb") as new:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


def copy(source: Path, target: Path) -> None:
    """A clone where that can be had, else a copy."""
    if not clone(source, target):
        shutil.copyfile(source, target)


@contextlib.contextmanager
def locked(path: Path, *, exclusive: bool) -> Iterator[bool]:
    """Hold a lock that ends with the process.

    Yields False at once where another process holds it the other way.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def waited(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, waiting for whoever holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
