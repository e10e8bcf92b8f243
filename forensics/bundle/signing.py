"""Signatures of bundles with OpenSSF model-signing, with key files, offline.

The manifest is signed, which names every other member.

    python -m forensics.bundle.signing arguments.json

checks one, in a process under limits like the reader's, for it parses what a stranger wrote.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forensics import files
from forensics.bounded import limit
from forensics.bundle import child
from forensics.bundle.archive import MANIFEST, SIGNATURE, Zipped
from forensics.bundle.reader.process import leave_with_parent
from forensics.errors import DamagedEvidence, ForensicsError, UsageError

_MAX_SIGNATURE = 1 << 20


def sign(manifest: bytes, key: Path, password: str | None = None) -> bytes:
    """The signature of a manifest with an elliptic private key in PEM.

    Raises:
        UsageError: model-signing is not installed, or the key cannot be read, has another form or another
        password.
    """
    _installed()
    from model_signing import signing  # of the extra `sign`

    with files.temporary("sign") as name, _quiet():
        directory, out = _laid_out(name, manifest), name / SIGNATURE
        try:
            # its annotation says text; what it hands the password to takes bytes
            signer = signing.Config().use_elliptic_key_signer(
                private_key=key, password=password.encode() if password else None
            )
            signer.sign(directory, out)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            why = (
                getattr(error, "strerror", None)
                or "it is no private key for ECDSA (P-256, P-384, P-521) in PEM, or has another password"
            )
            raise UsageError(
                f"The key cannot be used: {why}.",
                where=str(key),
                hint="openssl ecparam -genkey -name prime256v1 -noout -out key.pem",
            ) from error
        return out.read_bytes()


def locked(key: Path) -> bool:
    """Does a private key need a password?"""
    with contextlib.suppress(OSError):
        return b"ENCRYPTED" in key.read_bytes()
    return False


def check(path: Path, key: Path, identity: str) -> None:
    """Check that the owner of a public key signed the bundle whose manifest has the digest `identity`.

    Raises:
        DamagedEvidence: it is not signed, or not by this key, or it changed since.
        UsageError: model-signing is not installed, or this is no public key.
    """
    _installed()
    try:
        public = key.read_bytes()
    except OSError as error:
        raise UsageError(
            f"The key cannot be read: {error.strerror}.",
            where=str(key),
            hint="Give the signer's public key in PEM.",
        ) from error
    if b"PUBLIC KEY" not in public:
        hint = "openssl ec -in key.pem -pubout -out public.pem makes one of a private key."
        raise UsageError("This is no public key in PEM.", where=str(key), hint=hint)
    answer = child.run("signing", path, {"key": str(key.resolve())})
    if answer["id"] != identity:
        raise DamagedEvidence("The bundle changed while it was read.", where=str(path), hint="Try again.")


def _installed() -> None:
    missing = [name for name in ("model_signing", "OpenSSL") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            "Signatures need the package model-signing.",
            where=", ".join(missing),
            hint="pip install 'mlx-forensics[sign]'",
        )


def _laid_out(parent: Path, manifest: bytes) -> Path:
    """The directory that is signed as a model.

    It holds the manifest alone, and has the same name everywhere.
    """
    directory = parent / "bundle"
    directory.mkdir()
    (directory / MANIFEST).write_bytes(manifest)
    return directory


@contextlib.contextmanager
def _quiet() -> Any:
    """It prints warnings of its own."""
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


# -- the process ---------------------------------------------------------------------------------------------


def main(path: str) -> int:
    """Check a signature as `arguments.json` says.

    One JSON document in the file `answer`, status 3 where it does not hold.
    """
    arguments = json.loads(Path(path).read_text(encoding="utf-8"))
    limit(int(arguments["memory"]), int(arguments["seconds"]))
    try:
        answer: Mapping[str, Any] = {"id": signed(Path(arguments["zip"]), Path(arguments["key"]))}
        status = 0
    except ForensicsError as error:
        answer, status = {"message": error.message, "where": error.where, "hint": error.hint}, 3
    Path(arguments["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    return status


def signed(path: Path, key: Path) -> str:
    """The digest of the manifest of a bundle, which the owner of this public key signed.

    Raises:
        DamagedEvidence: it is not signed, or not with the key.
    """
    from model_signing import verifying  # of the extra `sign`

    with Zipped(path) as zipped, files.temporary("sign") as name:
        if SIGNATURE not in zipped.members:
            raise DamagedEvidence(
                "The bundle is not signed.",
                where=str(path),
                hint="Ask its sender to make it with --sign, or leave --key out.",
            )
        manifest = zipped.whole(MANIFEST)
        directory, signature = _laid_out(name, manifest), name / SIGNATURE
        signature.write_bytes(zipped.whole(SIGNATURE, _MAX_SIGNATURE))
        try:
            verifying.Config().use_elliptic_key_verifier(public_key=key).verify(directory, signature)
        except Exception as error:  # noqa: BLE001   whatever a stranger's text makes it raise, it is no signature of this key
            raise DamagedEvidence(
                "The signature does not hold: the bundle was signed with another key, or changed afterwards.",
                where=f"{path}: {SIGNATURE}",
                hint="Ask its sender for the key's digest, and for the file again; nothing in it was used.",
            ) from error
        return hashlib.sha256(manifest).hexdigest()


if __name__ == "__main__":
    leave_with_parent()
    sys.exit(main(sys.argv[1]))
