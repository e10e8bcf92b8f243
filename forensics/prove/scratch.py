"""A folder in which a run is run again.

It holds what stood where the run ran, without what the recorded run wrote there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from forensics import files
from forensics.prove.launch import NotRepeatable

_SMALL = 4 << 20  # bytes of a file that is copied; a larger one is linked, and never written to
_MOST = 20_000  # files
_ABOVE = 2  # folders above the one where it ran whose other entries are linked
_MOST_BESIDE = 2_000  # entries of such a folder; where there are more, it is no place for projects
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

    Returns folders of `target`, without links in their names, that are missing: all that lay in them was
    written by the run, so that the run may have made them, or found them empty.

    Raises:
        NotRepeatable: there are too many files.
    """
    target.mkdir(parents=True, exist_ok=True)
    out = {path.resolve() for path in written}
    homes = {path.parent for path in out if path.parent != source.resolve()}
    left: set[Path] = set()  # folders in which a file was left out
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
            left.add(new.parent)
        elif entry.is_file():
            _bring(place, new)
    return [str(folder.resolve()) for folder in _emptied(target, left)]


def surround(root: Path, source: Path, written: Collection[Path]) -> Path:
    """Where the copy of `source` belongs below `root`, amid links to what stands beside it and above.

    A program that reads `../data` finds it there; what it writes beside its folder stays below `root`.

    Args:
        written: files that the recorded run wrote; nothing that holds one is linked.
    """
    here = root
    for above in reversed(list(source.parents)[:_ABOVE]):
        own = source.relative_to(above).parts[0]
        here.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # not ours to look at
            beside = sorted(above.iterdir())
            for each in beside if len(beside) <= _MOST_BESIDE else ():
                if each.name != own and not any(path.is_relative_to(each) for path in written):
                    (here / each.name).symlink_to(each)
        here = here / own
    return here


def _emptied(target: Path, left: Collection[Path]) -> Iterator[Path]:
    """Remove the folders that are empty now, and what holds nothing but such."""
    for folder in sorted(left, key=lambda each: -len(each.parts)):
        while folder != target and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            yield folder
            folder = folder.parent


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
