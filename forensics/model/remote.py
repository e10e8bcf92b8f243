"""Model files that lie elsewhere: URLs that fsspec knows (s3://, hf://, memory://).

They have just as much of a path as reading models takes.

Needs the extra `remote`, `s3`, or the fsspec package of another place. Only headers, small files and ranges
of tensors are fetched, from the address that the user typed and no other.
"""

from __future__ import annotations

import io
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, cast

from forensics.errors import ForensicsError, UnreadableModel, UsageError

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)")
_TRIES = 3
_EXTRA = {
    "s3": "mlx-forensics[s3]",
    "hf": "huggingface_hub",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
}


def is_url(path: str | PurePosixPath | Path) -> bool:
    """Whether this is no place of the local filesystem."""
    return _URL.match(str(path)) is not None


def located(path: str | Path) -> Path:
    """A path as it is; a URL as a `Remote`, also one whose two slashes `Path` made one.

    A `Remote` has of a path what reading models takes.
    """
    match = _URL.fullmatch(str(path))
    if match is None or isinstance(path, Remote):
        return Path(path) if isinstance(path, str) else path
    return cast(Path, Remote(f"{match[1]}:", match[2]))


class State(NamedTuple):
    """What tells a file from one that stands at its address later.

    Its size, its time, and a number made of its entity tag.
    """

    st_size: int
    st_mtime_ns: int
    st_ino: int

    @property
    def st_mtime(self) -> float:
        return self.st_mtime_ns / 1e9


class Remote(PurePosixPath):
    """A URL. What is not there is a FileNotFoundError, what cannot be reached or read UnreadableModel."""

    __slots__ = ()

    def __str__(self) -> str:
        scheme, _, rest = super().__str__().partition(":/")
        return f"{scheme}://{rest}"

    def open(self, mode: str = "rb", **_: Any) -> IO[bytes]:
        """To be read; fetches what is read, a megabyte at a time."""
        return io.BufferedReader(_Ranges(self), 1 << 20)

    def read_bytes(self) -> bytes:
        return cast(bytes, self._ask(lambda fs, at: fs.cat_file(at)))

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    def read_range(self, start: int, stop: int) -> bytes:
        """Bytes [start, stop).

        Raises:
            UnreadableModel: fewer came, also when asked again.
        """
        data = b""
        for attempt in range(_TRIES):
            data = cast(bytes, self._ask(lambda fs, at: fs.cat_file(at, start=start, end=stop)))
            if len(data) == stop - start:
                return data
            time.sleep(0.1 * 4**attempt)
        raise UnreadableModel(
            f"{stop - start:,} bytes were asked for, and {len(data):,} came, {_TRIES} times.",
            where=str(self),
            hint="Try again later.",
        )

    def stat(self) -> State:
        """As it is now: nothing that was remembered is believed."""
        return _state(self._info())

    def exists(self) -> bool:
        return self._kind() is not None

    def is_file(self) -> bool:
        return self._kind() == "file"

    def is_dir(self) -> bool:
        return self._kind() == "directory"

    def is_symlink(self) -> bool:
        return False

    def glob(self, pattern: str) -> Iterator[Remote]:
        """What lies directly in this directory and fits."""
        with_names = re.compile(re.escape(pattern).replace(r"\*", "[^/]*"))
        return (p for p in self.iterdir() if with_names.fullmatch(p.name))

    def iterdir(self) -> Iterator[Remote]:
        names = cast(list[str], self._ask(lambda fs, at: fs.ls(at, detail=False)))
        return (self / name.rstrip("/").rpartition("/")[2] for name in sorted(names))

    def expanduser(self) -> Remote:
        return self

    absolute = resolve = expanduser

    def walk(self) -> dict[str, State]:
        """Every file below, by its place in its filesystem; `place` is that of this directory."""

        def fresh(fs: Any, at: str) -> Any:
            fs.invalidate_cache()
            return fs.find(at, detail=True)

        return {name: _state(info) for name, info in self._ask(fresh).items() if info.get("type") == "file"}

    @property
    def place(self) -> str:
        return filesystem(str(self))[1]

    def _kind(self) -> str | None:
        try:
            return str(self._info()["type"])
        except FileNotFoundError:
            return None

    def _info(self) -> dict[str, Any]:
        def fresh(fs: Any, at: str) -> Any:
            fs.invalidate_cache(fs._parent(at))
            return fs.info(at)

        return cast(dict[str, Any], self._ask(fresh))

    def _ask(self, do: Callable[[Any, str], Any]) -> Any:
        """What the filesystem says; its many kinds of errors as one."""
        fs, at = filesystem(str(self))
        try:
            return do(fs, at)
        except (ForensicsError, FileNotFoundError):
            raise
        except Exception as error:
            message = f"{type(error).__name__}: {str(error)[:200]}"
            raise UnreadableModel(
                f"The address cannot be read: {message}",
                where=str(self),
                hint="Check it, and what lets you read it.",
            ) from error


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's filesystem for a URL, and the place in it.

    Raises:
        UsageError: what reads such URLs is not installed, or there is no such kind.
    """
    scheme = url.partition(":")[0]
    try:
        from fsspec.core import url_to_fs  # of the extra `remote`

        opened: tuple[Any, str] = url_to_fs(url)
    except ImportError as error:
        needs = _EXTRA.get(scheme, "mlx-forensics[remote]")
        raise UsageError(
            f"{scheme}:// cannot be read: {error}.", where=url, hint=f"Install {needs}."
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{scheme}:// is no kind of address that is known.",
            where=url,
            hint="For example s3://bucket/model.",
        ) from error
    return opened


def _state(info: Mapping[str, Any]) -> State:
    changed = next(
        (info[k] for k in ("mtime", "LastModified", "last_modified", "updated", "created") if info.get(k)), 0
    )
    stamp = (
        changed.timestamp()
        if hasattr(changed, "timestamp")
        else changed
        if isinstance(changed, (int, float))
        else 0
    )
    tag = next((str(info[k]) for k in ("ETag", "etag", "VersionId", "blob_id") if info.get(k)), "")
    return State(int(info["size"]), round(stamp * 1e9), zlib.crc32(tag.encode()))


class _Ranges(io.RawIOBase):
    """A URL read forward by ranges, for headers."""

    def __init__(self, path: Remote) -> None:
        self._path, self._at, self._size = path, 0, path.stat().st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._size - self._at))
        if count:
            buffer[:count] = self._path.read_range(self._at, self._at + count)
        self._at += count
        return count
