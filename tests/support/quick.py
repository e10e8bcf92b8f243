"""Children of the tests start quickly: see `site/sitecustomize.py`, which the environment of a session leads them to."""

from __future__ import annotations

import os
from pathlib import Path

SITE = Path(__file__).parent / "site"


def children(directory: Path) -> None:
    """Let every child of this process remember in `directory` what one of them found in transformers."""
    paths = [str(SITE), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ.update(PYTHONPATH=os.pathsep.join(paths), TRANSFORMERS_STRUCTURE=str(directory / "structure.pickle"))
