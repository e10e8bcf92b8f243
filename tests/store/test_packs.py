"""Tensors by digest: kept once, whole, and swept only when nothing needs them."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from forensics import files
from forensics.errors import DamagedEvidence, UnreadableModel, UsageError
from forensics.model.headers import read_header
from forensics.records import RawTensor
from forensics.store.packs import Packs
from forensics.tensors.measure import measure


def tensor(data: bytes, dtype: str = "F32", name: str = "t") -> RawTensor:
    return RawTensor(name, dtype, (len(data) // 4,), len(data), lambda start, stop: data[start:stop])


def pair(data: bytes, dtype: str = "F32") -> tuple[str, RawTensor]:
    raw = tensor(data, dtype)
    return measure(raw).digest, raw


def content(packs: Packs, digest: str) -> bytes:
    raw = packs.read(digest)
    assert raw is not None and raw.name == digest
    return bytes(raw.read(0, raw.nbytes))


def model(path: Path, tensors: dict[str, bytes]) -> dict[str, str]:
    """A safetensors file; returns tensor name to digest."""
    header, at = {}, 0
    for name, data in tensors.items():
        header[name] = {"dtype": "F32", "shape": [len(data) // 4], "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(tensors.values()))
    return {raw.name: measure(raw).digest for raw in read_header(path).tensors()}


def test_put_keeps_each_once(tmp_path: Path) -> None:
    packs = Packs(tmp_path / "packs")
    a, b = pair(b"aaaa" * 10), pair(b"bbbb" * 3)
    assert packs.put([a, b]) > 0 and packs.put([a, b]) == 0
    assert packs.digests() == {a[0], b[0]}
    again = Packs(tmp_path / "packs")
    assert content(again, a[0]) == b"aaaa" * 10 and content(again, b[0]) == b"bbbb" * 3
    assert again.read("0" * 64) is None


def test_equal_tensors_make_equal_packs(tmp_path: Path) -> None:
    pairs = [pair(bytes([n]) * 40) for n in range(5)]
    for name, order in (("x", pairs), ("y", pairs[::-1])):
        Packs(tmp_path / name).put(order)
    (one,), (two,) = ([(p.name, p.read_bytes()) for p in (tmp_path / n).iterdir()] for n in "xy")
    assert one == two


def test_another_process_finds_what_came_since(tmp_path: Path) -> None:
    reader, writer = Packs(tmp_path / "packs"), Packs(tmp_path / "packs")
    digest, raw = pair(b"late")
    assert reader.read(digest) is None
    writer.put([(digest, raw)])
    assert content(reader, digest) == b"late"


def test_empty_tensors_and_types_of_gguf(tmp_path: Path) -> None:
    packs = Packs(tmp_path / "packs")
    empty, block = (
        pair(b""),
        RawTensor("q", "Q4_1", (2, 32), 40, lambda start, stop: bytes(range(40))[start:stop]),
    )
    digest = measure(block).digest
    packs.put([empty, (digest, block)])
    found = Packs(tmp_path / "packs").read(digest)
    assert (
        found is not None
        and (found.dtype, found.shape) == ("Q4_1", (2, 32))
        and measure(found).digest == digest
    )
    assert content(packs, empty[0]) == b""


def test_bytes_that_are_not_of_their_digest_are_refused(tmp_path: Path) -> None:
    packs = Packs(tmp_path / "packs")
    digest, _ = pair(b"true")
    with pytest.raises(UnreadableModel):
        packs.put([(digest, tensor(b"lies"))])
    assert packs.digests() == set() and not any((tmp_path / "packs").iterdir())


@pytest.mark.parametrize("cloned", [True, False])
def test_adopt_keeps_a_whole_file_that_survives_its_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cloned: bool
) -> None:
    if not cloned:
        monkeypatch.setattr(files, "clone", lambda *_: False)
    source = tmp_path / "model.safetensors"
    named = model(source, {"w.weight": b"wwww" * 100, "b": b"bbbb", "twin": b"bbbb"})
    packs = Packs(tmp_path / "packs")
    assert packs.adopt(source, named) > 0
    (pack,) = (tmp_path / "packs").glob("*.safetensors")
    assert not pack.samefile(source) and pack.stat().st_nlink == 1
    source.write_bytes(b"another program saved over it")
    fresh = Packs(tmp_path / "packs")
    assert content(fresh, named["w.weight"]) == b"wwww" * 100 and content(fresh, named["twin"]) == b"bbbb"
    assert fresh.digests() == set(named.values())


def test_adopt_of_a_file_named_by_digests_may_move_it(tmp_path: Path) -> None:
    digests = [pair(d)[0] for d in (b"1111", b"2222")]
    source = tmp_path / "tensors.safetensors"
    model(source, dict(zip(digests, (b"1111", b"2222"), strict=True)))
    packs = Packs(tmp_path / "packs")
    packs.adopt(source, digests, move=True)
    assert not source.exists() and content(packs, digests[1]) == b"2222"
    assert not list((tmp_path / "packs").glob("*.json"))


def test_adopt_puts_only_what_is_new(tmp_path: Path) -> None:
    packs = Packs(tmp_path / "packs")
    first = model(tmp_path / "a.safetensors", {"w": b"wwww" * 1000, "b": b"bbbb"})
    packs.adopt(tmp_path / "a.safetensors", first)
    second = model(tmp_path / "b.safetensors", {"w": b"wwww" * 1000, "b": b"cccc"})
    assert packs.adopt(tmp_path / "b.safetensors", second) < 1000
    assert content(packs, second["b"]) == b"cccc"


def test_sweep_frees_what_is_not_kept_and_only_that(tmp_path: Path) -> None:
    packs = Packs(tmp_path / "packs")
    big, small, other = pair(b"x" * 40_000), pair(b"s" * 400), pair(b"o" * 4000)
    packs.put([big, small])
    packs.put([other])
    freed = packs.sweep({small[0], other[0]})
    assert 39_000 < freed < 42_000
    assert packs.digests() == {small[0], other[0]} and content(packs, small[0]) == b"s" * 400
    assert packs.sweep(set()) > 0 and packs.digests() == set() and packs.names() == []


def test_sweep_waits_for_whoever_writes(tmp_path: Path) -> None:
    writer, cleaner = Packs(tmp_path / "packs"), Packs(tmp_path / "packs")
    writer.put([pair(b"live")])
    with pytest.raises(UsageError, match="being written"):
        cleaner.sweep(set())
    assert writer.read(pair(b"live")[0]) is not None
    del writer
    assert cleaner.sweep(set()) > 0


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    packs = Packs(tmp_path / "packs")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        packs.put([pair(b"data" * 100)])
    monkeypatch.undo()
    assert list((tmp_path / "packs").iterdir()) == [] and packs.put([pair(b"data" * 100)]) > 0


def test_damage_is_found_and_named(tmp_path: Path) -> None:
    packs = Packs(tmp_path / "packs")
    packs.put([pair(b"a" * 100), pair(b"b" * 100)])
    (name,) = packs.names()
    assert packs.check(name) == []
    path = tmp_path / "packs" / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert len(packs.check(name)) == 1
    path.write_bytes(data[:-50])
    assert Packs(tmp_path / "packs").check(name) == [f"{name}: A pack cannot be read."]
    with pytest.raises(DamagedEvidence):
        Packs(tmp_path / "packs").digests()


def test_what_is_damaged_is_not_packed_anew(tmp_path: Path) -> None:
    packs = Packs(tmp_path / "packs")
    kept, other = pair(b"a" * 100), pair(b"b" * 100)
    packs.put([kept, other])
    (name,) = packs.names()
    place = packs.place(kept[0])
    assert place is not None
    data = bytearray((tmp_path / "packs" / name).read_bytes())
    data[place.begin] ^= 1
    (tmp_path / "packs" / name).write_bytes(data)
    with pytest.raises(DamagedEvidence, match="not what was recorded"):
        packs.sweep({kept[0]})
    assert packs.names() == [name]


def test_what_stays_in_its_file_is_read_there_as_long_as_that_is_the_same(tmp_path: Path) -> None:
    source = tmp_path / "model.safetensors"
    named = model(source, {"w": b"wwww" * 10, "b": b"bbbb"})
    packs = Packs(tmp_path / "packs")
    packs.refer(source, {"w": named["w"]})
    other = Packs(tmp_path / "packs")
    assert content(other, named["w"]) == b"wwww" * 10 and other.read(named["b"]) is None
    assert other.digests() == set() and other.nbytes() == 0 and other.names() == []  # it is not kept
    os.utime(source, (1, 1))
    assert Packs(tmp_path / "packs").read(named["w"]) is None
    packs.sweep({named["w"]})
    assert list((tmp_path / "packs").iterdir())
    packs.sweep({named["b"]})
    assert not list((tmp_path / "packs").iterdir())
