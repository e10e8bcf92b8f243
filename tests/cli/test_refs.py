"""What a ref means, and what is said where it means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics import evidence, refs
from forensics.errors import UnknownRef, UnreadableModel, UsageError
from forensics.store.capture import Writer
from forensics.store.store import Capture, Run, Store
from tests.store.test_store import add, night, seal


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return night(tmp_path)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shipped snapshot `base`, in which the run is called so too."""
    root = tmp_path / "shipped"
    snapshot = Store(root / "base")
    add(snapshot, "base", "loaded", 0)
    add(snapshot, "base", "end", 1)
    seal(snapshot, "base")
    monkeypatch.setattr(refs, "shipped", lambda: root)
    return root


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("night", "night@end"),
        ("night@loaded", "night@loaded"),
        ("night@start", "night@start-2"),  # the bare name means the last
        ("night@start-1", "night@start"),
        ("night@start-2", "night@start-2"),
        ("night@loaded:m1", "night@loaded:m1"),
        ("night@loaded:m0", "night@loaded"),
        ("night@end", "night@end"),
    ],
)
def test_one(store: Store, text: str, wanted: str) -> None:
    assert evidence.one(store, text).ref == wanted


def test_a_run_is_a_run(store: Store) -> None:
    assert isinstance(evidence.run_or_capture(store, "night"), Run)
    assert isinstance(evidence.run_or_capture(store, "night@end"), Capture)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("nigth", "Did you mean night?"),
        ("night@strat", "Did you mean night@start"),
        ("night@saved:m1", "night@saved"),
        ("night@step-10", "It has loaded, start"),
        ("nothing-like-it", "forensics list"),
        ("base", "Did you mean snapshots/base?"),
        ("snapshots/bsae", "Did you mean snapshots/base?"),
        ("./nowhere", "Check the path"),
        ("bug.zip", "Check the path"),
        ("", "forensics list"),
        ("two words", "forensics list"),
    ],
)
def test_unknown(store: Store, shipped: Path, text: str, hint: str) -> None:
    with pytest.raises(UnknownRef) as caught:
        evidence.one(store, text)
    assert hint in caught.value.hint and caught.value.exit_code == 2


def test_a_path_named_like_a_run(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    with pytest.raises(UnreadableModel) as caught:  # the path is meant: nothing bears that name in the store
        evidence.one(store, "model")
    assert caught.value.where == "model"
    (tmp_path / "night").mkdir()
    assert evidence.one(store, "night").ref == "night@end", "a run of the store comes first"


def test_snapshots(store: Store, shipped: Path) -> None:
    run = evidence.run_or_capture(store, "snapshots/base")
    assert isinstance(run, Run) and run.name == "snapshots/base"
    assert evidence.one(store, "snapshots/base").ref == "snapshots/base@end"
    assert evidence.one(store, "snapshots/base@loaded").ref == "snapshots/base@loaded"
    assert refs.snapshots() == ["base"]


def test_a_snapshot_whose_run_has_another_name(store: Store, shipped: Path) -> None:
    other = Store(shipped / "other")
    add(other, "inside", "end", 0)
    assert evidence.one(store, "snapshots/other").ref == "snapshots/other/inside@end"


def test_captures_and_runs_by_path(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "store"
    capture = evidence.run_or_capture(store, f"{path}/captures/night@end")
    assert (
        isinstance(capture, Capture)
        and capture.ref == f"{path}/captures/night@end"
        and capture.run == f"{path}/captures/night"
    )
    run = evidence.run_or_capture(store, f"{path}/runs/night/")
    assert isinstance(run, Run) and len(run.captures) == 6


def test_pairs(store: Store, shipped: Path) -> None:
    for words in ([], ["night"]):
        p = evidence.pair(store, words)
        assert (p.a.ref, p.b.ref, p.run and p.run.name, p.two_runs) == (
            "night@loaded",
            "night@end",
            "night",
            None,
        )
    p = evidence.pair(store, ["night@saved"])
    assert (p.a.ref, p.b.ref, p.run) == ("night@loaded", "night@saved", None)
    p = evidence.pair(store, ["night@start", "night@end"])
    assert (p.a.ref, p.b.ref, p.run, p.two_runs) == ("night@start-2", "night@end", None, None)
    p = evidence.pair(store, ["night@saved", "snapshots/base"])
    assert (p.a.ref, p.b.ref, p.two_runs) == ("night@saved", "snapshots/base@end", None)
    p = evidence.pair(store, ["night", "snapshots/base"])
    assert p.two_runs is not None and (p.a.ref, p.b.ref) == ("night@end", "snapshots/base@end")


def test_pairs_that_are_none(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        evidence.pair(store, ["night", "night", "night"])
    with pytest.raises(UsageError, match="adapter"):
        evidence.pair(store, [], tmp_path)
    with pytest.raises(UnknownRef, match="Nothing is captured"):
        evidence.pair(Store(tmp_path / "empty"), [])
    with Writer(store.runs, "hollow", "run") as writer:
        writer.seal({"run": "hollow", "created_at": "2030"})
    with pytest.raises(UsageError, match="no capture"):
        evidence.pair(store, [])


def test_completion(store: Store, shipped: Path) -> None:
    assert refs.complete(store, "") == ["night", "snapshots/base"]
    assert refs.complete(store, "ni") == ["night"] and refs.complete(store, "day@") == []
    assert refs.complete(store, "night@s") == ["night@start", "night@start-2", "night@saved"]
    assert refs.complete(store, "snapshots/base@") == ["snapshots/base@loaded", "snapshots/base@end"]
