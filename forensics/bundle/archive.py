"""The zip file of a bundle, in the one form that we write.

Members are stored, in order of their names, end to end, with nothing between.

A file in any other form is refused before anything in it is read, so that no two programs can see two things
in it.
"""

from __future__ import annotations

import hashlib
import re
import struct
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from forensics.errors import DamagedEvidence

MANIFEST, SUMS, README, SIGNATURE = "manifest.json", "manifest-sha256.txt", "README.txt", "manifest.json.sig"
PROOF = "proof.json"
_NAME = r"[A-Za-z0-9._-]{1,64}"
MEMBER = re.compile(
    r"manifest\.json|manifest-sha256\.txt|manifest\.json\.sig|README\.txt"
    r"|report\.html|findings\.json|summary\.md|proof\.json"
    rf"|captures/{_NAME}@[A-Za-z0-9._-]{{1,80}}/(manifest\.json|tables/[a-z_]{{1,40}}\.jsonl\.gz)"
    rf"|runs/{_NAME}/(manifest\.json|tables/[a-z_]{{1,40}}\.jsonl\.gz)|packs/[0-9a-f]{{32}}\.safetensors"
)
"""Every name that a member may have."""
MAX_MEMBERS = 20_000
MAX_SMALL = 64 << 20
"""Bytes of a member that is no pack: a table, a manifest, a report."""
HINT = "Ask for the file again; nothing in it was used, and the store is as it was."
_LOCAL = struct.Struct("<4s5H3L2H")
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its bytes are [begin, begin + size) of the file."""

    name: str
    begin: int
    size: int


def write(path: Path, members: Iterable[tuple[str, Path | bytes]]) -> None:
    """Write a zip; the same members give the same bytes.

    `members` are (name, content or a file that holds it).
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, content in sorted(members, key=lambda m: m[0]):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            if isinstance(content, bytes):
                archive.writestr(info, content)
                continue
            info.file_size = content.stat().st_size
            with archive.open(info, "w") as target, content.open("rb") as source:
                while block := source.read(1 << 20):
                    target.write(block)


class Zipped:
    """A bundle's file, checked in its form; members are read by position.

    Raises:
        DamagedEvidence: no zip, or one in another form; the message names the member.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
            self._size = path.stat().st_size
        except OSError as error:
            raise DamagedEvidence(
                f"The bundle cannot be read: {error.strerror}.", where=str(path), hint="Check the path."
            ) from error
        self.members = {m.name: m for m in self._listed()}

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Zipped:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refuse(self, why: str, member: str = "") -> NoReturn:
        """Raise DamagedEvidence; `member` is where."""
        raise DamagedEvidence(
            f"The bundle is damaged: {why}.",
            where=f"{self.path}: {shown(member)}" if member else str(self.path),
            hint=HINT,
        )

    def blocks(self, name: str, size: int = 1 << 18) -> Iterator[bytes]:
        """The bytes of a member, a block at a time."""
        m = self.members[name]
        for start in range(0, m.size, size):
            self._file.seek(m.begin + start)
            count = min(size, m.size - start)
            block = self._file.read(count)
            if len(block) != count:
                self.refuse("it is cut off", name)
            yield block

    def whole(self, name: str, limit: int = MAX_SMALL) -> bytes:
        """A small member's bytes."""
        if self.members[name].size > limit:
            self.refuse(f"it is larger than {limit:,} bytes", name)
        return b"".join(self.blocks(name))

    def digest(self, name: str) -> str:
        """sha256 of a member, in hex."""
        digest = hashlib.sha256()
        for block in self.blocks(name):
            digest.update(block)
        return digest.hexdigest()

    def _listed(self) -> Iterator[Member]:
        self._file.seek(max(0, self._size - 22))
        end = self._file.read(22)
        if len(end) < 22 or end[:4] != b"PK\5\6":
            self.refuse("it is no zip file, is cut off, or something follows its end")
        _, _, here, count, size = struct.unpack_from("<4HL", end, 4)
        if here != count or count > MAX_MEMBERS or size > 200 * MAX_MEMBERS:
            self.refuse(f"it announces {count:,} members in a directory of {size:,} bytes")
        try:
            with zipfile.ZipFile(self._file) as archive:
                infos, comment, start = archive.infolist(), archive.comment, archive.start_dir
        except (
            zipfile.BadZipFile,
            ValueError,
            OSError,
            struct.error,
            NotImplementedError,
            EOFError,
            UnicodeDecodeError,
        ) as error:
            self.refuse(f"it is no zip file, or is cut off ({type(error).__name__})")
        if comment:
            self.refuse("it carries a comment")
        seen: set[str] = set()
        at = 0
        for info in infos:
            at = self._member(info, at, seen)
            yield Member(info.filename, at - info.file_size, info.file_size)
        if at != start:
            self.refuse("there are bytes between its members and its end")
        self._ends(start, len(infos))

    def _member(self, info: zipfile.ZipInfo, at: int, seen: set[str]) -> int:
        """Check one member, whose header must stand at `at`; returns where its data end."""
        name = info.filename
        if info.orig_filename != name or not MEMBER.fullmatch(name):
            self.refuse("this name is no member of a bundle", info.orig_filename)
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            self.refuse("this name stands there twice", name)
        seen.add(folded)
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            self.refuse("it is compressed again; the bundle was packed by another program", name)
        if info.flag_bits or info.comment or info.is_dir() or info.external_attr >> 16 != 0o100644:
            self.refuse("it is no plain file", name)
        if name.startswith("packs/") is False and info.file_size > MAX_SMALL:
            self.refuse(f"it is larger than {MAX_SMALL:,} bytes", name)
        if info.header_offset != at:
            self.refuse("it does not stand where the member before it ends", name)
        self._file.seek(at)
        head = self._file.read(_LOCAL.size)
        if len(head) < _LOCAL.size:
            self.refuse("it is cut off", name)
        signature, _, flags, method, _, _, crc, packed, size, length, extra = _LOCAL.unpack(head)
        wide = packed == size == 0xFFFFFFFF
        if (
            signature != b"PK\3\4"
            or flags
            or method
            or crc != info.CRC
            or self._file.read(length) != name.encode()
        ):
            self.refuse("its two headers differ", name)
        if not wide and (packed, size) != (info.file_size, info.file_size):
            self.refuse("its two headers differ", name)
        if extra != (20 if wide else 0):
            self.refuse("it carries a field that we do not write", name)
        end = at + int(_LOCAL.size + length + extra) + info.file_size
        if end > self._size:
            self.refuse("it is cut off", name)
        return end

    def _ends(self, start: int, count: int) -> None:
        """The central directory is what follows, and nothing follows it."""
        self._file.seek(start)
        at = start
        for _ in range(count):
            head = self._file.read(46)
            if len(head) < 46 or head[:4] != b"PK\1\2":
                self.refuse("its directory is damaged")
            lengths = struct.unpack_from("<3H", head, 28)
            at += 46 + sum(lengths)
            self._file.seek(at)
        rest = self._size - at
        if rest not in (22, 22 + 56 + 20):
            self.refuse(f"{rest:,} bytes follow its directory")


def shown(name: str) -> str:
    """A stranger's name as it may be printed."""
    return name[:120] if name.isascii() and name.isprintable() else ascii(name)[:120]


def sums(digests: Iterable[tuple[str, str]]) -> bytes:
    """The text that `sha256sum -c` checks, from (member, digest)."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests)).encode()
