"""Where captures live: directories of captures, runs, spools of running captures, and packs of tensors."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from forensics import files
from forensics.errors import DamagedEvidence, UnknownRef, UsageError
from forensics.records import Row
from forensics.store import answers, origins, unsealed
from forensics.store.manifest import (
    NAME_HINT,
    RUN_NAME,
    Manifest,
    read_manifest,
    ref_of,
    rewrite_head,
    run_of,
    scalar,
)
from forensics.store.packs import Packs
from forensics.watch import protocol

VARIABLE, DEFAULT = "FORENSICS_STORE", ".forensics"
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Capture:
    """One sealed capture; `prefix` is what `ref` has before its stored name, where it is not of our store."""

    ref: str
    path: Path
    run: str
    point: str
    ordinal: int
    model: str
    sequence: int
    head: Row
    prefix: str = ""
    store: Store | None = None

    @property
    def place(self) -> str:
        """Point and ordinal as refs have them: start-2."""
        return self.point if self.ordinal == 1 else f"{self.point}-{self.ordinal}"


@dataclass(frozen=True, slots=True)
class Run:
    """A run and its captures in order. `path` is None where it was never sealed."""

    name: str
    path: Path | None
    captures: list[Capture]
    head: Row
    prefix: str = ""
    store: Store | None = None

    @property
    def main_model(self) -> str:
        """The model that RUN@POINT means: the one whose captures bear no model in their ref."""
        plain = next((c.model for c in self.captures if ":" not in c.ref), "m0")
        return str(self.head.get("main_model") or plain)

    def lost(self) -> list[str]:
        """The refs of captures that are gone though nobody removed them by `rm`.

        They were there when the run was sealed.
        """
        here = {c.path.name.partition("@")[2] for c in self.captures}
        return [f"{self.name}@{place}" for place in sealed_with(self.head) if place not in here]

    def first(self) -> Capture:
        """The first capture of the main model."""
        return next((c for c in self.captures if ":" not in c.ref), self.captures[0])

    def last(self) -> Capture:
        """Its `end`, else the last capture of the main model."""
        main = [c for c in self.captures if ":" not in c.ref] or self.captures
        ends = [c for c in main if c.point == "end"]
        return (ends or main)[-1]


def directory(explicit: Path | str | None) -> Path | str:
    """The store's directory: `explicit`, else $FORENSICS_STORE, else the nearest .forensics.

    .forensics is looked for from the working directory upwards; without one it is to be made there.
    """
    named = explicit or os.environ.get(VARIABLE)
    if named:
        return named
    for parent in (Path.cwd(), *Path.cwd().parents):
        if (parent / DEFAULT).is_dir():
            return Path(DEFAULT) if parent == Path.cwd() else parent / DEFAULT
    return Path(DEFAULT)


class Store:
    """A directory of captures, made with the first write. A directory of snapshots reads the same way."""

    def __init__(self, root: Path, prefix: str = "", owner: str = "") -> None:
        """`owner` names whose measurings are in it, where they are a stranger's."""
        self.root, self.prefix, self.owner = root, prefix, owner
        self.captures, self.runs, self.spool = root / "captures", root / "runs", root / "spool"
        self.names = root / "names"
        self._claims: list[IO[bytes]] = []

    @cached_property
    def brought(self) -> Mapping[str, str]:
        """The runs that came with bundles, by name, and the ids of these."""
        return origins.owners(self.root)

    def owner_of(self, run: str) -> str:
        """Whose measurings those of a run are, by its name in this store: empty for the user's own."""
        return self.owner or self.brought.get(run, "")

    @cached_property
    def packs(self) -> Packs:
        return Packs(self.root / "packs")

    def make(self) -> None:
        """Make the directory on the first write, invisible to git.

        Raises:
            UsageError: it cannot be made or written.
        """
        with self.writing():
            for path in (self.captures, self.runs, self.spool, self.names, self.root / "claims"):
                path.mkdir(parents=True, exist_ok=True)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                files.write_whole(ignore, b"*\n")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """What the system refuses while the store is written is told as that.

        Raises:
            UsageError: caused by an OSError.
        """
        try:
            yield
        except OSError as error:
            first = "Free some space" if error.errno in _FULL else "Make it writable"
            hint = f"{first}, or give another place with --store DIR."
            raise UsageError(
                f"The store cannot be written: {error.strerror}.", where=str(self.root), hint=hint
            ) from error

    def free_name(self, wanted: str) -> str:
        """Claim `wanted`, or NAME-2, NAME-3 ... where it is taken.

        The claim ends with this object or process.

        Raises:
            UsageError: not a name; or, caused by an OSError, the store cannot be written.
        """
        if not RUN_NAME.fullmatch(wanted):
            raise UsageError(f"{wanted[:80]!r} is no name for a run.", where="--name", hint=NAME_HINT)
        self.make()
        with self.writing():
            taken = {run_of(name).casefold() for name in _entries(self.captures)}
            taken |= {name.casefold() for path in (self.runs, self.spool) for name in _entries(path)}
            number = 1
            while True:
                suffix = "" if number == 1 else f"-{number}"
                name = wanted[: 64 - len(suffix)] + suffix
                if name.casefold() not in taken and self._claim(name):
                    return name
                number += 1

    def _claim(self, name: str) -> bool:
        """Hold a lock on the name as long as this store object lives; it ends by itself with the process."""
        path = self.root / "claims" / name.casefold()
        claim = path.open("wb")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # else it was cleaned up before the lock was ours
            mine = os.fstat(claim.fileno()).st_ino == path.stat().st_ino
        except OSError:
            mine = False
        if mine:
            self._claims.append(claim)
        else:
            claim.close()
        return mine

    def run_names(self) -> set[str]:
        """Names of all runs, sealed or not."""
        names = {run_of(name) for name in _entries(self.captures)}
        return names | set(_entries(self.runs))

    def holds(self, name: str) -> bool:
        """Is there a run of that name, sealed or not?"""
        return name in _entries(self.runs, name) or any(_entries(self.captures, f"{name}@"))

    def name_again(self, wanted: str, name: str) -> None:
        """Note that run `name` was captured as `wanted`, which was taken.

        `wanted` means the newest such run from now on.
        """
        with self.writing(), (self.names / wanted).open("a", encoding="ascii") as file:
            file.write(f"{name}\n")

    def newest_named(self, wanted: str) -> str:
        """The newest run that was captured as `wanted`; NAME-1 is the first of them.

        `wanted` itself where it was captured once.
        """
        if not self.holds(wanted) and wanted.endswith("-1") and (self.names / wanted[:-2]).is_file():
            return wanted[:-2]
        again = self.names / wanted
        later = again.read_text(encoding="ascii", errors="replace").split() if again.is_file() else []
        there = (
            name
            for name in reversed(later)
            if RUN_NAME.fullmatch(name) and (self.holds(name) or self.spooled(name))
        )
        return next(there, wanted)

    def spooled(self, name: str) -> bool:
        """Is there a run of that name that is recorded or sealed now, or was left behind?"""
        return (self.spool / name / protocol.OPTIONS).is_file()

    def run(self, name: str) -> Run:
        """One run by name.

        Raises:
            UnknownRef: there is none.
            DamagedEvidence: a manifest of it cannot be read, or is gone.
        """
        captures = list(_entries(self.captures, f"{name}@"))
        if not captures and not (self.runs / name).is_dir():
            hint = "`forensics list` shows what there is."
            raise UnknownRef(f"There is no run {name!r}.", where=str(self.root), hint=hint)
        return self._run(name, captures)

    def newest(self) -> Run | None:
        """The run that was made last, None in an empty store.

        One whose program still runs does not count yet.

        Raises:
            NotSealed: the last one is being sealed, or could not be sealed, and no capture of it is there.
        """
        here = self.run_names()
        left = {name for name in unsealed.names(self.root) if unsealed.state(self.root, name) != "recording"}
        heads = []
        for name in here | left:
            path = self.runs / name
            heads.append((str(_head(path).get("created_at") or self._begun(name)), _mtime(path), name))
        if not heads:
            return None
        last = max(heads)[2]
        if last not in here:
            raise unsealed.refuse(self.root, last)
        return self.run(last)

    def _begun(self, name: str) -> str:
        """When a run without tables of its own began, as its spool or its first capture says it."""
        begun = unsealed.begun(self.root, name)
        with contextlib.suppress(DamagedEvidence):
            captures = self._run(name, list(_entries(self.captures, f"{name}@"))).captures
            return begun or min((str(c.head.get("created_at") or "") for c in captures), default="")
        return begun

    def _run(self, name: str, captures: list[str]) -> Run:
        path = self.runs / name
        sealed = path.is_dir()
        head = _head(path)
        captured = [self._capture(name, entry) for entry in captures]
        captured.sort(key=lambda c: (c.sequence, c.ref))
        return Run(self.prefix + name, path if sealed else None, captured, head, self.prefix, self)

    def _capture(self, run: str, entry: str) -> Capture:
        path = self.captures / entry
        return capture_from(read_manifest(path), path, self.prefix, self)

    def directories(self, run: str) -> list[Path]:
        """The directories of a run and its captures, damaged or not."""
        captures = [self.captures / name for name in sorted(_entries(self.captures)) if run_of(name) == run]
        return captures + [self.runs / name for name in _entries(self.runs) if name == run]

    def remove(self, paths: Iterable[Path]) -> int:
        """Remove these directories of captures and runs; returns bytes freed. Packs stay until `gc`."""
        freed, paths = 0, list(paths)
        for path in paths:
            freed += size_of(path)
            if path.parent == self.captures:
                self._not_lost(path.name)
            # out of sight in one step: an interrupted removal leaves no half capture
            gone = files.aside(path)
            path.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
        answers.forget(self.root, {path.name for path in paths})
        return freed

    def _not_lost(self, entry: str) -> None:
        """Take a capture that the user removes off the list of what its run consists of."""
        run, _, place = entry.partition("@")
        with contextlib.suppress(DamagedEvidence):
            left = [name for name in sealed_with(_head(self.runs / run)) if name != place]
            rewrite_head(self.runs / run, "captures", json.dumps(left))


