"""The environment of a process.

What the command line sets in its own, what the programs that it starts inherit, what is installed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

_own: set[str] = set()


def lean() -> None:
    """One thread for NumPy's BLAS.

    Each of its threads spins for 0.1 s of processor at every start, and we multiply no matrices.

    Only for a process that is ours: in a program that imports forensics NumPy is the program's.
    """
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        _own.add("OPENBLAS_NUM_THREADS")


def inherited() -> dict[str, str]:
    """The environment as the user gave it, for what is started from here."""
    return {name: value for name, value in os.environ.items() if name not in _own}


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those that are installed, from the names of their directories.

    The format of wheels prescribes these names.

    To ask `importlib.metadata` takes 40 ms, so it is asked only for what older tools installed.
    """
    wanted = {_plain(package): package for package in packages}
    versions: dict[str, str] = {}
    for directory in sys.path:
        for entry in _entries(directory or "."):
            name, _, version = entry.stem.partition("-")
            if (
                entry.suffix in (".dist-info", ".egg-info")
                and (package := wanted.get(_plain(name)))
                and package not in versions
            ):
                versions[package] = version if entry.suffix == ".dist-info" else _version(package)
    return {package: versions[package] for package in wanted.values() if versions.get(package)}


def _entries(directory: str) -> list[Path]:
    try:
        return list(Path(directory).glob("*-info"))
    except OSError:
        return []


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(package: str) -> str:
    from importlib.metadata import version  # import time

    try:
        return version(package)
    # not there, or, in the words of a finder that another package put in, without metadata
    except (ImportError, OSError):
        return ""
