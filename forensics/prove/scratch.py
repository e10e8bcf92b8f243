"""A folder in which a run is run again.

It holds what stood where the run ran, without what the recorded run wrote there.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from forensics import files
from forensics.prove.launch import NotRepeatable

_SMALL = 4 << 20  # bytes of a file that is copied; a larger one is linked, and never written to
_MOST = 20_000  # files
_LEFT_OUT = {
    ".git",
    "__pycache__",
    ".forensics",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
}


def lay_out(source: Path, target: Path, written: Collection[Path], began: float, store: Path) -> list[str]:
    """Make `target` what the program needs of `source`.

    Args:
        written: files that the recorded run wrote; they are left out, and so is what lies beside them in
        other folders and is newer than `began`, the run's beginning in seconds since the epoch.
        store: our own, left out as well.

    Returns the files, relative, that are left out.

    Raises:
        NotRepeatable: there are too many files.
    """
    target.mkdir(parents=True)
    out = {path.resolve() for path in written}
    homes = {path.parent for path in out if path.parent != source.resolve()}
    left: list[str] = []
    ours = {store.resolve(), target.parent.resolve()}  # the folder itself, where it lies below `source`
    for count, entry in enumerate(_entries(source, ours)):
        if count >= _MOST:
            raise NotRepeatable(
                f"There are more than {_MOST:,} files where it ran, too many to lay out anew.",
                where=str(source),
                hint="Capture it from the project's own folder.",
            )
        place, new = Path(entry.path), target / Path(entry.path).relative_to(source)
        if entry.is_symlink() or _whole(entry):
            new.symlink_to(place.resolve(), target_is_directory=place.is_dir())
        elif entry.is_dir():
            new.mkdir(exist_ok=True)
        elif place.resolve() in out or (place.resolve().parent in homes and entry.stat().st_mtime > began):
            left.append(str(place.relative_to(source)))
        elif entry.is_file():
            _bring(place, new)
    return left


def _entries(source: Path, without: Collection[Path]) -> Iterator[os.DirEntry[str]]:
    """Everything below `source`, folders before what is in them."""
    with os.scandir(source) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name in _LEFT_OUT or Path(entry.path).resolve() in without:
            continue
        yield entry
        if entry.is_dir(follow_symlinks=False) and not _whole(entry):
            yield from _entries(Path(entry.path), without)


def _whole(entry: os.DirEntry[str]) -> bool:
    """A folder that is linked as it is: hidden, an environment, packages of another language."""
    if not entry.is_dir(follow_symlinks=False):
        return False
    return (
        entry.name.startswith(".")
        or entry.name == "node_modules"
        or (Path(entry.path) / "pyvenv.cfg").exists()
    )


def _bring(place: Path, new: Path) -> None:
    if place.stat().st_size > _SMALL and not files.clone(place, new):
        new.symlink_to(place)
        return
    if not new.exists():
        files.copy(place, new)
    new.chmod(place.stat().st_mode | 0o200)
