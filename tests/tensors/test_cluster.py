"""The same work on a Dask cluster: the same digests whoever dies, or a clear refusal."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forensics.errors import ClusterError, UnreadableModel, UsageError
from forensics.model.checkpoint import Stored, open_model
from forensics.tensors import cache, workers
from forensics.tensors.cache import Measured, measured
from forensics.tensors.workers import Workers
from tests.capture.test_filepair import two
from tests.model.test_remote import run, said

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.long


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=50,
    ) as made:
        yield made


def executor(cluster: Any) -> str:
    return f"dask://{cluster.scheduler_address.removeprefix('tcp://')}"


def test_a_cluster_measures_what_threads_measure(tmp_path: Path, cluster: Any) -> None:
    a, b = two(tmp_path)
    for name, path, more in (("here", a, ()), ("there", b, ("--executor", executor(cluster)))):
        done = run("capture", path, "--name", name, *more, store=tmp_path / "store")
        assert done.exit_code == 0, done.output
    there = said(
        "sql",
        "SELECT name, digest, mean, std FROM parameters WHERE capture = 'there@rest' ORDER BY name",
        store=tmp_path / "store",
    )
    here = {s.raw.name: measured([s])[s.raw.name].stats for s in open_model(b).stored}
    assert [tuple(row.values()) for row in there["rows"]] == [
        (n, here[n].digest, here[n].mean, here[n].std) for n in sorted(here)
    ]


def _dies_once(mark: Path) -> Any:
    def measure(s: Stored) -> Measured:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return cache._measure(s)

    return measure


def test_a_worker_that_dies_costs_time_alone(tmp_path: Path, cluster: Any) -> None:
    stored = open_model(two(tmp_path)[0]).stored
    found = list(
        Workers(executor(cluster)).map(_dies_once(tmp_path / "died"), stored, lambda s: 1 << 30, far=False)
    )
    assert (tmp_path / "died").exists()
    assert found == [cache._measure(s) for s in stored]


def _always_dies(s: Stored) -> Measured:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_work_that_kills_every_worker_is_given_up(tmp_path: Path, cluster: Any) -> None:
    stored = open_model(two(tmp_path)[0]).stored[:1]
    with pytest.raises(ClusterError, match="did not do its work"):
        list(Workers(executor(cluster)).map(_always_dies, stored, lambda s: 1, far=False))


def test_a_cluster_that_goes_away_is_said(tmp_path: Path, cluster: Any) -> None:
    work = Workers(executor(cluster)).map(
        lambda s: time.sleep(600), open_model(two(tmp_path)[0]).stored, lambda s: 1, far=False
    )
    threading.Timer(1.0, lambda: cluster.close(timeout=5)).start()
    with pytest.raises(ClusterError, match="did not do its work"):
        list(work)


def test_a_file_that_is_another_on_the_worker_is_refused(tmp_path: Path, cluster: Any) -> None:
    """A worker that sees another file at the path, as where the disk is not shared, must not measure it."""
    a, b = two(tmp_path)
    stored = open_model(a).stored
    (b / "model.safetensors").replace(a / "model.safetensors")
    with pytest.raises(UnreadableModel, match="changed while it was read"):
        measured(stored, Workers(executor(cluster)))


def test_no_cluster_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_WAIT", 0.5)
    with pytest.raises(ClusterError, match="no Dask scheduler"):
        list(Workers("dask://127.0.0.1:9").map(len, ["a"], len, far=False))
    with pytest.raises(UsageError, match="no executor"):
        Workers("spark://here")
