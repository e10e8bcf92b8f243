"""Captures on disk: whole or not there, equal for equal rows, and refused where they are damaged."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forensics import files
from forensics.errors import DamagedEvidence
from forensics.store.capture import Writer
from forensics.store.manifest import checked, read_manifest, verify

STEPS = [{"run": "night", "step": n, "loss": 1.5 / (n + 1)} for n in range(5)]


def sealed(parent: Path, name: str = "night") -> Path:
    with Writer(parent, name, "run") as writer:
        writer.rows("steps", STEPS)
        writer.rows("events", [{"run": name, "sequence": 0, "kind": "load", "detail": '{"a": "🔥"}'}])
        return writer.seal({"run": name, "kind": "watched", "seconds": 1.5, "missing": []})


def lines(path: Path, table: str) -> list[dict[str, object]]:
    return [
        json.loads(line)
        for line in gzip.decompress((path / f"tables/{table}.jsonl.gz").read_bytes()).splitlines()
    ]


def test_a_sealed_capture_is_whole(tmp_path: Path) -> None:
    path = sealed(tmp_path)
    manifest = read_manifest(path)
    assert (manifest.format, manifest.kind, manifest.name) == (1, "run", "night")
    assert manifest.head == {"run": "night", "kind": "watched", "seconds": 1.5, "missing": "[]"}
    assert sorted(manifest.files) == ["tables/events.jsonl.gz", "tables/steps.jsonl.gz"]
    assert verify(path) == [] and lines(path, "steps")[1]["loss"] == 0.75
    assert [p.name for p in tmp_path.iterdir()] == ["night"]


@pytest.mark.long
def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    first = {
        p.relative_to(a): p.read_bytes()
        for a in [sealed(tmp_path / "a")]
        for p in a.rglob("*")
        if p.is_file()
    }
    time.sleep(1.1)  # gzip would write the time in seconds
    second = {
        p.relative_to(b): p.read_bytes()
        for b in [sealed(tmp_path / "b")]
        for p in b.rglob("*")
        if p.is_file()
    }
    assert first == second


def test_rows_are_typed_by_the_schema(tmp_path: Path) -> None:
    odd = {
        "run": None,
        "step": 3.0,
        "loss": float("nan"),
        "gradient_norm": float("-inf"),
        "tokens": "many",
        "gradients": 1 << 31,
        "nobody": 1,
        "learning_rate": 1,
        "process": True,
    }
    with Writer(tmp_path, "night", "run") as writer:
        writer.rows("steps", [odd])
        writer.rows("events", [{"detail": {"a": [1, None]}, "place": "train\udcff.py:3"}])
        path = writer.seal({})
    assert lines(path, "steps") == [
        {"step": 3, "loss": "NaN", "gradient_norm": "-Infinity", "learning_rate": 1.0, "process": 1}
    ]
    assert lines(path, "events") == [{"detail": '{"a":[1,null]}', "place": "train%FF.py:3"}]


def test_an_unknown_table_is_our_own_mistake(tmp_path: Path) -> None:
    with Writer(tmp_path, "night", "run") as writer, pytest.raises(KeyError):
        writer.rows("stepz", STEPS)
    assert list(tmp_path.iterdir()) == []


def test_an_error_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Writer(tmp_path, "night", "run") as writer:
        writer.rows("steps", STEPS)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_an_interrupted_capture_left_is_replaced(tmp_path: Path) -> None:
    sealed(tmp_path)
    with Writer(tmp_path, "night", "run") as writer:
        writer.rows("steps", STEPS[:1])
        path = writer.seal({"run": "night"})
    assert (
        len(lines(path, "steps")) == 1
        and verify(path) == []
        and [p.name for p in tmp_path.iterdir()] == ["night"]
    )


KILLED = """
import os, sys, time
from pathlib import Path
from forensics.store.capture import Writer
from forensics import files
writer = Writer(Path(sys.argv[1]), "night@end", "capture")
rows = [{"capture": "night@end", "name": f"layer.{n}", "digest": os.urandom(32).hex()} for n in range(20000)]
stop = int(sys.argv[2])
calls = 0
real = files.sync
def sync(path):
    global calls
    calls += 1
    if calls == stop:
        print("now", flush=True); time.sleep(60)
    real(path)
files.sync = sync
writer.rows("placements", rows)
if stop == 0:
    print("now", flush=True); time.sleep(60)
writer.seal({"capture": "night@end"})
"""


@pytest.mark.parametrize("stop", [0, 1, 2, 4, 5])
def test_kill_while_writing(tmp_path: Path, stop: int) -> None:
    parent = tmp_path / "captures"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(parent), str(stop)], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    whole = [p for p in parent.iterdir() if "~" not in p.name]
    assert len(whole) == (1 if stop == 5 else 0) and all(verify(p) == [] for p in whole)
    assert all(files.stale(p) for p in parent.iterdir() if "~" in p.name)


def test_full_disk(tmp_path: Path) -> None:
    """A file system of ours that is full cannot be had without rights.

    A limit on the file size ends a write the same way.
    """
    program = (
        "import resource, signal, sys, os; from pathlib import Path; from forensics.store.capture import"
        " Writer\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE,"
        " (20000, 20000))\ntry:\n    with Writer(Path(sys.argv[1]), 'night@end', 'capture') as w:\n       "
        " w.rows('placements', [{'name': os.urandom(32).hex()} for _ in range(20000)]); w.seal({})\nexcept"
        " OSError as error: print('full', error.errno)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("full") and done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_damage_is_named(tmp_path: Path) -> None:
    path = sealed(tmp_path)
    member = path / "tables/steps.jsonl.gz"
    good = member.read_bytes()
    member.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert verify(path) == ["tables/steps.jsonl.gz is not what was recorded (its digest differs)"]
    with pytest.raises(DamagedEvidence, match="digest differs"):
        checked(path, read_manifest(path), ["tables/steps.jsonl.gz"])
    member.write_bytes(good[:-1])
    assert "bytes, not" in verify(path)[0]
    member.unlink()
    assert verify(path) == ["tables/steps.jsonl.gz is missing"]
    member.symlink_to("/etc/passwd")
    assert verify(path) == ["tables/steps.jsonl.gz is missing"]
    member.unlink()
    member.write_bytes(good)
    (path / "tables/extra.jsonl.gz").write_bytes(b"")
    assert verify(path) == ["tables/extra.jsonl.gz is not in the manifest"]


GOOD = {"format": 1, "kind": "run", "name": "night", "head": {}, "files": {}}


@pytest.mark.parametrize(
    "change",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        {"format": 2},
        {"format": "1"},
        {"kind": "bundle"},
        {"name": "../night"},
        {"name": "a/b"},
        {"name": "x" * 65},
        {"head": []},
        {"head": {"a": {"b": 1}}},
        {"files": {"../../x": {"size": 1, "sha256": "0" * 64}}},
        {"files": {"/etc/passwd": {"size": 1, "sha256": "0" * 64}}},
        {"files": {"tables/steps.jsonl.gz": {"size": "1", "sha256": "0" * 64}}},
        {"files": {"tables/steps.jsonl.gz": {"size": 1, "sha256": "0"}}},
    ],
)
def test_hostile_manifests_are_refused(tmp_path: Path, change: bytes | dict[str, object]) -> None:
    data = change if isinstance(change, bytes) else json.dumps({**GOOD, **change}).encode()
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(DamagedEvidence) as caught:
        read_manifest(tmp_path)
    assert caught.value.exit_code == 3 and caught.value.where and caught.value.hint


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(DamagedEvidence):
        read_manifest(tmp_path)
    assert list(tmp_path.iterdir()) == []
