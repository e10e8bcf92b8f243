"""Bundles: what leaves and what does not.

Equal captures give equal bytes, and what comes in is what went out.
"""

# ruff: noqa: E501  (rows and secrets as they stand)

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from forensics import evidence, files, schema
from forensics.bundle import client, contents, difference, import_, repeats, secrets, write
from forensics.bundle.archive import Zipped
from forensics.bundle.reader import validate
from forensics.bundle.reader.rebuild import rebuild
from forensics.bundle.reader.validate import Bundle
from forensics.bundle.redact import Redactor
from forensics.cli import main
from forensics.errors import DamagedEvidence, UsageError
from forensics.records import RawTensor
from forensics.store import origins
from forensics.store.keyed import Keyed
from forensics.store.loader import open_session
from forensics.store.place import find
from forensics.store.store import Store
from tests.support import hostile, made

SECRETS = [
    "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ123456", "api_org_aBcDeFgHiJkLmNoPqRsTuVwX", "sk-proj-aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789", "sk-ant-api03-aBcDeFgH1jKlMnOp",
    "ghp_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789", "github_pat_11ABCDEFG0aBcDeFgHiJkLmNo", "gho_16C7e42F292c6912E7710c838347Ae178B4a", "glpat-aBcDeFgHiJkLmNoPqRsT",
    "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "ASIAIOSFODNN7EXAMPLE", "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    "ya29.a0AfH6SMBx-very-long-google-token", "GOCSPX-aBcDeFgHiJkLmNoPqRsTuVwX", "xoxb-123456789012-abcdefGHIJKL", "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "rk_live_4eC39HqLyjWDarjtT1zdp7dc", "npm_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789", "pypi-AgEIcHlwaS5vcmcCJGFiY2RlZjEyMzQ1Njc4",
    "dckr_pat_aBcDeFgHiJkLmNoPqRsTuVwX", "SG.aBcDeFgHiJkLmNoPqRsTuV.aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789abcdefg", "AC0123456789abcdef0123456789abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U", "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA75\n-----END RSA PRIVATE KEY-----",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq4mYz user", "Authorization: Bearer abcdef0123456789abcdef", "postgres://admin:hunter2pass@db.internal:5432/x", "https://user:s3cr3t@example.com/repo.git",
    "password=correct-horse-battery", 'api_key: "0123456789abcdef"', "wandb login 0123456789abcdef0123456789abcdef01234567", "jo.doe@example-corp.com", "192.168.17.34",
    "fe80:0:0:0:200:f8ff:fe21:67cf", "gsk_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789", "r8_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789ab", "hvs.CAESIJaBcDeFgHiJkLmNoPqRsTuVwX12",
    "dapi0123456789abcdef0123456789abcdef", "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "xK9mP2qL7vR4tY8wZ3nB6cF1hJ5dG0sA", "AccountKey=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4==",
]  # fmt: skip  # noqa: E501
DATA = Path(__file__).parents[1] / "data"
PATH = "/Users/jodoe/clients/acme-merger/train.py"


