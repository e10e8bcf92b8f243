"""Runs whose own tables or captures are not there: never healthy, and `diagnose` and `verify` say which."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from forensics.cli import main
from forensics.store import unsealed
from forensics.store.store import Store
from tests.support import made


def ask(store: Store, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--store", str(store.root)])


def document(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def spooled(store: Store, run: str, parent: int, **more: Any) -> Path:
    """What a run leaves in the spool while process `parent` works on it."""
    spool = store.spool / run
    spool.mkdir(parents=True, exist_ok=True)
    (spool / "options.json").write_text(
        json.dumps({"run": run, "parent": parent, "started": time.time(), **more})
    )
    return spool


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The run `night`, its own tables taken away."""
    store = made.night(tmp_path / "store")
    shutil.rmtree(store.runs / "night")
    return store


def test_a_run_without_its_own_tables_is_never_healthy(store: Store) -> None:
    done = ask(store, "diagnose", "night", "--json")
    assert document(done)["verdict"] == "inconclusive" and done.exit_code == 4
    assert any(note.startswith("the run's own tables: they were removed") for note in document(done)["notes"])
    assert "capture-incomplete" in [finding["id"] for finding in document(done)["findings"]]


def test_a_run_that_is_being_sealed_says_so(store: Store) -> None:
    spooled(store, "night", os.getpid())
    assert any(
        "its program still runs" in note
        for note in document(ask(store, "diagnose", "night", "--json"))["notes"]
    )
    (store.spool / "night" / unsealed.SEALING).touch()
    done = ask(store, "diagnose", "night", "--json")
    assert done.exit_code == 4 and any(
        "being sealed at this moment" in note for note in document(done)["notes"]
    )
    assert "being sealed at this moment" in ask(store, "show", "night").stdout


def test_a_run_of_which_no_capture_is_sealed_yet_is_no_unknown_one(tmp_path: Path) -> None:
    store = made.night(tmp_path / "store")
    (spooled(store, "day", os.getpid()) / unsealed.SEALING).touch()
    for words in (["diagnose", "day"], ["diagnose"], ["show", "day@end"]):
        done = ask(store, *words)
        assert done.exit_code == 4 and "being sealed" in done.stderr, words
    (store.spool / "day" / unsealed.SEALING).unlink()
    assert document(ask(store, "diagnose", "--json"))["b"] == "night@end", (
        "the newest run is the newest that has ended"
    )


@pytest.mark.long
def test_wait_waits_for_the_seal(tmp_path: Path) -> None:
    store = made.night(tmp_path / "store")
    kept = tmp_path / "kept"
    shutil.move(store.runs / "night", kept)
    spool = spooled(store, "night", os.getpid())

    def seal() -> None:
        time.sleep(0.5)
        shutil.move(kept, store.runs / "night")
        shutil.rmtree(spool)

    sealing = threading.Thread(target=seal)
    sealing.start()
    done = ask(store, "diagnose", "night", "--wait", "--json")
    sealing.join()
    assert not [note for note in document(done)["notes"] if note.startswith("the run's own tables")]


def test_verify_misses_what_a_run_consists_of(store: Store, tmp_path: Path) -> None:
    done = ask(store, "verify", "--json")
    assert done.exit_code == 3
    assert document(done)["problems"] == [{"where": "night", "what": "the run's own tables are not there"}]
    assert ask(store, "verify", "night").exit_code == 3
    (spooled(store, "night", os.getpid()) / unsealed.SEALING).touch()
    assert ask(store, "verify").exit_code == 0, "a run that is being sealed is not damaged"


def test_a_removed_capture_is_missed(tmp_path: Path) -> None:
    store = made.night(tmp_path / "store")
    shutil.rmtree(store.runs / "night")
    made.run(store, "night", captures=json.dumps(["loaded", "end"]))
    assert ask(store, "verify").exit_code == 0
    shutil.move(store.captures / "night@loaded", tmp_path / "aside")
    done = ask(store, "verify", "night", "--json")
    assert done.exit_code == 3 and document(done)["problems"] == [
        {"where": "night", "what": "its capture night@loaded is gone"}
    ]
    told = document(ask(store, "diagnose", "night", "--json"))
    assert told["verdict"] == "inconclusive" and any(
        note.startswith("the capture night@loaded: it was there") for note in told["notes"]
    )
    shutil.move(tmp_path / "aside", store.captures / "night@loaded")
    assert ask(store, "rm", "night@loaded").exit_code == 0
    assert ask(store, "verify", "night").exit_code == 0, "what the user removed is not missed"


def test_a_capture_that_was_bundled_alone_is_whole_and_is_not_judged_as_a_run(tmp_path: Path) -> None:
    store = made.night(tmp_path / "store")
    bundle = tmp_path / "end.zip"
    assert ask(store, "bundle", "night@end", "-o", str(bundle)).exit_code == 0
    other = Store(tmp_path / "other")
    assert ask(other, "open", str(bundle)).exit_code == 0
    assert ask(other, "verify").exit_code == 0
    assert document(ask(other, "diagnose", "night", "--json"))["verdict"] == "inconclusive"


def test_a_dead_process_seals_nothing(store: Store) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    spooled(store, "night", dead.pid)
    assert unsealed.state(store.root, "night") == "interrupted"
    shutil.rmtree(store.spool)
    assert unsealed.state(store.root, "night") == "gone"
