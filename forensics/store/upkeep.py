"""Checks that evidence is what was recorded, and frees what nothing needs any more."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forensics import files
from forensics.errors import DamagedEvidence, ForensicsError, UsageError
from forensics.store import origins, unsealed
from forensics.store.manifest import contents, read_manifest, run_of, verify
from forensics.store.overview import overview
from forensics.store.packs import Packs
from forensics.store.store import Capture, Run, Store
from forensics.tensors.measure import measure
from forensics.watch import protocol

Tick = Callable[[], None]
_DIGEST = re.compile(rb'"([0-9a-f]{64})"')


@dataclass
class Checked:
    """What `verify` looked at, and its problems as (where, what)."""

    captures: int = 0
    files: int = 0
    tensors: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)


def directories(chosen: Sequence[Run | Capture]) -> list[Path]:
    """The directories of these captures, and of these runs with their captures."""
    paths = [
        [*(c.path for c in x.captures), *([x.path] if x.path else [])] if isinstance(x, Run) else [x.path]
        for x in chosen
    ]
    return [path for each in paths for path in each]


def check_directories(paths: Sequence[Path], checked: Checked, tick: Tick) -> set[str]:
    """Compare every member with its digest.

    Returns the digests of tensors that were kept in packs when these were sealed.
    """
    digests: set[str] = set()
    for path in paths:
        checked.captures += path.parent.name == "captures"
        try:
            manifest = read_manifest(path)
            checked.files += len(manifest.files) + 1
            problems = verify(path, manifest)
            checked.problems += [(path.name, problem) for problem in problems]
            if not problems:
                digests |= _packed(path)
        except DamagedEvidence as error:
            checked.problems.append((path.name, error.message))
        tick()
    return digests


def check_runs(store: Store, chosen: Sequence[Run], checked: Checked) -> None:
    """Is all of each run there that it had when it was sealed?

    Of captures that a bundle brought without their run, nothing is missing.
    """
    alone = origins.alone(store.root)
    for run in chosen:
        stored = run.name.removeprefix(run.prefix)
        checked.problems += [(run.name, f"its capture {ref} is gone") for ref in run.lost()]
        if (
            run.path is None
            and stored not in alone
            and unsealed.state(store.root, stored) in ("interrupted", "gone")
        ):
            checked.problems.append((run.name, f"{unsealed.WHAT} are not there"))


def whole_runs(store: Store) -> list[Run]:
    """All runs of a store whose manifests can be read."""
    runs = []
    for name in sorted(store.run_names()):
        with contextlib.suppress(DamagedEvidence):
            runs.append(store.run(name))
    return runs


def check_tensors(packs: Packs, digests: set[str], checked: Checked, tick: Tick) -> None:
    """Measure kept tensors anew."""
    for digest in sorted(digests):
        checked.tensors += 1
        try:
            raw = packs.read(digest)
            if raw is None:
                checked.problems.append((f"tensor {digest[:12]}", "its bytes are gone"))
            elif measure(raw).digest != digest:
                checked.problems.append((f"tensor {digest[:12]}", "its bytes are not what was recorded"))
        except ForensicsError as error:
            checked.problems.append((f"tensor {digest[:12]}", error.message))
        tick()


def _packed(path: Path) -> set[str]:
    member = path / "tables" / "tensors.jsonl.gz"
    if not member.is_file():
        return set()
    rows = (json.loads(line) for line in gzip.decompress(member.read_bytes()).splitlines())
    return {str(row["digest"]) for row in rows if row.get("kept") == "pack" and row.get("digest")}


def needed(store: Store, tick: Tick, without: Sequence[str] = ()) -> set[str]:
    """Every digest that any capture or run of the store names, but for runs that are to be removed.

    Raises:
        DamagedEvidence: one cannot be read, and what it names might be freed.
    """
    digests: set[str] = set()
    for path in sealed(store):
        if run_of(path.name) in without:
            continue
        digests |= _digests(path)
        tick()
    return digests


def fewer(store: Store, keep: int | None, nbytes: int | None) -> list[str]:
    """The oldest runs, in their order, that must go.

    `keep` runs then stay, and the store takes no more than `nbytes`; the newest run always stays.

    Raises:
        DamagedEvidence: one cannot be read, and what it takes cannot be told.
    """
    runs = [line.run for line in overview(store)]
    going = runs[: max(0, len(runs) - keep)] if keep is not None else []
    if nbytes is None:
        return going
    paths = {run: [p for p in store.directories(run) if p.is_dir()] for run in runs}
    digests = {run: set().union(*map(_digests, each)) for run, each in paths.items()}
    tables = {run: sum(map(_size, each)) for run, each in paths.items()}
    left = runs[len(going) :]
    while len(left) > 1:
        nbytes_now = store.packs.nbytes() - store.packs.excess(set().union(*(digests[run] for run in left)))
        if nbytes_now + sum(tables[run] for run in left) <= nbytes:
            break
        going.append(left.pop(0))
    return going


def nbytes(store: Store) -> int:
    """Bytes of the store's captures, runs and tensors."""
    return store.packs.nbytes() + sum(map(_size, sealed(store)))


def _digests(path: Path) -> set[str]:
    manifest = read_manifest(path)
    names = [n for n in manifest.files if n.startswith("tables/")]
    digests: set[str] = set()
    for data in contents(path, manifest, names):
        digests.update(match.decode() for match in _DIGEST.findall(gzip.decompress(data)))
    return digests


def count(store: Store) -> int:
    """How many directories `needed` reads."""
    return sum(1 for _ in sealed(store))


def collect(store: Store, tick: Tick, *, dry: bool = False, without: Sequence[str] = ()) -> int:
    """Free tensors that no capture names, and what interrupted writes left; returns bytes freed.

    Raises:
        UsageError: a capture is being written.
        DamagedEvidence: a capture cannot be read; `rm` it first.
    """
    store.make()
    running = [path.parent.name for path in store.spool.glob(f"*/{protocol.OPTIONS}") if _runs(path)]
    if running:
        raise UsageError(
            f"A capture is being written: {running[0]}.",
            where=str(store.root),
            hint="Try again when it has ended.",
        )
    keep = needed(store, tick, without)
    if dry:
        return store.packs.excess(keep) + sum(map(_size, _left(store)))
    freed = store.packs.sweep(keep) if (store.root / "packs").is_dir() else 0
    for path in _left(store):
        freed += _size(path)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return freed


def sealed(store: Store) -> Iterator[Path]:
    """Every sealed directory of the store."""
    for parent in (store.captures, store.runs):
        if parent.is_dir():
            yield from sorted(p for p in parent.iterdir() if p.is_dir() and "~" not in p.name)


def _left(store: Store) -> Iterator[Path]:
    for parent in (store.root, store.captures, store.runs, store.root / "findings"):
        if parent.is_dir():
            yield from [p for p in parent.iterdir() if files.stale(p)]


def _runs(options: Path) -> bool:
    try:
        parent = json.loads(options.read_bytes()).get("parent")
    except (OSError, ValueError, AttributeError):
        return False
    return isinstance(parent, int) and files.alive(parent)


def _size(path: Path) -> int:
    return (
        sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
        if path.is_dir()
        else path.stat().st_size
    )
