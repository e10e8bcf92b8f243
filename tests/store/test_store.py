"""The store's layout, its names, and several writers at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forensics.errors import DamagedEvidence, UnknownRef, UsageError
from forensics.store.capture import Writer
from forensics.store.place import find
from forensics.store.store import Store


def add(
    store: Store, run: str, place: str, sequence: int, model: str = "m0", main: str = "m0", **head: object
) -> None:
    point, _, number = place.partition("-")
    directory = f"{run}@{place}" + ("" if model == main else f".{model}")
    ref = f"{run}@{place}" + ("" if model == main else f":{model}")
    ordinal = int(number) if point != "step" and number else 1
    if point == "step":
        point = place
    with Writer(store.captures, directory, "capture") as writer:
        writer.seal(
            {
                "capture": ref,
                "run": run,
                "point": point,
                "ordinal": ordinal,
                "sequence": sequence,
                "model": model,
                **head,
            }
        )


def seal(store: Store, run: str, created: str = "2026-01-01T00:00:00Z", main: str = "m0") -> None:
    with Writer(store.runs, run, "run") as writer:
        writer.seal({"run": run, "created_at": created, "kind": "watched", "main_model": main})


def night(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    for n, (place, model) in enumerate(
        [
            ("loaded", "m0"),
            ("start", "m0"),
            ("start-2", "m0"),
            ("loaded", "m1"),
            ("end", "m0"),
            ("saved", "m0"),
        ]
    ):
        add(store, "night", place, n, model)
    seal(store, "night")
    return store


def test_nothing_is_made_before_the_first_write(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.run_names() == set() and store.newest() is None and store.packs.digests() == set()
    assert not store.root.exists()
    store.make()
    assert (store.root / ".gitignore").read_text() == "*\n"


def test_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORENSICS_STORE", raising=False)
    assert find(None).root == Path(".forensics")
    monkeypatch.setenv("FORENSICS_STORE", str(tmp_path))
    assert find(None).root == tmp_path and find("here").root == Path("here")


def test_a_run_and_its_captures_in_order(tmp_path: Path) -> None:
    run = night(tmp_path).run("night")
    refs = ["night@loaded", "night@start", "night@start-2", "night@loaded:m1", "night@end", "night@saved"]
    assert [c.ref for c in run.captures] == refs
    second = run.captures[2]
    assert (second.point, second.ordinal, second.place, second.model) == ("start", 2, "start-2", "m0")
    assert run.first().ref == "night@loaded" and run.last().ref == "night@end" and run.main_model == "m0"


def test_first_and_last_are_of_the_main_model(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for n, (place, model) in enumerate(
        [("loaded", "m0"), ("loaded", "m1"), ("generate-1", "m1"), ("generate-2", "m0")]
    ):
        add(store, "two", place, n, model, main="m1")
    run = store.run("two")
    assert run.path is None and run.main_model == "m1"
    assert (run.first().ref, run.last().ref) == ("two@loaded", "two@generate-1")


def test_newest_by_time_of_making(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, when in (("b", "2026-01-02"), ("a", "2026-01-03"), ("c", "2026-01-01")):
        add(store, name, "end", 0)
        seal(store, name, when)
    newest = store.newest()
    assert newest is not None and newest.name == "a"


def test_unknown_and_damaged_runs(tmp_path: Path) -> None:
    store = night(tmp_path)
    with pytest.raises(UnknownRef):
        store.run("day")
    (store.captures / "night@end" / "manifest.json").write_text("{}")
    with pytest.raises(DamagedEvidence):
        store.run("night")


def test_a_run_whose_manifest_is_lost_is_damaged_and_one_that_was_never_sealed_is_not(tmp_path: Path) -> None:
    store = night(tmp_path)
    (store.runs / "night" / "manifest.json").unlink()
    for read in (lambda: store.run("night"), store.newest):
        with pytest.raises(DamagedEvidence):
            read()
    shutil.rmtree(store.runs / "night")
    assert store.run("night").path is None and len(store.run("night").captures) == 6


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    store = night(tmp_path)
    assert [store.free_name(n) for n in ("night", "night", "day", "day", "Day")] == [
        "night-2",
        "night-3",
        "day",
        "day-2",
        "Day-3",
    ]
    long = "x" * 64
    assert store.free_name(long) == long and store.free_name(long) == "x" * 62 + "-2"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a b", "a@b", "ü", "x" * 65, "a\n", "-" * 65, "a~1", "-x", "--weird", "-"]
)
def test_what_is_no_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        Store(tmp_path).free_name(name)


def test_two_at_once_never_share_a_name(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from forensics.store.store import Store\n"
        "s = Store(Path(sys.argv[1])); names = [s.free_name('night') for _ in range(20)]\n"
        "print(*names, flush=True); sys.stdin.read()"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in "ab"
    ]
    claimed = [p.stdout.readline().split() for p in processes if p.stdout]
    for p in processes:
        p.communicate()
    assert [len(c) for c in claimed] == [20, 20] and len({*claimed[0], *claimed[1]}) == 40
    # the claims of processes that ended are free again
    assert Store(tmp_path).free_name("night") == "night"


def test_remove_takes_captures_and_then_the_run(tmp_path: Path) -> None:
    store = night(tmp_path)
    assert store.remove([c.path for c in store.run("night").captures if c.point == "start"]) > 0
    run = store.run("night")
    assert [c.place for c in run.captures] == ["loaded", "loaded", "end", "saved"] and run.path is not None
    (store.captures / "night@end" / "manifest.json").unlink()  # what is damaged can be removed as well
    store.remove(store.directories("night"))
    assert store.run_names() == set() and store.free_name("night") == "night"


def test_what_is_being_written_is_not_seen(tmp_path: Path) -> None:
    store = night(tmp_path)
    with Writer(store.captures, "night@reloaded", "capture"):
        assert len(store.run("night").captures) == 6


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as caught:
        Store(tmp_path / "file").free_name("night")
    assert "--store" in caught.value.hint


@pytest.mark.parametrize("name", ["..", ".", "../runs", "./night", "/", "night/..", "", "nigh", "NIGHT"])
def test_a_path_is_no_run(tmp_path: Path, name: str) -> None:
    store = night(tmp_path)
    assert store.holds("night")
    assert not store.holds(name)
