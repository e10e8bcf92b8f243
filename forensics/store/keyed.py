"""Equality of texts without the texts: a keyed hash whose key stays in the store.

A plain digest of a short answer is guessed in a second. Two rows of one store are equal where their keyed
digests are; nobody without the key can test a guess against one.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

_FILE = "key"


class Keyed:
    """Keyed digests of token ids."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, root: Path) -> Keyed:
        """The key of the store at `root`; made where there is none yet.

        Two processes that make it at once agree on one.
        """
        path = root / _FILE
        try:
            return cls(bytes.fromhex(path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            pass
        root.mkdir(parents=True, exist_ok=True)
        mine = path.with_name(f".{_FILE}.{os.getpid()}")
        mine.write_text(secrets.token_hex(32), encoding="ascii")
        mine.chmod(0o600)
        try:
            os.link(mine, path)
        except FileExistsError:
            pass
        except OSError:  # no links on this filesystem
            mine.replace(path)
        finally:
            mine.unlink(missing_ok=True)
        return cls(bytes.fromhex(path.read_text(encoding="ascii")))

    @staticmethod
    def known(root: Path) -> bool:
        """Is there a key already?"""
        return (root / _FILE).is_file()

    @property
    def name(self) -> str:
        """4 hex digits that tell keys apart: what stands under two of them cannot be compared."""
        return hmac.new(self._key, b"name", hashlib.sha256).hexdigest()[:4]

    def digest(self, ids: Sequence[int]) -> str:
        """32 hex digits, equal exactly where the ids are."""
        text = ",".join(map(str, ids)).encode("ascii")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:32]

    def text(self, value: str) -> str:
        """32 hex digits, equal exactly where the texts are."""
        return hmac.new(
            self._key, b"text\0" + value.encode("utf-8", "surrogatepass"), hashlib.sha256
        ).hexdigest()[:32]