def sealed_with(head: Row) -> list[str]:
    """What the head of a run says that its captures are called, after the @.

    Empty where it was sealed before that was kept.
    """
    try:
        places = json.loads(str(head.get("captures") or "[]"))
    except ValueError:
        return []
    return [str(place) for place in places] if isinstance(places, list) else []


def capture_from(manifest: Manifest, path: Path, prefix: str, store: Store | None) -> Capture:
    """The capture in a directory, from its manifest.

    Raises:
        DamagedEvidence: its head is no capture's.
    """
    head = manifest.head
    run, at, place = manifest.name.partition("@")
    if manifest.kind != "capture" or not at:
        raise DamagedEvidence(
            "This is no capture.",
            where=str(path),
            hint="A capture's manifest has kind capture and a name RUN@POINT.",
        )
    model = str(head.get("model") or "m0")
    return Capture(
        ref=prefix + ref_of(manifest.name, model),
        path=path,
        run=prefix + run,
        point=str(head.get("point") or place),
        ordinal=scalar(head.get("ordinal"), 1),
        model=model,
        sequence=scalar(head.get("sequence"), 0),
        head=head,
        prefix=prefix,
        store=store,
    )


def size_of(path: Path) -> int:
    """Bytes of all files under a directory."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def _entries(path: Path, prefix: str = "") -> Iterator[str]:
    """Names of sealed entries that begin with `prefix`: what is still being written bears a `~`."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith(prefix) and "~" not in entry.name and entry.is_dir():
                    yield entry.name
    except FileNotFoundError:
        return


def _head(path: Path) -> Row:
    """The head of a run; of one that was interrupted before it was sealed there is none, as no directory."""
    return read_manifest(path).head if path.is_dir() else {}


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
