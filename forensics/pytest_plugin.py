"""The pytest plugin: `forensics_run` watches a test that trains.

The fixture fails the test where the run is not healthy.

def test_training(forensics_run):
    train(steps=8)

@pytest.mark.forensics(allow=["full-weights-trained"], every=1, inconclusive=True)
def test_other(forensics_run): ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from forensics.live import Recording

_PASSED = pytest.StashKey[bool]()
_JUDGED = ("allow", "inconclusive", "judge")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    text = (
        "forensics(allow=[...], inconclusive=False, judge=True,"
        " **options of forensics.capture): of forensics_run"
    )
    config.addinivalue_line("markers", text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    """Remember whether the test itself passed: a test that failed already is not judged on top."""
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@pytest.fixture
def forensics_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recording]:
    """A capture of the test, in a store of its own.

    At the end of a test that passed, the run has to be healthy.
    """
    from forensics.live import capture  # import time: pytest loads every plugin at its start
    from forensics.testing import assert_healthy  # import time, as above

    marker = request.node.get_closest_marker("forensics")
    options = dict(marker.kwargs) if marker else {}
    judged = {key: options.pop(key) for key in _JUDGED if key in options}
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", request.node.name).strip("-.")[:64] or "test"
    options.setdefault("store", Path(tmp_path_factory.mktemp("forensics")))
    recording = capture(options.pop("name", name), **{"quiet": True, **options})
    try:
        yield recording
    finally:
        recording.stop()
    if judged.pop("judge", True) and request.node.stash.get(_PASSED, False) and recording.name is not None:
        assert_healthy(recording, **judged)
