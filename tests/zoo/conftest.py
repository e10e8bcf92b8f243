"""Each program of the zoo is captured and diagnosed once, whichever tests ask, in whichever worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forensics import files
from tests.zoo import zoo

Diagnosed = Callable[..., tuple[Path, dict[str, Any]]]
"""(case, broken=...) to (directory that holds the program and its capture, diagnosis)."""


@pytest.fixture(scope="session")
def diagnosed(tmp_path_factory: pytest.TempPathFactory) -> Diagnosed:
    base = tmp_path_factory.getbasetemp()
    root = (
        base.parent if base.name.startswith("popen-") else base
    ) / "zoo"  # workers have a directory each in one of the session
    root.mkdir(exist_ok=True)

    def of(case: zoo.Case, *, broken: bool) -> tuple[Path, dict[str, Any]]:
        name = f"{case.name}-{'broken' if broken else 'healthy'}"
        directory, told = root / name, root / f"{name}.json"
        with files.waited(root / f"{name}.lock"):
            if not told.exists():
                files.write_whole(told, json.dumps(zoo.diagnosed(case, directory, broken=broken)).encode())
        document: dict[str, Any] = json.loads(told.read_bytes())
        return directory, document

    return of
