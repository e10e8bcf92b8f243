"""What the command line sets for itself stays with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forensics import environment
from forensics.capture.command import watched

NAME = "OPENBLAS_NUM_THREADS"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "")  # so that what is set below is taken back
    monkeypatch.delenv(NAME)
    monkeypatch.setattr(environment, "_own", set())


def test_what_is_ours_is_not_inherited() -> None:
    environment.lean()
    assert os.environ[NAME] == "1"
    assert NAME not in environment.inherited()


def test_what_the_user_set_is_kept_and_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "7")
    environment.lean()
    assert environment.inherited()[NAME] == "7"


def test_a_program_that_cannot_be_recorded_sees_it_too(tmp_path: Path) -> None:
    environment.lean()
    said = tmp_path / "said"
    ended = watched(
        [sys.executable, "-c", f"import os; open({str(said)!r}, 'w').write(str(os.environ.get({NAME!r})))"],
        None,
    )
    assert (ended.status, said.read_text()) == (0, "None")


@pytest.mark.parametrize("given", [None, "3"])
def test_a_captured_program_sees_the_users_environment(tmp_path: Path, given: str | None) -> None:
    variables = {k: v for k, v in os.environ.items() if k != NAME} | ({NAME: given} if given else {})
    program = f"import os; print(os.environ.get({NAME!r}))"
    command = [
        sys.executable,
        "-m",
        "forensics",
        "capture",
        "--store",
        str(tmp_path),
        "--",
        sys.executable,
        "-c",
        program,
    ]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0] == str(given)


def test_versions_are_those_that_the_packages_say() -> None:
    from importlib.metadata import version

    names = ("mlx-lm", "numpy", "duckdb", "pytest", "rich")
    assert environment.versions([*names, "no-such-package"]) == {name: version(name) for name in names}


def test_versions_of_what_older_tools_installed_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Old.Tool-1.egg-info").write_text("Metadata-Version: 1.0\nName: old-tool\nVersion: 1.5\n")
    (tmp_path / "half-2.egg-info").mkdir()  # what an uninstallation left: no metadata
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "not-there"))
    assert environment.versions(["old-tool", "half"]) == {"old-tool": "1.5"}
