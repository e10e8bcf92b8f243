"""What the command line sets in its own environment, and what the programs that it starts inherit: the user's, untouched."""

from __future__ import annotations

import os

_own: set[str] = set()


def lean() -> None:
    """One thread for NumPy's BLAS: each of its threads spins for 0.1 s of processor at every start, and we multiply no matrices.

    Only for a process that is ours: in a program that imports forensics NumPy is the program's.
    """
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        _own.add("OPENBLAS_NUM_THREADS")


def inherited() -> dict[str, str]:
    """The environment as the user gave it, for what is started from here."""
    return {name: value for name, value in os.environ.items() if name not in _own}
