"""Models and stores at URLs.

What is said of them is what is said of the same files on disk, or they are refused.
"""

from __future__ import annotations

import json
import pickle
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from forensics.cli import main
from forensics.errors import UnknownRef, UnreadableModel, UsageError
from forensics.model import remote
from forensics.model.checkpoint import open_model
from forensics.model.remote import Remote, is_url, located
from forensics.store import mirror
from forensics.store.place import find
from forensics.tensors.cache import measured
from tests.capture.test_filepair import model, two

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a server that speaks as S3 does."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.long)])
def put(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Path, str], str]]:
    """Puts a directory at a URL, of a filesystem in memory or of S3's interface; gives the URL."""
    if request.param == "memory":
        fs = fsspec.filesystem("memory")
        yield lambda path, name: _put(fs, path, f"memory://{name}")
        fs.store.clear()
        fs.pseudo_dirs[:] = [""]
        return
    pytest.importorskip("s3fs").S3FileSystem.clear_instance_cache()
    settings = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**settings, "AWS_ENDPOINT_URL": request.getfixturevalue("s3")}.items():
        monkeypatch.setenv(name, value)
    fs = fsspec.filesystem("s3")
    bucket = uuid.uuid4().hex
    fs.mkdir(bucket)
    yield lambda path, name: _put(fs, path, f"s3://{bucket}/{name}")
    fs.clear_instance_cache()


def _put(fs: Any, path: Path, url: str) -> str:
    for file in (p for p in path.rglob("*") if p.is_file()):
        at = f"{url}/{file.relative_to(path)}"
        fs.makedirs(at.rpartition("/")[0], exist_ok=True)
        fs.pipe(at, file.read_bytes())
    return url


def run(*words: object, store: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words), "--store", str(store)])


def said(*words: object, store: object) -> Any:
    found = run(*words, "--json", store=store)
    assert found.exit_code in (0, 1), found.output
    return json.loads(found.stdout)


def test_paths_are_no_urls_and_urls_survive_what_path_does_to_them() -> None:
    assert not any(map(is_url, ("./a", "a/b", "/a:/b", "C:/model", "run@end:m1", "snapshots/base")))
    for text in ("s3://bucket/a/b", Path("s3://bucket/a/b")):
        found = located(text)
        assert (str(found), str(found.parent / "c"), found.name) == (
            "s3://bucket/a/b",
            "s3://bucket/a/c",
            "b",
        )
        assert isinstance(found.with_name("d"), Remote)


def test_a_model_at_a_url_is_measured_as_on_disk(tmp_path: Path, put: Callable[[Path, str], str]) -> None:
    a, _ = two(tmp_path)
    here, there = open_model(a), open_model(located(put(a, "a")))
    assert measured(here.stored) == measured(there.stored)
    sent = pickle.loads(pickle.dumps(there.stored))  # as to another machine
    assert [bytes(s.raw.read(0, s.raw.nbytes)) for s in sent] == [
        bytes(s.raw.read(0, s.raw.nbytes)) for s in here.stored
    ]
    assert here.configs == there.configs


def test_a_diff_of_urls_says_what_a_diff_of_paths_says(
    tmp_path: Path, put: Callable[[Path, str], str]
) -> None:
    here = two(tmp_path)
    there = [put(path, path.name) for path in here]
    documents = [said("diff", *words, store=tmp_path / "store") for words in (here, there)]
    for document in documents:
        del document["a"], document["b"], document["environment"]
    assert documents[0] == documents[1]
    assert documents[0]["parameters"]["changed"] == 2


@pytest.mark.long
@pytest.mark.parametrize("tensors", ["all", "new", "none"])
def test_a_captured_url_is_compared_with_a_captured_path(
    tmp_path: Path, put: Callable[[Path, str], str], tensors: str
) -> None:
    a, b = two(tmp_path)
    store = tmp_path / "store"
    for path, name in ((a, "a"), (located(put(b, "b")), "b")):
        done = run("capture", path, "--name", name, "--tensors", tensors, store=store)
        assert done.exit_code == 0, done.output
    changed = {p["name"]: p["l2"] for p in said("diff", "a", "b", store=store)["changed"]}
    up = changed["model.layers.0.mlp.up_proj.weight"]
    assert up is None if tensors == "none" else up == pytest.approx(1.0, rel=1e-6)


@pytest.mark.long
def test_a_store_at_a_url_answers_as_it_does_on_disk(tmp_path: Path, put: Callable[[Path, str], str]) -> None:
    here = tmp_path / "store"
    for path in two(tmp_path):
        assert run("capture", path, store=here).exit_code == 0
    url = put(here, "evidence")
    assert said("diff", "a", "b", store=url) == said("diff", "a", "b", store=here)
    fetched = {p.suffix for p in (tmp_path / "cache" / "mlx-forensics" / "stores").rglob("*") if p.is_file()}
    assert ".safetensors" not in fetched
    lists = [[r["run"] for r in said("list", store=s)["runs"]] for s in (url, here)]
    assert lists[0] == lists[1] == ["a", "b"]


