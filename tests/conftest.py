"""Options of the test suite."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from tests.support import quick

pytest_plugins = ["tests.zoo.table"]  # prints the zoo's table, where the zoo was run
GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="Write what is shown now into tests/golden and docs."
    )


def pytest_configure(config: pytest.Config) -> None:
    # a suite in the background of a shell has SIGINT ignored, which the programs that it starts would inherit
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(
        config, "workerinput"
    ):  # workers take it from the environment of the process that starts them
        directory = Path(tempfile.mkdtemp(prefix="forensics-tests-"))
        config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))
        quick.children(directory)
        # a job in the background ignores Ctrl-C, and so does what it starts; tests interrupt what they start
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a fixture of their module go to one worker, which makes it once."""
    for item in items:
        shared = [
            fixture
            for name in getattr(item, "fixturenames", ())
            for fixture in item.session._fixturemanager.getfixturedefs(name, item) or ()
            if fixture.scope == "module"
        ]
        if shared:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What was measured before, by another version perhaps, must not answer for what is tested."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


class Golden:
    """Compares a text with a committed file; with --update-golden, writes it."""

    def __init__(self, updates: bool) -> None:
        self.updates = updates

    def __call__(self, name: str, text: str) -> None:
        path = Path(name) if Path(name).is_absolute() else GOLDEN / name
        if self.updates:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is not there: pytest --update-golden writes it"
        assert text == path.read_text(encoding="utf-8")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.config.getoption("--update-golden"))
