"""Tensors by digest, each kept once, in immutable files.

A pack is a safetensors file whose tensor names are digests, or the clone of a whole model file with a list
beside it that says where in it each digest lies. Its name comes from the digests in it, so that packing the
same twice is no work.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from forensics import files
from forensics.errors import DamagedEvidence, ForensicsError, UsageError
from forensics.model.ranges import Range
from forensics.model.remote import is_url, located
from forensics.records import RawTensor
from forensics.store import packfile

_PER_PACK = 20_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies: bytes [begin, end) of a file.

    The file is in the packs' directory, or a model file elsewhere by its absolute path.
    """

    pack: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Packs:
    """The packs of one store, in the directory `root`.

    From its first write an instance holds off `sweep` of other processes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._places: dict[str, Place] = {}
        self._seen: set[str] = set()
        self._stamp = -1
        self._references: dict[str, packfile.Reference] = {}
        self._far: dict[str, list[int]] = {}
        self._lock = ExitStack()
        self._writing = False

    def read(self, digest: str) -> RawTensor | None:
        """The tensor with this digest, named by it.

        None where it is not kept here, nor in a file that is as it was.
        """
        place = self.place(digest)
        return None if place is None else self._raw(digest, place)

    def place(self, digest: str) -> Place | None:
        """Where the tensor with this digest lies; None as for `read`."""
        return self._places.get(digest) or self._refreshed().get(digest) or self._referred(digest)

    def digests(self) -> set[str]:
        """The digests of all tensors that are kept here."""
        return set(self._refreshed())

    def places(self) -> Mapping[str, Place]:
        """Digest to where it lies."""
        return dict(self._refreshed())

    def nbytes(self) -> int:
        """Bytes of all packs on disk."""
        return sum(p.stat().st_size for p in self._files())

    def put(self, tensors: Iterable[tuple[str, RawTensor]]) -> int:
        """Keep (digest, tensor) pairs that are not kept yet; returns bytes written.

        Raises:
            UnreadableModel: a tensor's bytes are not those of its digest: its file changed while it was read.
            OSError: the disk is full; nothing is left behind.
        """
        self._hold()
        listed = self._refreshed()
        new = {digest: raw for digest, raw in tensors if digest not in listed}
        written = 0
        names = sorted(new)
        for start in range(0, len(names), _PER_PACK):
            part = {digest: new[digest] for digest in names[start : start + _PER_PACK]}
            self.root.mkdir(parents=True, exist_ok=True)
            target = self.root / f"{packfile.name_of(part)}.safetensors"
            packfile.write(target, part)
            written += target.stat().st_size
        return written

    def adopt(self, path: Path, digests: Sequence[str] | Mapping[str, str], *, move: bool = False) -> int:
        """Keep a whole tensor file: cloned where the filesystem can, else copied, or renamed with `move`.

        Returns bytes kept.

        `digests` are the file's tensor names where these are digests, else tensor name to digest. Where most
        of the file is kept already, only the rest is put. The caller has measured the file; it must not have
        changed since.
        """
        self._hold()
        if is_url(path):  # there is nothing to clone
            named = digests if isinstance(digests, Mapping) else {digest: digest for digest in digests}
            return self.put((named[raw.name], raw) for raw in packfile.tensors(path) if raw.name in named)
        named = digests if isinstance(digests, Mapping) else {digest: digest for digest in digests}
        tensors = {raw.name: raw for raw in packfile.tensors(path)}
        listed = self._refreshed()
        new = {
            digest: tensors[name]
            for name, digest in named.items()
            if digest not in listed and name in tensors
        }
        if not new:
            return 0
        total, fresh = path.stat().st_size, sum(raw.nbytes for raw in new.values())
        if not move and fresh < total / 2:
            return self.put(new.items())
        self.root.mkdir(parents=True, exist_ok=True)
        target = (
            self.root
            / f"{packfile.name_of(named.values())}{path.suffix if path.suffix == '.gguf' else '.safetensors'}"
        )
        part = files.aside(target)
        try:
            if move:
                shutil.move(path, part)
            elif not files.clone(path, part):
                if fresh < 0.9 * total:
                    return self.put(new.items())
                shutil.copyfile(path, part)
            files.sync(part)
            if target.suffix == ".gguf" or any(named.get(name) != name for name in tensors):
                files.write_whole(target.with_suffix(".json"), packfile.listing(part, target.suffix, named))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        files.sync(self.root)
        return total

    def refer(self, path: Path, digests: Mapping[str, str]) -> None:
        """Remember where tensors lie in a model file that stays where it is: tensor name to digest.

        Nothing is copied.

        They can be read as long as the file keeps its size, time and inode. `digests` and `places` leave them
        out.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        path = path.resolve()
        state = path.stat()
        rows = json.loads(packfile.listing(path, path.suffix, digests))
        document = {
            "path": str(path),
            "state": [state.st_size, state.st_mtime_ns, state.st_ino],
            "tensors": rows,
        }
        files.write_whole(
            self.root / f"{packfile.name_of([str(path), *digests.values()])}{packfile.REFERENCE}",
            json.dumps(document).encode(),
        )

    def sweep(self, keep: set[str]) -> int:
        """Remove every tensor whose digest is not in `keep`; returns freed bytes.

        A pack with both kinds is written anew.

        Raises:
            UsageError: a capture is being written in this store.
            DamagedEvidence: a tensor that would be written anew is not what was recorded; its pack stays.
        """
        with ExitStack() as stack:
            if self._writing:
                self._lock.close()
                self._writing = False
            if not stack.enter_context(files.locked(self._lock_path, exclusive=True)):
                raise UsageError(
                    "A capture is being written.",
                    where=str(self.root.parent),
                    hint="Try again when it has ended.",
                )
            before = self.nbytes()
            for path, part in self._cleared(keep):
                if part:
                    target = self.root / f"{packfile.name_of(part)}.safetensors"
                    if target != path:
                        packfile.write(target, part)
                path.unlink()
                path.with_suffix(".json").unlink(missing_ok=True)
            for path in self.root.glob(f"*{packfile.REFERENCE}"):
                if not keep & set(packfile.reference(path)[2]):
                    path.unlink()
            for path in self.root.glob("*~*"):
                if files.stale(path):
                    before += path.stat().st_size
                    path.unlink(missing_ok=True)
            self._forget()
            return before - self.nbytes()

    def excess(self, keep: set[str]) -> int:
        """Bytes that `sweep` would free."""
        freed = sum(
            path.stat().st_size - (packfile.size(part) if part else 0) for path, part in self._cleared(keep)
        )
        return freed + sum(path.stat().st_size for path in self.root.glob("*~*") if files.stale(path))

    def _cleared(self, keep: set[str]) -> Iterator[tuple[Path, dict[str, RawTensor]]]:
        """The packs that hold a tensor whose digest is not in `keep`, each with what of it stays."""
        listed = self._refreshed()
        here: dict[str, list[str]] = {}
        for digest, place in listed.items():
            here.setdefault(place.pack, []).append(digest)
        for path in list(self._files()):
            living = [digest for digest in here.get(path.name, []) if digest in keep]
            if len(living) != self._count(path) or not living:
                yield (
                    path,
                    {
                        digest: packfile.recorded(self._raw(digest, listed[digest]))
                        for digest in sorted(living)
                    },
                )

    def check(self, pack: str) -> list[str]:
        """Problems of one pack: digests whose bytes are others now, or a pack that cannot be read."""
        from forensics.tensors.measure import measure  # NumPy is slow to load, and who only looks needs none

        try:
            places = self._read_pack(self.root / pack)
            return [
                f"{pack}: tensor {d[:12]} is damaged"
                for d, p in places.items()
                if measure(self._raw(d, p)).digest != d
            ]
        except ForensicsError as error:
            return [f"{pack}: {error.message}"]

    def names(self) -> list[str]:
        """File names of all packs."""
        return sorted(path.name for path in self._files())

    @property
    def _lock_path(self) -> Path:
        return self.root.parent / "lock"

    def _hold(self) -> None:
        """From here on no other process may sweep what no sealed capture names yet."""
        if not self._writing:
            self._writing = self._lock.enter_context(files.locked(self._lock_path, exclusive=False))
            if not self._writing:
                raise UsageError(
                    "The store is being cleaned up.",
                    where=str(self.root.parent),
                    hint="Try again when `gc` has ended.",
                )

    def _raw(self, digest: str, place: Place) -> RawTensor:
        if is_url(place.pack):
            return RawTensor(
                digest,
                place.dtype,
                place.shape,
                place.end - place.begin,
                Range(located(place.pack), place.begin, 0, 0),
            )
        path = self.root / place.pack

        def read(start: int, stop: int) -> bytes:
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except OSError as error:
                raise DamagedEvidence("A pack is gone.", where=str(path), hint="Capture again.") from error
            try:
                data = os.pread(descriptor, stop - start, place.begin + start)
            finally:
                os.close(descriptor)
            if len(data) != stop - start:
                raise DamagedEvidence(
                    "A pack is cut off.", where=str(path), hint="Run `forensics verify`; capture again."
                )
            return data

        return RawTensor(digest, place.dtype, place.shape, place.end - place.begin, read)

    def _files(self) -> Iterator[Path]:
        if self.root.is_dir():
            for path in self.root.iterdir():
                if path.suffix in (".safetensors", ".gguf") and "~" not in path.name:
                    yield path

    def _refreshed(self) -> dict[str, Place]:
        """The index, with packs that came since; packs never change, so each is read once."""
        try:
            stamp = self.root.stat().st_mtime_ns
        except OSError:
            return self._places
        if stamp != self._stamp:
            for path in self._files():
                if path.name not in self._seen:
                    self._seen.add(path.name)
                    for digest, place in self._read_pack(path).items():
                        self._places.setdefault(digest, place)
            self._references = {
                path.name: packfile.reference(path) for path in self.root.glob(f"*{packfile.REFERENCE}")
            }
            self._stamp = stamp
        return self._places

    def _referred(self, digest: str) -> Place | None:
        """Where a tensor lies in a file that is still the one that was referred to."""
        for where, state, tensors in self._references.values():
            if digest in tensors and self._state_of(where) == state:
                dtype, shape, begin, end = tensors[digest]
                return Place(where, str(dtype), tuple(shape), int(begin), int(end))
        return None

    def _state_of(self, where: str) -> list[int] | None:
        """A model file as it is now; a URL, where each look takes a while, as it was at the first."""
        if where in self._far:
            return self._far[where]
        try:
            now = located(where).stat()
        except OSError:
            return None
        state = [now.st_size, now.st_mtime_ns, now.st_ino]
        if is_url(where):
            self._far[where] = state
        return state

    def _forget(self) -> None:
        self._places, self._seen, self._stamp, self._references = {}, set(), -1, {}

    def _count(self, path: Path) -> int:
        return len(self._read_pack(path))

    def _read_pack(self, path: Path) -> dict[str, Place]:
        return {
            d: Place(path.name, str(t), tuple(s), b, e) for d, (t, s, b, e) in packfile.placed(path).items()
        }