def cli(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def sent(
    store: Store, out: Path, *words: str, level: contents.Level = "stats", text: bool = False
) -> write.Staged:
    with ExitStack() as stack:
        staged = write.stage(
            store, contents.select(evidence.chosen(store, words or ["night"])), level, text=text, stack=stack
        )
        write.finish(staged, out)
        return staged


def everything(path: Path) -> bytes:
    """All bytes of a bundle, tables unpacked."""
    with zipfile.ZipFile(path) as archive:
        return b"\n".join(
            gzip.decompress(d) if n.endswith(".gz") else d
            for n in archive.namelist()
            for d in [archive.read(n)]
        )


def planted(root: Path, text: str) -> Store:
    """A run with `text` wherever a text can stand."""
    store = Store(root)
    store.make()
    shown = json.dumps(text)
    made.capture(
        store, "night@loaded", {"model.a.weight": made.tensor(1, 2), f"model.{text[:90]}.weight": made.tensor(3)},
        {
            "transcripts": [{"prompt_id": text, "source": "probe", "prompt": text, "output": text, "settings": json.dumps({"stop": text, "path": PATH})}],
            "tokens": [{"prompt_id": text, "position": 0, "token_id": 7, "token": text, "class": "text", "top": json.dumps([[7, text, -1.0]])}],
            "configs": [
                {"kind": "model", "key": "name_or_path", "value": shown}, {"kind": "model", "key": "model_type", "value": shown},
                {"kind": "model", "key": f"extra.{text}", "value": json.dumps([text])}, {"kind": "template", "key": "text", "value": shown},
                {"kind": "tokenizer", "key": f"added_tokens.{text}", "value": "7"}, {"kind": "tokenizer", "key": "names.7", "value": shown},
                {"kind": "tokenizer", "key": "frame.head", "value": json.dumps(list(text.encode()))},
                {"kind": "program", "key": "system", "value": json.dumps({"prompt": text, "ids": list(text.encode())})},
            ],
            "modules": [{"module": text, "class": text, "attributes": json.dumps({"note": text, text: 1})}],
            "scores": [{"prompt_id": "p0", "scorer": text, "key": text, "value": 1.0, "error": f"ValueError: {text}"}],
        },
        head={"path": PATH, "missing": json.dumps([{"what": f"hook of {PATH}", "why": f"ValueError: {text}"}]), "place": f"{PATH}:88"},
    )  # fmt: skip
    made.run(
        store, "night",
        {
            "events": [
                {"kind": "error", "detail": json.dumps({"type": "ValueError", "message": text, "call": text, "path": PATH}), "place": f"{PATH}:9"},
                {"kind": "train", "detail": json.dumps({"declared": {"data": text, "model": PATH, "ids": list(text.encode())}})},
            ],
            "environment": [],
            "datasets": [{"path": PATH, "file": f"{text[:60]}.jsonl", "purpose": "train"}],
            "compiled": [{"function": 0, "name": text, "purpose": "step"}],
            "loss_tokens": [{"model": "m0", "step": 1, "input_id": 7, "target_id": 8, "token": text, "weight": 1.0, "role": "answer"}],
            "models": [{"model": "m0", "class": text, "path": PATH}],
        },
        command=json.dumps(["python", PATH, "--token", text]), missing=json.dumps([{"what": "x", "why": f"no '{text}' in {PATH}"}]),
    )  # fmt: skip
    with_environment(store, text)
    return store


def with_environment(store: Store, text: str) -> None:
    made.run(store, "night-env", {"environment": []})
    row = {"capture": "night@loaded", "key": "HF_TOKEN", "value": text}
    made.capture(
        store,
        "night@end",
        {"model.a.weight": made.tensor(1, 2)},
        {"environment": [row, {**row, "key": "mlx"}]},
        sequence=1,
    )


# -- what leaves ---------------------------------------------------------------------------------------------


def test_the_list_of_secrets_is_long_and_each_is_seen() -> None:
    assert len(SECRETS) >= 40
    for secret in SECRETS:
        assert secrets.any_in(f"my text {secret} goes on"), secret
        assert secret not in secrets.clean(f"my text {secret} goes on"), secret


@pytest.mark.parametrize("ordinary", [
    "model.layers.0.self_attn.q_proj.weight", "3.11.7", "macOS-15.1-arm64-arm-64bit", "2026-11-24T12:00:00.000Z", "night@step-100",
    "train.py:88", "mlx_lm.tuner.trainer", "key_value_memory_projection_layers", "lora_parameters.scale", "<|im_start|>", "Qwen2Tokenizer",
])  # fmt: skip
def test_ordinary_words_are_no_secrets(ordinary: str) -> None:
    assert not secrets.any_in(ordinary)


@pytest.mark.long
@pytest.mark.parametrize("level", contents.LEVELS)
def test_no_secret_leaves_at_any_level(tmp_path: Path, level: contents.Level) -> None:
    for number, secret in enumerate(SECRETS):
        out = tmp_path / f"{level}-{number}.zip"
        sent(planted(tmp_path / f"s{number}", secret), out, level=level)
        held = everything(out)
        for form in {secret, json.dumps(secret)[1:-1], secret.splitlines()[0] if "\n" in secret else secret}:
            assert form.encode() not in held, (secret, form)
        assert b"jodoe" not in held and b"acme-merger" not in held and b"HF_TOKEN" not in held


def test_no_text_of_the_user_leaves_and_ids_do_not_either(tmp_path: Path) -> None:
    text = "Tell Maria that her biopsy was fine"
    sent(planted(tmp_path / "s", text), tmp_path / "b.zip", level="full")
    held = everything(tmp_path / "b.zip")
    for part in (
        text,
        "Maria",
        "biopsy",
        json.dumps(list(text.encode())),
        json.dumps(list(text.encode()))[1:20],
    ):
        assert part.encode() not in held, part
    for plain in (hashlib.sha256(text.encode()).hexdigest(), hashlib.md5(text.encode()).hexdigest()):
        assert plain.encode() not in held, "a plain digest of a short text is guessed"


def test_text_leaves_where_that_is_asked_and_secrets_in_it_do_not(tmp_path: Path) -> None:
    store = planted(tmp_path / "s", f"Tell Maria about {SECRETS[0]} in {PATH}")
    sent(store, tmp_path / "b.zip", text=True)
    held = everything(tmp_path / "b.zip")
    assert (
        b"Tell Maria about [huggingface] in path-" in held
        and SECRETS[0].encode() not in held
        and b"jodoe" not in held
    )


def test_a_command_line_never_leaves(tmp_path: Path) -> None:
    store = planted(tmp_path / "s", "hunter2")
    redactor = Redactor(Keyed(b"k"), text=True)
    event = redactor.row(
        "events", {"kind": "exit", "detail": json.dumps({"argv": ["--password", "hunter2"], "message": "no"})}
    )
    assert json.loads(str(event["detail"])) == {"message": "no"}
    for words in (["python", "train.py"], json.dumps(["python", "train.py"])):
        assert (
            redactor.row("runs", {"run": "night", "command": words}) == {"run": "night"}
            and redactor.counts["runs.command"]
        )
    sent(store, tmp_path / "b.zip", text=True)
    assert b"hunter2" in everything(tmp_path / "b.zip") and b"--token" not in everything(tmp_path / "b.zip")


def test_equal_texts_have_equal_tokens_and_the_map_stays_at_home(tmp_path: Path) -> None:
    store = planted(tmp_path / "s", "Tell Maria")
    staged = sent(store, tmp_path / "b.zip")
    token = next(t for t, of in staged.redactor.map.items() if of == "Tell Maria" and t.startswith("text"))
    held = everything(tmp_path / "b.zip")
    assert held.count(token.encode()) >= 2
    path = write.remember(store, staged, "0" * 64)
    assert json.loads(path.read_text())[token] == "Tell Maria" and path.stat().st_mode & 0o077 == 0
    assert b"Tell Maria" not in held


def test_names_that_tell_nothing_stay(tmp_path: Path) -> None:
    redactor = Redactor(Keyed(b"k"), text=False)
    assert redactor.place("train.py:88") == "train.py:88"
    assert (
        redactor.place("/home/jo/.venv/lib/python3.11/site-packages/mlx_lm/tuner/trainer.py:310")
        == "mlx_lm/tuner/trainer.py:310"
    )
    assert redactor.place("/home/jo/secret-project/train.py:88").endswith("/train.py:88")
    assert (
        redactor.file("adapters.safetensors") == "adapters.safetensors"
        and redactor.file("patients.jsonl") != "patients.jsonl"
    )
    assert redactor.word("model.layers.0") == "model.layers.0" and redactor.word("") == ""
    row = redactor.row(
        "events",
        {"kind": "load", "detail": json.dumps({"what": "adapter", "path": "/home/jo/x", "names": 8})},
    )
    assert json.loads(str(row["detail"])) == {"what": "adapter", "names": 8}


def test_dry_run_lists_what_leaves_and_writes_nothing(tmp_path: Path) -> None:
    store = planted(tmp_path / "s", "Tell Maria")
    done = cli(
        "bundle", "night", "--store", str(store.root), "-o", str(tmp_path / "b.zip"), "--dry-run", "--json"
    )
    told = json.loads(done.output)
    assert done.exit_code == 0 and not (tmp_path / "b.zip").exists()
    assert (
        "model.a.weight" in told["leaves"]["placements.name"] and told["redacted"]["transcripts.prompt"] == 1
    )
    assert "Tell Maria" in told["tokens"].values()
    (tmp_path / "b").mkdir()
    sent(store, tmp_path / "b" / "b.zip")
    held = everything(tmp_path / "b" / "b.zip").decode()
    for column, texts in told["leaves"].items():
        for text in texts:
            assert "Maria" not in text, (column, text)
            assert text in held or json.dumps(text, ensure_ascii=False)[1:-1] in held, (column, text)


# -- the file ------------------------------------------------------------------------------------------------


def test_equal_captures_give_equal_bytes_and_the_sums_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = made.night(tmp_path / "s")
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    sent(store, one, level="full")
    later = time.localtime(time.time() + 100_000)
    monkeypatch.setattr(time, "localtime", lambda *_: later)
    monkeypatch.setattr(time, "time", lambda: time.mktime(later))
    sent(store, two, level="full")
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        archive.extractall(tmp_path / "un")
    done = subprocess.run(
        ["sha256sum", "-c", "manifest-sha256.txt"],
        cwd=tmp_path / "un",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "FAILED" not in done.stdout


def test_tables_and_tensors_open_without_this_tool(tmp_path: Path) -> None:
    import duckdb
    from safetensors import safe_open

    sent(made.night(tmp_path / "s"), tmp_path / "b.zip", level="full")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        archive.extractall(tmp_path / "un")
    rows = duckdb.execute(
        "SELECT count(*) FROM read_json(?)", [str(tmp_path / "un/runs/night/tables/steps.jsonl.gz")]
    ).fetchall()
    assert rows == [(8,)]
    (path,) = (tmp_path / "un/packs").glob("*.safetensors")
    with safe_open(str(path), "np") as tensors:
        assert len(list(tensors.keys())) == 4


def test_levels_hold_what_they_say(tmp_path: Path) -> None:
    store = made.night(tmp_path / "s")
    held = {
        level: len(sent(store, tmp_path / f"{level}.zip", level=level).tensors) for level in contents.LEVELS
    }
    assert held == {"stats": 0, "changed": 1, "full": 4}


# -- differences ---------------------------------------------------------------------------------------------


def base_only(root: Path, of: Store) -> Store:
    """A store whose owner has the model that `night` began with, and nothing of the run."""
    store = Store(root)
    store.make()
    first = next(c for c in of.run("night").captures if c.point == "loaded")
    names = {
        r["name"]: of.packs.read(r["digest"])
        for t, found in contents.tables(first.path)
        if t == "placements"
        for r in found
    }
    made.capture(store, "model@rest", {name: raw for name, raw in names.items() if raw is not None})
    made.run(store, "model", kind="rest")
    return store


def digest_of(store: Store, ref: str, name: str) -> str:
    capture = next(c for c in store.run(ref.partition("@")[0]).captures if c.ref == ref)
    return next(
        r["digest"]
        for t, found in contents.tables(capture.path)
        if t == "placements"
        for r in found
        if r["name"] == name
    )


def test_what_moved_a_little_leaves_as_a_difference_and_comes_back_where_its_base_is(tmp_path: Path) -> None:
    store = made.tuned(tmp_path / "s")
    staged = sent(store, tmp_path / "b.zip", level="changed")
    assert len(staged.tensors.whole) == len(staged.tensors.differences) == 1 and staged.tensors.against == [
        "night@loaded"
    ]
    assert staged.tensors.nbytes < 0.3 * 1_600_000
    other = base_only(tmp_path / "t", store)
    landed = import_.bring_in(other, tmp_path / "b.zip")
    assert landed.waiting == 0 and other.packs.digests() >= {
        digest_of(store, "night@end", n) for n in ("a.weight", "b.weight")
    }
    assert cli("verify", "--store", str(other.root)).exit_code == 0


def test_without_its_base_a_difference_is_no_tensor_and_the_base_is_named(tmp_path: Path) -> None:
    store, other = made.tuned(tmp_path / "s"), Store(tmp_path / "t")
    sent(store, tmp_path / "b.zip", level="changed")
    done = cli("open", str(tmp_path / "b.zip"), "--store", str(other.root), "--as", "issue")
    assert done.exit_code == 0 and "1 tensor is stored as a difference from issue@loaded" in done.output, (
        done.output
    )
    assert other.packs.digests() == {digest_of(store, "night@end", "b.weight")}
    assert cli("verify", "--store", str(other.root)).exit_code == 0


def test_a_base_that_comes_later_brings_the_tensor_when_the_bundle_is_opened_again(tmp_path: Path) -> None:
    store = made.tuned(tmp_path / "s")
    sent(store, tmp_path / "b.zip", level="changed")
    wanted = digest_of(store, "night@end", "a.weight")
    other = Store(tmp_path / "t")
    assert import_.bring_in(other, tmp_path / "b.zip").waiting == 1
    other = base_only(tmp_path / "t", store)
    landed = import_.bring_in(other, tmp_path / "b.zip")
    assert (
        landed.already
        and landed.waiting == 0
        and wanted in other.packs.digests()
        and other.run_names() == {"night", "model"}
    )
    assert import_.bring_in(Store(other.root), tmp_path / "b.zip").waiting == 0


def test_a_bundle_read_where_it_lies_finds_its_bases_in_the_store(tmp_path: Path) -> None:
    from forensics.bundle import scratchstore

    store = made.tuned(tmp_path / "s")
    sent(store, tmp_path / "b.zip", level="changed")
    wanted = digest_of(store, "night@end", "a.weight")
    without = scratchstore.passing_store(tmp_path / "b.zip", "b.zip", Store(tmp_path / "none").packs)
    there = scratchstore.passing_store(tmp_path / "b.zip", "b.zip", base_only(tmp_path / "t", store).packs)
    assert wanted not in without.packs.digests() and wanted in there.packs.digests()


def wronged(path: Path, out: Path, deflated: bytes) -> None:
    """A bundle whose difference is `deflated`, sealed again.

    All of its digests hold but that of the tensor.
    """
    held = hostile.members(path)
    document = json.loads(held["manifest.json"])
    ((digest, apart),) = document["differences"].items()
    name = next(n for n, d in held.items() if n.startswith("packs/") and apart["held"].encode() in d)
    found = hashlib.sha256(f"U8\0{len(deflated)}\0".encode() + deflated).hexdigest()
    held[name] = hostile.tensors(hostile.entry(found, "U8", [len(deflated)], [0, len(deflated)]), deflated)
    out.write_bytes(hostile.zipped(hostile.resealed(held, differences={digest: {**apart, "held": found}})))


@pytest.mark.parametrize(
    ("deflated", "why"),
    [
        (zlib.compress(bytes(1_600_000)), "is not what its digest says"),
        (zlib.compress(bytes(1_599_999)), "fewer bytes"),
        (zlib.compress(bytes(1_600_001)), "more bytes"),
        (zlib.compress(bytes(300_000_000)), "more bytes"),
        (b"no deflated bytes", "cannot be unpacked"),
    ],
    ids=["another tensor", "too short", "too long", "a bomb", "no deflate"],
)
def test_a_wrong_difference_is_refused_and_gives_no_tensor(tmp_path: Path, deflated: bytes, why: str) -> None:
    store = made.tuned(tmp_path / "s")
    sent(store, tmp_path / "b.zip", level="changed")
    wronged(tmp_path / "b.zip", tmp_path / "wrong.zip", deflated)
    other = base_only(tmp_path / "t", store)
    before = sorted(p.relative_to(tmp_path) for p in other.root.rglob("*"))
    done = cli("open", str(tmp_path / "wrong.zip"), "--store", str(other.root))
    assert done.exit_code == 3 and why in done.output, done.output
    assert sorted(p.relative_to(tmp_path) for p in other.root.rglob("*")) == before


VALUES_OF = {"F32": 4, "BF16": 2, "F16": 2, "U8": 1, "F64": 8, "Q4_1": 1}


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    dtype=st.sampled_from(sorted(VALUES_OF)),
    count=st.integers(600, 3000),
    seed=st.integers(0, 9),
)
def test_a_difference_and_its_base_give_the_tensor(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, dtype: str, count: int, seed: int
) -> None:
    drawn = random.Random(seed)
    one = drawn.randbytes(count * VALUES_OF[dtype])
    other = bytearray(one)
    for at in data.draw(st.lists(st.integers(0, len(one) - 1), max_size=20)):
        other[at] ^= data.draw(st.integers(0, 255))
    base, tensor = (
        RawTensor(n, dtype, (count,), len(b), lambda i, j, b=bytes(b): b[i:j])
        for n, b in (("base", one), ("t", other))
    )
    with (tmp_path_factory.mktemp("d") / "f").open("w+b") as file:
        file.write(b"before")
        found = difference.difference(base, tensor, file)
        assert found is not None and found[0].base == "base"
        held = bytes(found[1].read(0, found[1].nbytes))
        restored = difference.Restored(base, iter([held[:7], held[7:]]))
        assert restored.read(0, len(one)) == bytes(other)
        for bad in (held[:-9], held[:3] + b"xx" + held[5:], b""):
            with pytest.raises(ValueError):
                difference.Restored(base, iter([bad])).read(0, len(one))
    assert found[1].name == hashlib.sha256(f"U8\0{len(held)}\0".encode() + held).hexdigest()


def test_tensors_of_several_blocks_come_back_whole(tmp_path: Path) -> None:
    size = 2 * difference.BLOCK + 36
    one = random.Random(1).randbytes(size)
    other = one[:-5] + bytes(5)
    base, tensor = (RawTensor("t", "F32", (size // 4,), size, lambda i, j, b=b: b[i:j]) for b in (one, other))
    with (tmp_path / "f").open("w+b") as file:
        found = difference.difference(base, tensor, file)
        assert found is not None and found[1].nbytes < 20_000
        restored = difference.Restored(base, iter([bytes(found[1].read(0, found[1].nbytes))]))
        starts = range(0, size, difference.BLOCK)
        assert b"".join(restored.read(at, min(at + difference.BLOCK, size)) for at in starts) == other


def test_no_difference_is_made_where_the_whole_is_smaller(tmp_path: Path) -> None:
    one, other = (random.Random(n).randbytes(8000) for n in (1, 2))
    tensors = [RawTensor("t", "F32", (2000,), 8000, lambda i, j, b=b: b[i:j]) for b in (one, other)]
    with (tmp_path / "f").open("w+b") as file:
        assert difference.difference(*tensors, file) is None and file.tell() == 0


# -- size ----------------------------------------------------------------------------------------------------


def test_a_bundle_that_is_too_large_is_not_written_and_says_what_fits(tmp_path: Path) -> None:
    store = made.night(tmp_path / "s")
    made.capture(store, "large@rest", {f"w{n}": made.tensor(*range(20_000)) for n in range(1)})
    done = cli(
        "bundle",
        "large",
        "--store",
        str(store.root),
        "-o",
        str(tmp_path / "b.zip"),
        "--level",
        "full",
        "--max-size",
        "50000",
    )
    assert (
        done.exit_code == 2
        and "--level changed fits" in done.output
        and "tensors" in done.output
        and not (tmp_path / "b.zip").exists()
    )


@pytest.mark.parametrize("level", contents.LEVELS)
def test_the_size_is_known_before_writing(tmp_path: Path, level: contents.Level) -> None:
    store = made.tuned(tmp_path / "s", 5000)
    with ExitStack() as stack:
        staged = write.stage(
            store, contents.select(evidence.chosen(store, ["night"])), level, text=False, stack=stack
        )
        told = staged.nbytes()
        write.finish(staged, tmp_path / "b.zip")
    assert 0.7 * told < (tmp_path / "b.zip").stat().st_size <= told


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    store = made.night(tmp_path / "s")
    sent(store, tmp_path / "b.zip")
    with pytest.raises(UsageError, match="called night"):
        contents.select(evidence.chosen(store, ["night", str(tmp_path / "b.zip")]))


# -- what comes in -------------------------------------------------------------------------------------------


def rows(store: Store, table: str, run: str = "night") -> list[dict[str, Any]]:
    found = store.run(run)
    with open_session(found.captures, [found]) as session:
        return session.rows(f"SELECT * FROM {table} ORDER BY ALL")


def test_a_bundle_opens_to_what_it_was_made_of(tmp_path: Path) -> None:
    store, other = made.night(tmp_path / "s"), Store(tmp_path / "t")
    sent(store, tmp_path / "b.zip", level="full", text=True)
    landed = import_.bring_in(other, tmp_path / "b.zip")
    assert landed.runs == ("night",) and not landed.already
    for table in (*schema.tables(), "parameters"):
        assert rows(store, table) == rows(other, table), table
    assert other.packs.digests() == store.packs.digests()
    assert cli("verify", "--store", str(other.root)).exit_code == 0


def test_a_large_bundle_is_written_shorter_and_opens_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = made.night(tmp_path / "s"), Store(tmp_path / "t")
    monkeypatch.setattr(repeats, "LARGE", 0)
    sent(store, tmp_path / "b.zip")
    assert b'"digest":"#3"' in everything(tmp_path / "b.zip")
    import_.bring_in(other, tmp_path / "b.zip")
    for table in ("placements", "deltas"):
        assert rows(store, table) == rows(other, table)
    ours, theirs = rows(store, "tensors"), rows(other, "tensors")
    assert [r["digest"] for r in ours] == [r["digest"] for r in theirs] and theirs[0]["std"] == pytest.approx(
        ours[0]["std"], rel=1e-6
    )


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    other = Store(tmp_path / "t")
    sent(made.night(tmp_path / "s"), tmp_path / "b.zip")
    import_.bring_in(other, tmp_path / "b.zip")
    before = sorted(p.relative_to(other.root) for p in other.root.rglob("*"))
    again = import_.bring_in(other, tmp_path / "b.zip", "elsewhere")
    assert (
        again.already
        and again.runs == ("night",)
        and sorted(p.relative_to(other.root) for p in other.root.rglob("*")) == before
    )
    run = other.run("night")
    other.remove([*(c.path for c in run.captures), *([run.path] if run.path else [])])
    assert import_.bring_in(Store(other.root), tmp_path / "b.zip").already is False


def test_a_name_for_what_is_here_already_is_said_to_change_nothing(tmp_path: Path) -> None:
    bug, there = str(tmp_path / "b.zip"), str(tmp_path / "t")
    sent(made.night(tmp_path / "s"), tmp_path / "b.zip")
    first, again, same = (
        cli("open", bug, *words, "--store", there) for words in ([], ["--as", "two"], ["--as", "night"])
    )
    assert (first.stderr, same.stderr, again.exit_code) == (
        "",
        "",
        0,
    ) and "already here: night" in again.stdout
    assert again.stderr == "forensics: it is here already, as night; --as two changes nothing.\n"


def test_a_name_that_another_capture_holds_is_left_to_it(tmp_path: Path) -> None:
    sent(made.night(tmp_path / "s"), tmp_path / "b.zip")
    running = Store(tmp_path / "t")
    assert running.free_name("night") == "night"
    assert import_.bring_in(Store(tmp_path / "t"), tmp_path / "b.zip").runs == ("night-2",)
    assert {r["run"] for r in rows(Store(tmp_path / "t"), "events", "night-2")} == {"night-2"}


def test_under_another_name_every_ref_is_another(tmp_path: Path) -> None:
    other = Store(tmp_path / "t")
    sent(made.night(tmp_path / "s"), tmp_path / "b.zip")
    assert import_.bring_in(other, tmp_path / "b.zip", "issue-17").runs == ("issue-17",)
    assert {r["capture"] for r in rows(other, "placements", "issue-17")} == {
        "issue-17@loaded",
        "issue-17@end",
    }
    assert {r["run"] for r in rows(other, "events", "issue-17")} == {"issue-17"}


def test_a_bundle_is_a_ref(tmp_path: Path) -> None:
    store = made.night(tmp_path / "s")
    path = str(tmp_path / "b.zip")
    sent(store, tmp_path / "b.zip", level="full")
    for words in (["diff", f"{path}/night@loaded", f"{path}/night@end"], ["diff", path, "night"]):
        done = cli(*words, "--store", str(store.root), "--json")
        assert done.exit_code in (0, 1), done.output
    told = json.loads(cli("diff", path, "--json").output)
    assert told["a"].endswith("b.zip/night@loaded") and told["changed"][0]["max_abs"] == 1.0
    missing = cli("show", f"{path}/gone")
    assert missing.exit_code == 2 and "night" in missing.output


@pytest.mark.long
def test_of_several_runs_in_a_bundle_none_stands_for_the_others(tmp_path: Path) -> None:
    store = made.night(tmp_path / "s")
    for name in ("broken", "later"):
        made.capture(store, f"{name}@loaded", {"w": made.tensor(1, 2)})
        made.capture(store, f"{name}@end", {"w": made.tensor(1, 3)}, sequence=1)
        made.run(store, name)
    two, three = str(tmp_path / "two.zip"), str(tmp_path / "three.zip")
    sent(store, tmp_path / "two.zip", "night", "broken")
    sent(store, tmp_path / "three.zip", "night", "broken", "later")
    held = [f"{two}/night", f"{two}/broken"]
    for command in ("diff", "diagnose"):
        told, spelled_out = (json.loads(cli(command, *words, "--json").output) for words in ([two], held))
        assert (told["a"], told["b"]) == (spelled_out["a"], spelled_out["b"]) and told == spelled_out
    assert [run["b"] for run in told["runs"]] == [f"{name}@end" for name in held]
    for words in (
        ["show", two],
        ["show", three],
        ["diagnose", three],
        ["diff", three, three],
        ["query", "training-steps", two],
    ):
        done = cli(*words)
        assert (
            done.exit_code == 2
            and f"{words[-1]}/night" in done.output
            and f"{words[-1]}/broken" in done.output
        ), done.output
    assert json.loads(cli("verify", two, "--json").output)["captures"] == 4
    assert json.loads(cli("verify", held[1], "--json").output)["captures"] == 2


def test_what_is_left_of_a_run_after_rm_can_be_bundled(tmp_path: Path) -> None:
    store = made.night(tmp_path / "s")
    made.capture(store, "night@saved", {"w": made.tensor(1)}, sequence=2, head={"probes_of": "night@end"})
    generations = [{"generation": n, "capture": f"night@{point}"} for n, point in ((1, "loaded"), (2, "end"))]
    store.remove([store.runs / "night", store.captures / "night@end"])
    made.run(store, "night", {"generations": generations})
    sent(store, tmp_path / "b.zip")
    import_.bring_in(there := Store(tmp_path / "there"), tmp_path / "b.zip")
    assert [g.get("capture") for g in rows(there, "generations")] == ["night@loaded", None]
    assert [c.ref for c in there.run("night").captures] == ["night@loaded", "night@saved"]
    assert json.loads(cli("diagnose", str(tmp_path / "b.zip"), "--json").output)["verdict"] == "inconclusive"


@pytest.mark.long
def test_two_peoples_bundles_are_compared_by_what_both_can_tell(tmp_path: Path) -> None:
    """The same base and settings; another mlx, another rank.

    Texts are under two keys: neither equal nor different.
    """
    paths = []
    for name, version, rank in (("ann", "0.31.0", "8"), ("bob", "0.32.4", "16")):
        store = Store(tmp_path / name)
        store.make()
        keyed = Keyed.of(store.root)
        probe = {
            "prompt_id": "p0",
            "source": "probe",
            "prompt": "hi",
            "output": "ho",
            "output_tokens": 3,
            "finish_reason": "stop",
        }
        more = {
            "configs": [
                {"kind": "tokenizer", "key": "frame.head", "value": "[1, 2, 3]"}, {"kind": "model", "key": "name_or_path", "value": '"/home/x/y"'},
                {"kind": "tokenizer", "key": "added_tokens.<our word>", "value": "9"}, {"kind": "adapter", "key": "rank", "value": rank},
            ],
            "transcripts": [{**probe, "prompt_digest": keyed.digest([1]), "output_digest": keyed.digest([2])}],
        }  # fmt: skip
        made.capture(store, f"{name}@end", {"a.weight": made.tensor(1, 2)}, more)
        versions = [
            {"capture": name, "key": "mlx", "value": version},
            {"capture": name, "key": "python", "value": "3.11.7"},
        ]
        made.run(store, name, {"environment": versions})
        paths.append(str(tmp_path / f"{name}.zip"))
        sent(store, Path(paths[-1]), name)
    told = json.loads(cli("diff", *paths, "--json").output)
    assert told["parameters"]["identical"] == told["parameters"]["a"] == 1
    assert [(c["key"], c["a"], c["b"]) for c in told["configs"]] == [("rank", "8", "16")]
    assert [(e["key"], e["a"], e["b"]) for e in told["environment"]] == [("mlx", "0.31.0", "0.32.4")]
    assert told["transcripts"] == []
    both = json.loads(cli("diagnose", *paths, "--json").output)
    assert {d["subject"] for d in both["differences"]} == {"adapter: rank", "environment: mlx"}, both[
        "differences"
    ]


def test_what_repeats_is_written_once(tmp_path: Path) -> None:
    sent(made.night(tmp_path / "s"), tmp_path / "b.zip")
    held = hostile.members(tmp_path / "b.zip")
    last = [
        json.loads(line)
        for line in gzip.decompress(held["captures/night@end/tables/placements.jsonl.gz"]).splitlines()
    ]
    assert [r["name"] for r in last] == ["model.b.weight"]
    assert len(gzip.decompress(held["captures/night@end/tables/tensors.jsonl.gz"]).splitlines()) == 1


def test_the_committed_bundle_of_format_1_opens(tmp_path: Path) -> None:
    store = Store(tmp_path / "t")
    assert import_.bring_in(store, DATA / "format-1.zip").runs == ("night",)
    assert sorted(r["loss"] for r in rows(store, "steps")) == sorted(1 / n for n in range(1, 9))
    assert len(rows(store, "parameters")) == 6


def test_the_committed_bundle_of_format_2_opens_and_its_difference_comes_back(tmp_path: Path) -> None:
    """`sent(made.tuned(root, 1000), "format-2.zip", level="changed")` made it."""
    made_of = made.tuned(tmp_path / "s", 1000)
    store = base_only(tmp_path / "t", made_of)
    landed = import_.bring_in(store, DATA / "format-2.zip")
    assert landed.runs == ("night",) and landed.waiting == 0
    assert digest_of(made_of, "night@end", "a.weight") in store.packs.digests()


def test_the_lowest_format_is_written_and_each_has_a_committed_bundle(tmp_path: Path) -> None:
    store = made.tuned(tmp_path / "s", 1000)
    for level, number in (("stats", 1), ("full", 1), ("changed", 2)):
        sent(store, tmp_path / "b.zip", level=level)
        assert json.loads(hostile.members(tmp_path / "b.zip")["manifest.json"])["format"] == number
    assert {p.name for p in DATA.glob("format-*.zip")} == {
        f"format-{n}.zip" for n in range(1, validate.FORMAT + 1)
    }


VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "VARCHAR": (
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
        | st.sampled_from(["", "NaN", "null", "\x1b[2J", "🦆", "\0", "\u202e"])
    ),
    "BIGINT": st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([-(1 << 63), (1 << 63) - 1]),
    "INTEGER": st.integers(-(1 << 31), (1 << 31) - 1),
    "DOUBLE": st.floats() | st.sampled_from([float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 5e-324]),
    "BOOLEAN": st.booleans(),
}


REFS = dict.fromkeys(
    ("capture", "capture_a", "capture_b", "capture_adapter", "capture_fused"), "night@end"
) | {"run": "night"}


@st.composite
def filled(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Rows of every table, each value of its column's type or NULL."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table, columns in schema.tables().items():
        documents = schema.marked("JSON")[table]
        if table in ("runs", "captures", "findings"):
            continue
        for number in range(draw(st.integers(1, 2))):
            row = {
                name: REFS[name] if name in REFS
                else json.dumps(draw(st.lists(st.integers(0, 9), max_size=3))) if name in documents
                else draw(st.sampled_from(["0" * 64, "ab" * 32])) if name in ("digest_a", "digest_b")
                else draw(st.none() | st.floats(-1e11, 1e11)) if name in ("time", "seconds")
                else draw(st.none() | VALUES[kind])
                for name, kind in columns.items()
            }  # fmt: skip
            # one row a name, and none that is NULL throughout
            key = {"placements": "name", "deltas": "digest_a", "tensors": "digest"}.get(table)
            found.setdefault(table, []).append({**row, key: f"{number}"} if key else row)
    return found


@pytest.mark.long
@settings(
    max_examples=12,
    deadline=None,
    phases=set(Phase) - {Phase.shrink, Phase.explain},
    suppress_health_check=list(HealthCheck),
)
@given(drawn=filled())
def test_every_table_comes_back_as_it_went(
    tmp_path_factory: pytest.TempPathFactory, drawn: dict[str, list[dict[str, Any]]]
) -> None:
    """With NaN, infinities, empty texts, NULLs, 64-bit extremes, emoji and control characters.

    `text` keeps what is private.
    """
    directory = tmp_path_factory.mktemp("trip")
    store = Store(directory / "s")
    store.make()
    made.capture(store, "night@end", {"w": made.tensor(1)}, drawn)
    made.run(store, "night")
    with ExitStack() as stack:
        staged = write.stage(
            store, contents.select(evidence.chosen(store, ["night"])), "stats", text=True, stack=stack
        )
        write.finish(staged, directory / "b.zip")
        with Zipped(directory / "b.zip") as zipped:
            rebuild(Bundle(zipped), directory / "t", {})
        for table in drawn:
            left, came = (
                _table(root / "captures/night@end", table) for root in (staged.root, directory / "t")
            )
            assert came == left, table


def _table(path: Path, table: str) -> list[dict[str, Any]]:
    member = path / "tables" / f"{table}.jsonl.gz"
    return (
        [json.loads(line) for line in gzip.decompress(member.read_bytes()).splitlines()]
        if member.exists()
        else []
    )


# -- interrupted ---------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("command", ["bundle", "open"])
def test_killed_at_any_moment_nothing_half_made_is_left(tmp_path: Path, command: str) -> None:
    store = made.night(tmp_path / "s")
    sent(store, tmp_path / "good.zip", level="full")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    variables = {**os.environ, "TMPDIR": str(temporary)}

    def started(target: Path, out: Path) -> subprocess.Popen[bytes]:
        words = ["open", str(tmp_path / "good.zip"), "--store", str(target)]
        if command == "bundle":
            words = ["bundle", "night", "--store", str(store.root), "-o", str(out), "--level", "full"]
        words = [sys.executable, "-m", "forensics", *words]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=variables)

    drawn, before = random.Random(5), time.monotonic()
    assert started(tmp_path / "whole", tmp_path / "whole.zip").wait() == 0
    takes = time.monotonic() - before
    for number in range(50):
        target, out = tmp_path / f"t{number}", tmp_path / "b.zip"
        child = started(target, out)
        time.sleep(drawn.uniform(0.05, 1.1) * takes)
        child.send_signal(signal.SIGKILL)
        child.wait()
        if command == "bundle":
            if out.exists():
                client.check(out)
            continue
        found = find(target)
        if found.run_names():
            assert [c.ref for c in found.run("night").captures] == [
                "night@loaded",
                "night@end",
            ] and found.run("night").path
        landed = import_.bring_in(found, tmp_path / "good.zip")
        assert landed.runs == ("night",) and len(found.run_names()) == 1
        assert not list((target / "imports").glob("*.landing")) and not list(
            tmp_path.glob(f"t{number}.import~*")
        )
    for _ in range(20):  # a reader ends when it sees that nobody waits for it
        assert started(tmp_path / "last", tmp_path / "b.zip").wait() == 0
        if not (left := [*temporary.iterdir(), *tmp_path.glob("*~*")]):
            break
    assert left == []


def test_temporary_directories_of_killed_processes_go_and_those_of_others_stay(tmp_path: Path) -> None:
    code = (
        "from forensics import files; import sys\nwith files.temporary('x') as d:\n print(d, flush=True);"
        " sys.stdin.read()"
    )
    variables = {**os.environ, "TMPDIR": str(tmp_path)}

    def started() -> tuple[subprocess.Popen[str], Path]:
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=variables,
            text=True,
        )
        assert child.stdout is not None
        return child, Path(child.stdout.readline().strip())

    (killed, left), (living, theirs) = started(), started()
    assert left.is_dir() and theirs.is_dir()
    killed.kill()
    killed.wait()
    third, ours = started()
    assert not left.exists() and theirs.is_dir() and ours.is_dir()
    for child in (living, third):
        child.communicate()
    assert list(tmp_path.iterdir()) == []


def test_what_was_killed_before_it_held_its_lock_or_after_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {
        f".forensics-x~{ended.pid}-a": 9,
        f"forensics-x~{ended.pid}-b": 9,
        f".forensics-x~{ended.pid}-c": 0,
    }
    # another's that lives, and what is none of ours
    names |= {f".forensics-x~{os.getpid()}-d": 9, ".forensics-x-e": 9}
    for name, age in names.items():
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    files._sweep.cache_clear()
    with files.temporary("y"):
        left = {p.name for p in tmp_path.iterdir() if not p.name.startswith("forensics-y")}
    assert left == {f".forensics-x~{ended.pid}-c", f".forensics-x~{os.getpid()}-d", ".forensics-x-e"}


def test_what_has_landed_is_put_in_its_place_by_whoever_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(made.night(tmp_path / "s"), tmp_path / "b.zip", level="full")
    store = Store(tmp_path / "t")
    real = origins.settle
    calls = iter([real, lambda _: None])
    monkeypatch.setattr(origins, "settle", lambda root: next(calls, real)(root))
    import_.bring_in(store, tmp_path / "b.zip")
    assert not store.run_names() and list((store.root / "imports").glob("*.landing"))
    found = find(store.root)
    assert (
        found.run_names() == {"night"}
        and len(found.run("night").captures) == 2
        and not list((store.root / "imports").glob("*.landing"))
    )


def test_a_name_that_begins_with_a_dash_is_read_and_not_given_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.make()
    made.capture(store, "--weird@end", {"w": made.tensor(1, 2)})
    made.run(store, "--weird")
    assert cli("show", "--store", str(store.root), "--", "--weird").exit_code == 0
    sent(store, tmp_path / "b.zip", "--weird")
    assert cli("open", str(tmp_path / "b.zip"), "--as", "-x", "--store", str(tmp_path / "t")).exit_code == 2
    assert import_.bring_in(Store(tmp_path / "t"), tmp_path / "b.zip").runs == ("weird",)


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = made.night(tmp_path / "s")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "write", full)
    with pytest.raises(UsageError, match="No space left"):
        sent(store, tmp_path / "b.zip")
    assert not list(tmp_path.glob("b.zip*"))


@pytest.mark.parametrize(
    ("make", "level", "name"), [(made.night, "full", "model.a.weight"), (made.tuned, "changed", "a.weight")]
)
def test_a_damaged_tensor_of_the_store_leaves_in_no_bundle(
    tmp_path: Path, make: Callable[[Path], Store], level: str, name: str
) -> None:
    # of `tuned` the base of a difference is damaged, which does not leave itself
    store = make(tmp_path / "s")
    place = store.packs.place(digest_of(store, "night@loaded", name))
    assert place is not None
    path = store.packs.root / place.pack
    data = bytearray(path.read_bytes())
    data[place.end - 1] ^= 1
    path.write_bytes(data)
    done = cli("bundle", "night", "--level", level, "-o", str(tmp_path / "b.zip"), "--store", str(store.root))
    assert (
        done.exit_code == 3 and "not what was recorded" in done.stderr and "forensics verify" in done.stderr
    ), done.stderr
    assert not list(tmp_path.glob("b.zip*"))


def test_a_damaged_bundle_as_a_ref_ends_with_status_3(tmp_path: Path) -> None:
    sent(made.night(tmp_path / "s"), tmp_path / "b.zip")
    data = bytearray((tmp_path / "b.zip").read_bytes())
    data[200] ^= 1
    (tmp_path / "b.zip").write_bytes(data)
    for words in (["diagnose"], ["show"], ["verify"], ["open"]):
        done = cli(*words, str(tmp_path / "b.zip"), "--store", str(tmp_path / "t"))
        assert done.exit_code == 3 and not (tmp_path / "t").exists(), (words, done.output)
    with pytest.raises(DamagedEvidence):
        client.inspect(tmp_path / "s" / "key")
