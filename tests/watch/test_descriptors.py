"""A program that closes every descriptor, as daemons do.

No row of ours lands in its files, and no row is lost.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from forensics.watch.rowfile import RowFile
from tests.support import watched

PROGRAM = """
import hashlib, os, resource, sys
LIMIT, TOP = int(sys.argv[1]), int(sys.argv[2])
if LIMIT:
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
mx.random.seed(7)
model, optimizer = nn.Linear(4, 4), optim.Adam(1e-2)
step = nn.value_and_grad(model, lambda m, x: m(x).square().mean())
def train(n):
    for _ in range(n):
        loss, grads = step(model, mx.ones((2, 4)))
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
train(4)
os.closerange(3, TOP)
files = [open(f"mine{i}.txt", "w") for i in range(40)]
print([file.fileno() for file in files])
train(4)
mx.save_safetensors("model.safetensors", dict(tree_flatten(model.parameters())))
for i, file in enumerate(files):
    file.write(f"{i}\\n")
    file.close()
print([open(f"mine{i}.txt").read() for i in range(40)])
print(hashlib.sha256(open("model.safetensors", "rb").read()).hexdigest())
"""


@pytest.mark.parametrize(
    ("limit", "top"), [(0, 256), (0, 4096), (256, 256)], ids=["some", "all", "all of few"]
)
def test_a_program_that_closes_every_descriptor(limit: int, top: int, tmp_path: Path) -> None:
    plain = watched.run(tmp_path / "plain", PROGRAM, str(limit), str(top), watch=False)
    seen = watched.run(tmp_path / "watched", PROGRAM, str(limit), str(top))
    assert plain.status == 0, plain.stderr
    assert (seen.status, seen.stdout, seen.stderr) == (plain.status, plain.stdout, plain.stderr)
    assert [row["step"] for row in seen.rows("steps")] == list(range(1, 9))
    assert [row["what"] for row in seen.rows("missing")] == []
    assert {"start", "end"} <= set(seen.points())
    assert len(seen.events("save")) == 1


def test_a_number_that_is_now_another_file_is_neither_written_nor_closed(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows.jsonl")
    rows.write(b"1\n")
    number = rows.descriptor
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    os.dup2(other, number)
    rows.write(b"2\n")
    os.dup2(other, rows.descriptor)
    rows.close()
    assert os.fstat(number).st_ino == os.fstat(other).st_ino, "the program's descriptor stays open"
    assert (tmp_path / "other").read_bytes() == b""
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()] == [1, 2]


def test_what_the_disk_cut_short_is_ended_before_the_next_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = RowFile(tmp_path / "rows.jsonl")
    write, room = os.write, [3]

    def full(number: int, data: bytes) -> int:
        taken = min(room[0], len(data))
        room[0] -= taken
        if not taken:
            raise OSError(28, "No space left on device")
        return write(number, bytes(data[:taken]))

    monkeypatch.setattr("forensics.watch.rowfile._write", full)
    with pytest.raises(OSError, match="No space"):
        rows.write(b'"first"\n')
    with pytest.raises(OSError, match="No space"):
        rows.write(b'"second"\n')
    room[0] = 1000
    rows.write(b'"third"\n')
    rows.close()
    assert (tmp_path / "rows.jsonl").read_text().splitlines() == ['"first"', '"third"']
