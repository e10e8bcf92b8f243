"""Bundles that come in: checked and rebuilt in a child under limits, then put into a store in one step.

What was rebuilt is renamed to `imports/ID.landing`; from then on it is in the store, and whoever opens the
store next puts its parts in their places if this process could not. Before that rename nothing of it is
there.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forensics import files
from forensics.bundle import signing
from forensics.bundle.client import Told, inspect, rebuild
from forensics.errors import DamagedEvidence, UsageError
from forensics.store import origins
from forensics.store.manifest import NAME_HINT, RUN_NAME
from forensics.store.store import Store


@dataclass(frozen=True, slots=True)
class Landed:
    """What opening a bundle did.

    `runs` are the names here, `already` whether they were here before, `dropped` columns of a newer version
    that were left out. `waiting` tensors differ from tensors of the captures `against` and cannot be had
    without them. `signed`: None where nobody asked by whom, else whether it bears a signature that was
    checked.
    """

    id: str
    runs: tuple[str, ...]
    level: str
    already: bool
    dropped: int
    waiting: int
    against: tuple[str, ...]
    signed: bool


def bring_in(store: Store, path: Path, name: str | None = None, key: Path | None = None) -> Landed:
    """Put the captures and runs of a bundle into the store.

    A bundle that is there already is left alone, but for tensors whose base was not here then and is now.

    Args:
        name: what its run is called here; of several runs, what stands before their names.
        key: a public key whose owner must have signed it.

    Raises:
        DamagedEvidence: it is damaged or hostile, or not signed with the key; the store is as it was.
        UsageError: no name, no key, or the store cannot be written.
    """
    if name is not None and not RUN_NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is no name for a run.", where="--as", hint=NAME_HINT)
    summary = inspect(path)
    if key is not None:
        signing.check(path, key, str(summary["id"]))
    before = _record(store, str(summary["id"]))
    with store.writing():
        if before is not None:
            return _again(store, path, summary, before)
        return _first(store, path, summary, name)


def _first(store: Store, path: Path, summary: Told, name: str | None) -> Landed:
    alone = len(summary["runs"]) == 1
    wanted = {
        run: (name if alone else f"{name}-{run}"[:64]) if name else run.lstrip("-") or "run"
        for run in summary["runs"]
    }
    with _beside(store) as staging:
        names, answer = _staged(store, path, summary, wanted, staging)
        bare = [run for run in names.values() if not (staging / "runs" / run).is_dir()]
        record = {"id": summary["id"], "runs": names, "waiting": answer["waiting"], "alone": bare}
        (staging / "import.json").write_text(json.dumps(record), encoding="utf-8")
        _synced(staging)
        imports = store.root / "imports"
        imports.mkdir(exist_ok=True)
        origins.settle(store.root)
        staging.rename(imports / f"{str(summary['id'])[:16]}.landing")
    origins.settle(store.root)
    return _landed(summary, names, answer, already=False)


def _again(store: Store, path: Path, summary: Told, before: Mapping[str, Any]) -> Landed:
    """Nothing, but where tensors wait for a base that is here by now."""
    names, waiting = before["runs"], before["waiting"]
    if any(store.packs.place(base) is not None for base in waiting):
        with _beside(store) as staging:
            answer = _rebuilt(path, summary, names, store, staging)
            waiting = answer["waiting"]
            for pack in (staging / "packs").glob("*.safetensors"):
                files.sync(pack)
                pack.replace(store.packs.root / pack.name)
        record = store.root / "imports" / f"{str(summary['id'])[:16]}.json"
        files.write_whole(record, json.dumps({**before, "waiting": waiting}).encode())
    return _landed(summary, names, {"dropped": 0, "waiting": waiting}, already=True)


def _landed(summary: Told, names: Mapping[str, str], answer: Mapping[str, Any], *, already: bool) -> Landed:
    against = (run.partition("@") for run in summary["against"])
    here = tuple(names.get(run, run) + at + point for run, at, point in against)
    count = len(answer["waiting"])
    return Landed(
        summary["id"],
        tuple(names.values()),
        summary["level"],
        already,
        answer["dropped"],
        count,
        here,
        summary["signed"],
    )


@contextlib.contextmanager
def _beside(store: Store) -> Iterator[Path]:
    """A directory beside the store.

    The store stays as it was where the bundle is refused, and is one rename away where it is not.
    """
    staging = files.aside(store.root.with_name(f"{store.root.name}.import"))
    for path in staging.parent.glob(f"{staging.name.partition('~')[0]}~*"):
        if files.stale(path):  # of processes that were killed before their bundle had landed
            shutil.rmtree(path, ignore_errors=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _staged(
    store: Store, path: Path, summary: Told, wanted: Mapping[str, str], staging: Path
) -> tuple[dict[str, str], Told]:
    """Rebuild under names that look free, claimed only when all is checked.

    Once more where somebody else holds them.
    """
    names = dict(_free(store, wanted))
    for claimed in (False, True):
        answer = _rebuilt(path, summary, names, store, staging)
        taken = names if claimed else {run: store.free_name(each) for run, each in wanted.items()}
        if taken == names:
            break
        names = taken
        shutil.rmtree(staging, ignore_errors=True)
    return names, answer


def _rebuilt(path: Path, summary: Told, names: Mapping[str, str], store: Store, staging: Path) -> Told:
    answer = rebuild(path, staging, names, store.packs, summary["waiting"])
    if answer["id"] != summary["id"]:
        raise DamagedEvidence("The bundle changed while it was read.", where=str(path), hint="Try again.")
    return answer


def _free(store: Store, wanted: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What `free_name` would give, without claiming it."""
    spool = {p.name for p in store.spool.glob("*")}
    taken = {name.casefold() for name in store.run_names() | spool}
    for run, each in wanted.items():
        numbered = (each[: 64 - len(f"-{n}")] + f"-{n}" for n in itertools.count(2))
        name = next(n for n in itertools.chain([each], numbered) if n.casefold() not in taken)
        taken.add(name.casefold())
        yield run, name


def _record(store: Store, identity: str) -> Mapping[str, Any] | None:
    """What was written down when a bundle was opened, if all of its runs still are in the store."""
    try:
        record: dict[str, Any] = json.loads((store.root / "imports" / f"{identity[:16]}.json").read_bytes())
        here = isinstance(record["waiting"], list) and set(record["runs"].values()) <= store.run_names()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if here else None


def _synced(root: Path) -> None:
    for path in root.rglob("*"):
        files.sync(path)
