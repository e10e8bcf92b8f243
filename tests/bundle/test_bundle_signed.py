"""Signatures of bundles, made with key files.

They are checked by `open`, `verify` and model-signing itself, and refused where they do not hold.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forensics import evidence
from forensics.bundle import contents, signing, write
from forensics.cli import main
from forensics.errors import DamagedEvidence, UsageError
from tests.support import hostile, made

pytest.importorskip("model_signing")
pytest.importorskip("OpenSSL")

from cryptography.hazmat.primitives import serialization as form  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: E402


def cli(*words: object, text: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(w) for w in words], input=text)


def keys(directory: Path, name: str, password: bytes | None = None) -> tuple[Path, Path]:
    """A private and a public key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = directory / f"{name}.key.pem", directory / f"{name}.pem"
    locked = form.BestAvailableEncryption(password) if password else form.NoEncryption()
    private.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked))
    public.write_bytes(
        key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a bundle that Ann signed (signed.zip), one that nobody signed (plain.zip), and keys.

    The keys are Ann's and Bob's.
    """
    root = tmp_path_factory.mktemp("signed")
    store = made.night(root / "store")
    private, _ = keys(root, "ann")
    keys(root, "bob")
    with ExitStack() as stack:
        staged = write.stage(
            store, contents.select(evidence.chosen(store, ["night"])), "stats", text=False, stack=stack
        )
        write.finish(staged, root / "plain.zip")
        write.finish(staged, root / "signed.zip", sign=lambda manifest: signing.sign(manifest, private))
    return root


@pytest.mark.parametrize("command", [["open"], ["verify"]])
def test_a_signature_is_checked_with_the_signers_public_key(
    place: Path, tmp_path: Path, command: list[str]
) -> None:
    done = cli(*command, place / "signed.zip", "--key", place / "ann.pem", "--store", tmp_path / "t")
    assert done.exit_code == 0 and "signed with the key of" in done.output, done.output


@pytest.mark.parametrize("command", [["open"], ["verify"]])
@pytest.mark.parametrize(
    ("file", "key", "why"),
    [("signed.zip", "bob.pem", "does not hold"), ("plain.zip", "ann.pem", "not signed")],
)
def test_another_key_or_none_is_refused_and_nothing_kept(
    place: Path, tmp_path: Path, command: list[str], file: str, key: str, why: str
) -> None:
    done = cli(*command, place / file, "--key", place / key, "--store", tmp_path / "t")
    assert done.exit_code == 3 and why in done.output and not (tmp_path / "t").exists(), done.output


def test_what_was_changed_after_signing_is_refused(place: Path, tmp_path: Path) -> None:
    """Sealed again by somebody who has not the key.

    All digests hold, and the signature is over another manifest.
    """
    held = hostile.members(place / "signed.zip")
    signature = held.pop("manifest.json.sig")
    changed = hostile.resealed({**held, "README.txt": b"other"}) | {"manifest.json.sig": signature}
    (tmp_path / "b.zip").write_bytes(hostile.zipped(changed))
    assert cli("verify", tmp_path / "b.zip").exit_code == 0
    assert (
        cli("open", tmp_path / "b.zip", "--key", place / "ann.pem", "--store", tmp_path / "t").exit_code == 3
    )


def signatures(sound: bytes) -> dict[str, bytes]:
    """Signatures that are none."""
    document = json.loads(sound)
    bare = json.loads(sound)
    bare["dsseEnvelope"]["signatures"] = []
    other = json.loads(sound)
    payload = json.loads(base64.b64decode(other["dsseEnvelope"]["payload"]))
    payload["predicate"]["resources"] = []
    other["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    return {
        "empty": b"", "no JSON": b"\0\xff", "no signature": b"{}", "a list": b"[]",
        "depth without end": b"[" * 100_000, "cut off": sound[:-40],
        "another kind": json.dumps({**document, "mediaType": "text/html"}).encode(),
        "signed by nobody": json.dumps(bare).encode(),
        "another payload": json.dumps(other).encode(), "too large": b" " * (2 << 20) + sound,
    }  # fmt: skip


def test_damaged_signatures_are_refused(place: Path, tmp_path: Path) -> None:
    held = hostile.members(place / "signed.zip")
    for name, bad in signatures(held["manifest.json.sig"]).items():
        (tmp_path / "b.zip").write_bytes(hostile.zipped({**held, "manifest.json.sig": bad}))
        with pytest.raises(DamagedEvidence) as caught:
            signing.signed(tmp_path / "b.zip", place / "ann.pem")
        assert caught.value.where.endswith("manifest.json.sig"), name


def test_a_signed_bundle_opens_without_a_key_and_says_that_it_is_signed(place: Path, tmp_path: Path) -> None:
    done = cli("open", place / "signed.zip", "--store", tmp_path / "t")
    assert done.exit_code == 0 and "signed: --key" in done.output
    told = json.loads(cli("open", place / "signed.zip", "--store", tmp_path / "t", "--json").output)
    assert told["signed"] is True and told["checked"] is False and told["already"] is True


def test_bundle_signs_and_asks_for_the_password_of_a_key(place: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path, "locked", b"open sesame")
    with pytest.raises(UsageError, match="cannot be used"):
        signing.sign(b"", private, "wrong")
    words = ["bundle", "night", "--store", place / "store", "-o", tmp_path / "b.zip", "--sign", private]
    done = cli(*words, text="open sesame\n")
    assert done.exit_code == 0 and "signed" in done.output, done.output
    assert signing.signed(tmp_path / "b.zip", public)


def test_keys_that_are_none_are_said_in_words(place: Path, tmp_path: Path) -> None:
    other = rsa.generate_private_key(65537, 2048)
    (tmp_path / "rsa.pem").write_bytes(
        other.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    )
    (tmp_path / "text.pem").write_text("hello")
    for key in ("rsa.pem", "text.pem", "gone.pem"):
        done = cli(
            "bundle", "night", "--store", place / "store", "-o", tmp_path / "b.zip", "--sign", tmp_path / key
        )
        assert done.exit_code == 2 and key in done.output and not (tmp_path / "b.zip").exists(), done.output
    for key in (tmp_path / "text.pem", tmp_path / "gone.pem", place / "ann.key.pem"):
        done = cli("verify", place / "signed.zip", "--key", key)
        assert done.exit_code == 2 and "key" in done.output, done.output
    assert cli("verify", "night", "--store", place / "store", "--key", place / "ann.pem").exit_code == 2


def test_model_signing_itself_agrees(place: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(place / "signed.zip") as archive:
        archive.extractall(tmp_path)
    words = [
        "--signature",
        "manifest.json.sig",
        "--public_key",
        str(place / "ann.pem"),
        "--ignore_unsigned_files",
        ".",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "model_signing", "verify", "key", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
