"""Makes processes of the tests start quickly.

Compiled Python is kept, transformers walked once, tiny models built once, for all of them.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
import tempfile
from pathlib import Path

SITE = Path(__file__).parent / "site"
MODELS, MADE = "FORENSICS_TINY_MODELS", "FORENSICS_TESTS_MADE"


def children(directory: Path) -> None:
    """Let this process and every child keep in `directory` what one of them found or built.

    A machine may ask that compiled Python be thrown away (PYTHONDONTWRITEBYTECODE), which makes importing
    mlx-lm take twice as long.
    """
    paths = [str(SITE), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ.update(
        PYTHONPATH=os.pathsep.join(paths), TRANSFORMERS_STRUCTURE=str(directory / "structure.pickle")
    )
    os.environ[MODELS] = str(directory / "models")
    os.environ[MADE] = str(directory / "made")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


@functools.cache
def agreed(variable: str) -> Path:
    """The directory on which this session's processes agreed by a variable, or this process's own."""
    directory = Path(os.environ.get(variable) or tempfile.mkdtemp(prefix="forensics-tests-"))
    if variable not in os.environ:
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    return directory
