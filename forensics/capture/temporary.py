"""The temporary store of a path given as a ref: one capture, with tensors in the user's own files."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from forensics import files
from forensics.errors import UnknownRef
from forensics.records import RawTensor
from forensics.store.packs import Packs
from forensics.store.store import Run, Store


class Lying(Packs):
    """Tensors that lie in files of the user's, by digest."""

    def __init__(self, root: Path, tensors: Mapping[str, RawTensor]) -> None:
        super().__init__(root)
        self.tensors = tensors

    def read(self, digest: str) -> RawTensor | None:
        """The tensor, read from the user's file."""
        raw = self.tensors.get(digest)
        return RawTensor(digest, raw.dtype, raw.shape, raw.nbytes, raw.read) if raw else super().read(digest)

    def digests(self) -> set[str]:
        return set(self.tensors) | super().digests()


class Passing(Store):
    """A store of one capture, in a temporary directory."""

    def __init__(self, tensors: Mapping[str, RawTensor]) -> None:
        super().__init__(files.scratch("rest") / str(next(_numbers)))
        self.lying = Lying(self.root / "packs", tensors)
        self.only: Run | None = None

    @property
    def packs(self) -> Packs:
        return self.lying

    def run(self, name: str) -> Run:
        """Its one run, whatever it is called."""
        if self.only is None:
            raise UnknownRef(f"There is no run {name!r}.", where=str(self.root), hint="")
        return self.only


_numbers = itertools.count()