@pytest.mark.long
def test_a_store_at_a_url_is_followed_and_never_written(
    tmp_path: Path, put: Callable[[Path, str], str]
) -> None:
    here = tmp_path / "store"
    a, b = two(tmp_path)
    assert run("capture", a, store=here).exit_code == 0
    url = put(here, "evidence")
    assert [r["run"] for r in said("list", store=url)["runs"]] == ["a"]
    assert run("capture", b, store=here).exit_code == 0
    put(here, "evidence")
    assert [r["run"] for r in said("list", store=url)["runs"]] == ["a", "b"]
    for words in (("capture", b), ("rm", "a"), ("gc",)):
        refused = run(*words, store=url)
        assert refused.exit_code == 2 and "can only be read" in refused.output, refused.output


@pytest.mark.long
def test_a_removed_run_goes_from_the_copy(tmp_path: Path) -> None:
    here = tmp_path / "store"
    for path in two(tmp_path):
        assert run("capture", path, store=here).exit_code == 0
    fs = fsspec.filesystem("memory")
    url = _put(fs, here, "memory://removed")
    assert find(url).run_names() == {"a", "b"}
    for name in ("/removed/captures/a@rest", "/removed/runs/a"):
        fs.rm(name, recursive=True)
    assert find(url).run_names() == {"b"}


def test_a_range_that_is_cut_off_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, _ = two(tmp_path)
    url = _put(fsspec.filesystem("memory"), a, "memory://cut")
    wanted = measured(open_model(a).stored)
    stored = open_model(located(url)).stored
    short = iter([True] + [False] * 100)
    whole = fsspec.implementations.memory.MemoryFileSystem.cat_file

    def cat_file(
        self: Any, path: str, start: int | None = None, end: int | None = None, **more: Any
    ) -> bytes:
        data: bytes = whole(self, path, start, end, **more)
        return data[:-1] if next(short) else data

    monkeypatch.setattr(remote.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "cat_file", cat_file)
    assert measured(stored) == wanted
    short = iter(lambda: True, False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with pytest.raises(UnreadableModel, match="were asked for, and"):
        measured(stored)


def test_an_object_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two(tmp_path)
    fs = fsspec.filesystem("memory")
    stored = open_model(located(_put(fs, a, "memory://moving"))).stored
    read = Remote.read_range

    def and_change(self: Remote, start: int, stop: int) -> bytes:
        data = read(self, start, stop)
        fs.pipe("memory://moving/model.safetensors", (a / "model.safetensors").read_bytes())
        return data

    monkeypatch.setattr(Remote, "read_range", and_change)
    with pytest.raises(UnreadableModel, match="changed while it was read"):
        measured(stored)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    a, _ = two(tmp_path)
    stored = open_model(a).stored
    other = {s.raw.name: np.ones((40, 64), "<f4") for s in stored}
    (model(tmp_path / "c", other) / "model.safetensors").replace(a / "model.safetensors")
    with pytest.raises(UnreadableModel, match="changed while it was read"):
        measured(stored)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableModel, match="nothing at this path"):
        open_model(located("memory://nothing/here"))
    with pytest.raises(UsageError, match="no kind of address"):
        open_model(located("nonsense://a/b"))
    with pytest.raises(UnknownRef, match="no store"):
        mirror.mirror("memory://nothing/here")
    refused = run("capture", "memory://nothing/here", store=tmp_path / "store")
    assert refused.exit_code == 2 and "memory://nothing/here" in refused.output


@pytest.mark.long
def test_a_bundle_at_a_url_is_a_ref(tmp_path: Path, put: Callable[[Path, str], str]) -> None:
    a, _ = two(tmp_path)
    store, out = tmp_path / "store", tmp_path / "out"
    out.mkdir()
    assert run("capture", a, store=store).exit_code == 0
    assert run("bundle", "a", "-o", out / "bug.zip", store=store).exit_code == 0
    url = put(out, "bundles")
    assert said("diff", f"{url}/bug.zip", "a", store=store)["parameters"]["identical"] == 3


def test_a_capture_of_a_store_elsewhere_is_named_by_its_ref(tmp_path: Path) -> None:
    a, _ = two(tmp_path)
    assert run("capture", a, store=tmp_path / "store").exit_code == 0
    url = _put(fsspec.filesystem("memory"), tmp_path / "store", "memory://elsewhere")
    refused = run("show", f"{url}/captures/a@rest", store=tmp_path / "store")
    assert refused.exit_code == 2 and f"--store {url}" in refused.output
