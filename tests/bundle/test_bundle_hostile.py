"""Bundles made to harm: each is refused, the member named, the store as it was.

What is only odd data is taken in harmlessly.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from forensics import evidence
from forensics.bundle import contents, import_, write
from forensics.bundle.archive import Zipped
from forensics.bundle.reader.rebuild import rebuild
from forensics.bundle.reader.validate import Bundle
from forensics.cli import main
from forensics.errors import DamagedEvidence
from forensics.records import RawTensor
from forensics.store.store import Store
from tests.support import hostile, made
from tests.support.command import measured

HARM = {"what": "tokens", "unit": "tokens", "as_it_was": [3, 3], "cured": [0, 0]}
CURE = {
    "ids": ["learning-rate-zero"], "outcome": "proved", "harm": [HARM], "also_changed": [],
    "why": "why is kept where it was proved", "did": {},
}  # fmt: skip
PROVED = {
    "schema": 1, "run": "night", "repeats": 2, "steps": 3, "repeatable": True, "agreement": "", "patch": "",
    "harm": [{"what": "tokens", "unit": "tokens", "as_recorded": 3, "as_it_was": [3, 3]}], "cures": [CURE],
}  # fmt: skip
PROOF = {"schema": 1, "runs": {"night": PROVED}}
SLOW = {"a line without end", "small rows without end", "many members", "depth without end"}


def good(directory: Path) -> Path:
    store = made.night(directory / "store")
    out = directory / "good.zip"
    with ExitStack() as stack:
        staged = write.stage(
            store, contents.select(evidence.chosen(store, ["night"])), "full", text=True, stack=stack
        )
        staged.extra = {"report.html": b"<p>", "proof.json": json.dumps(PROOF).encode()}
        write.finish(staged, out)
    return out


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> hostile.Members:
    return hostile.members(good(tmp_path_factory.mktemp("good")))


@dataclass(frozen=True)
class Sound:
    """A bundle that opens, and the tensors that some of its own are stored as differences from."""

    members: hostile.Members
    bases: dict[str, RawTensor]


@pytest.fixture(scope="module", params=["whole tensors", "differences"])
def either(
    request: pytest.FixtureRequest, sound: hostile.Members, tmp_path_factory: pytest.TempPathFactory
) -> Sound:
    if request.param == "whole tensors":
        return Sound(sound, {})
    directory = tmp_path_factory.mktemp("apart")
    store = made.tuned(directory / "store", 1000)
    with ExitStack() as stack:
        staged = write.stage(
            store, contents.select(evidence.chosen(store, ["night"])), "changed", text=True, stack=stack
        )
        write.finish(staged, directory / "b.zip")
    bases = {d.base: store.packs.read(d.base) for d in staged.tensors.differences.values()}
    assert bases
    return Sound(
        hostile.members(directory / "b.zip"),
        {digest: raw for digest, raw in bases.items() if raw is not None},
    )


def opened(path: Path, target: Path, bases: Mapping[str, RawTensor] | None = None) -> None:
    with Zipped(path) as zipped:
        rebuild(Bundle(zipped), target, {}, bases=bases)


def listing(root: Path) -> dict[str, str]:
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


def test_the_corpus_is_large_and_begins_with_a_bundle_that_opens(
    sound: hostile.Members, tmp_path: Path
) -> None:
    assert len(hostile.CORPUS) >= 60
    for number, data in enumerate((hostile.zipped(sound), hostile.zipped(hostile.resealed(sound)))):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(data)
        opened(path, tmp_path / f"store{number}")


@pytest.mark.parametrize("name", [n for n in hostile.CORPUS if n not in SLOW])
def test_each_is_refused_and_the_member_named(sound: hostile.Members, tmp_path: Path, name: str) -> None:
    member, make = hostile.CORPUS[name]
    path = tmp_path / "evil.zip"
    path.write_bytes(make(sound))
    with pytest.raises(DamagedEvidence) as caught:
        opened(path, tmp_path / "store")
    assert caught.value.exit_code == 3 and caught.value.message and caught.value.hint
    assert member in caught.value.where, (caught.value.message, caught.value.where)
    assert caught.value.where.isprintable() and caught.value.message.isprintable()
    assert not (tmp_path / "evil").exists() and not Path("/tmp/evil").exists()


@pytest.mark.long
@pytest.mark.parametrize("name", hostile.CORPUS)
def test_each_is_refused_by_open_in_little_time_and_memory(
    sound: hostile.Members, tmp_path: Path, name: str
) -> None:
    store = made.night(tmp_path / "store")
    before = listing(store.root)
    path = tmp_path / "evil.zip"
    path.write_bytes(hostile.CORPUS[name][1](sound))
    done = measured(tmp_path, "open", str(path), "--store", str(store.root))
    assert done.status == 3, done.err
    assert done.seconds < 5 and done.peak < 300e6, done
    assert listing(store.root) == before


@pytest.mark.long
@pytest.mark.parametrize("name", hostile.NEUTRAL)
def test_what_is_only_odd_is_taken_in_and_shown_harmlessly(
    sound: hostile.Members, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "odd.zip"
    path.write_bytes(hostile.NEUTRAL[name](sound))
    runner = CliRunner()
    store = ["--store", str(tmp_path / "store")]
    done = runner.invoke(main, ["open", str(path), *store])
    assert done.exit_code == 0, done.output
    page = tmp_path / "page.html"
    for words in (
        ["show", "night"],
        ["diff", "night@loaded", "night@end"],
        ["diagnose", "night"],
        ["report", "night", "-o", str(page)],
    ):
        told = runner.invoke(main, [*words, *store])
        assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
        assert "\x1b]0" not in told.output and "\x1b[2J" not in told.output
    text = page.read_text()
    assert "<script" not in text.lower() and "\x1b" not in text


def test_a_run_of_the_bundles_name_here_is_left_alone(sound: hostile.Members, tmp_path: Path) -> None:
    store = made.night(tmp_path / "store")
    before = listing(store.captures)
    path = tmp_path / "same.zip"
    path.write_bytes(hostile.zipped(sound))
    landed = import_.bring_in(store, path)
    assert landed.runs == ("night-2",) and listing(store.captures).items() >= before.items()
    assert [c.ref for c in Store(store.root).run("night-2").captures] == ["night-2@loaded", "night-2@end"]


def damaged(sound: hostile.Members, data: st.DataObject) -> bytes:
    """A zip with some bytes changed: of the file, an unpacked table, a manifest, or a header of tensors."""
    member = data.draw(st.sampled_from(["", *sorted(sound)]))
    packed = member.endswith(".gz")
    content = bytearray(sound[member] if member else hostile.zipped(sound))
    if packed:
        content = bytearray(gzip.decompress(bytes(content)))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        kind = data.draw(st.integers(0, 2))
        if kind == 0:
            content[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
        elif kind == 1:
            del content[at : at + data.draw(st.integers(1, 20))]
        else:
            content[at:at] = data.draw(
                st.sampled_from([b"\0", b'"', b"{", b"null", b"1e999", b"NaN", b"\n", b"-1", b"\xff"])
            )
    if not member:
        return bytes(content)
    changed = {**sound, member: hostile.gz(bytes(content)) if packed else bytes(content)}
    return hostile.zipped(changed if member == "manifest.json" else hostile.resealed(changed))


def harmless(directory: Path, content: bytes, bases: Mapping[str, RawTensor]) -> None:
    """It opens, its tensors what their digests say, or is refused in words that may be printed.

    Nothing else may come out of the reader.
    """
    path = directory / "damaged.zip"
    path.write_bytes(content)
    try:
        opened(path, directory / "store", bases)
        packs = Store(directory / "store").packs
        assert [problem for name in packs.names() for problem in packs.check(name)] == []
    except DamagedEvidence as error:
        assert error.where.isprintable() and error.message.isprintable()
    finally:
        shutil.rmtree(directory)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_bytes_never_do_more_than_raise(
    either: Sound, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    harmless(tmp_path_factory.mktemp("fuzz"), damaged(either.members, data), either.bases)


@pytest.mark.long
def test_half_a_minute_of_damaged_bytes(either: Sound, tmp_path: Path) -> None:
    end = time.monotonic() + 30
    rounds = 0
    while time.monotonic() < end:
        # A round draws the same however long it takes; only whether another begins hangs on the clock.
        @seed(rounds)
        @settings(max_examples=100, deadline=None, database=None)
        @given(st.data())
        def fuzz(data: st.DataObject) -> None:
            harmless(Path(tempfile.mkdtemp(dir=tmp_path)), damaged(either.members, data), either.bases)

        fuzz()
        rounds += 1
    assert rounds
