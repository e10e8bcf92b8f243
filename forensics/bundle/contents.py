"""What a bundle is made of: the captures and runs that words mean, and the tensors of a level."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from forensics import schema
from forensics.bundle.difference import MAX_USES, Difference, difference
from forensics.errors import UsageError
from forensics.records import RawTensor
from forensics.store import packfile
from forensics.store.manifest import checked, read_manifest
from forensics.store.store import Capture, Run

Level = Literal["stats", "changed", "full"]
LEVELS: tuple[Level, ...] = ("stats", "changed", "full")
_NOT_THEIRS = {"findings"}  # made again from what is in the bundle


@dataclass(frozen=True, slots=True)
class Selected:
    """The captures and whole runs that the user named."""

    captures: tuple[Capture, ...]
    runs: tuple[Run, ...]


def select(chosen: Iterable[Run | Capture]) -> Selected:
    """What the words mean; a run with all its captures, a capture with the one whose probes it shares.

    Raises:
        UnknownRef: nothing bears one of the names.
        UsageError: two of them would have one name in the bundle, or one is a model that was never recorded.
    """
    captures: dict[Path, Capture] = {}
    runs: dict[Path, Run] = {}
    for one in chosen:
        if isinstance(one, Run) and one.path is not None:
            runs[one.path] = one
        for c in one.captures if isinstance(one, Run) else _with_probes(one):
            captures[c.path] = c
    names = [p.name for p in captures] + [p.name for p in runs]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        hint = "Bundle them one by one, or capture one again under another --name."
        raise UsageError(f"Two of them are called {twice} where they lie.", where=twice, hint=hint)
    return Selected(tuple(captures.values()), tuple(runs.values()))


def _with_probes(capture: Capture) -> list[Capture]:
    again = capture.head.get("probes_of")
    run = capture.store.run(capture.run.removeprefix(capture.prefix)) if capture.store and again else None
    return [*(c for c in (run.captures if run else ()) if c.ref == capture.prefix + str(again)), capture]


def tables(path: Path) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """(table, rows) of a sealed directory, each member compared with its digest.

    Raises:
        DamagedEvidence: it differs from its manifest.
    """
    manifest = read_manifest(path)
    names = [n for n in sorted(manifest.files) if n.startswith("tables/")]
    for member in checked(path, manifest, names):
        table = member.name.removesuffix(".jsonl.gz")
        if table in schema.tables() and table not in _NOT_THEIRS:
            yield table, _rows(member)


def _rows(member: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(member, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


# -- tensors -------------------------------------------------------------------------------------------------


@dataclass
class Tensors:
    """The tensors of a bundle, by digest.

    `whole` go as they are; of `differences` the deflated bytes in `held` go, and the tensors that they differ
    from stay: those of the captures in `against`. `left_out` is how many more the captures name.
    """

    whole: dict[str, RawTensor] = field(default_factory=dict)
    differences: dict[str, Difference] = field(default_factory=dict)
    deflated: dict[str, RawTensor] = field(default_factory=dict)
    against: list[str] = field(default_factory=list)
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.whole) + len(self.differences)

    @property
    def nbytes(self) -> int:
        return sum(raw.nbytes for raw in (*self.whole.values(), *self.deflated.values()))


def tensors(selected: Selected, level: Level, scratch: Path) -> Tensors:
    """The tensors of a level whose bytes are kept.

    Differences lie in a file of the directory `scratch` until they are written.

    Raises:
        DamagedEvidence: here or when one is read, that it is not what was recorded.
    """
    wanted, every = _wanted(selected, level)
    chosen = Tensors()
    uses: Counter[str] = Counter()
    with (scratch / "differences").open("w+b") as file:
        for digest, base in sorted(wanted.items()):
            raw = _read(every, digest)
            if raw is None:
                continue
            like = _read(every, base) if base and uses[base] < MAX_USES else None
            delta = difference(like, raw, file) if like is not None else None
            if delta is None:
                chosen.whole[digest] = raw
                continue
            chosen.differences[digest], deflated = delta
            chosen.deflated[deflated.name] = deflated
            uses[str(base)] += 1
    chosen.against = list(dict.fromkeys(every[d.base].ref for d in chosen.differences.values()))
    chosen.left_out = len(every) - len(chosen)
    return chosen


def _read(every: dict[str, Capture], digest: str) -> RawTensor | None:
    store = every[digest].store
    raw = store.packs.read(digest) if store is not None else None
    return packfile.recorded(raw) if raw is not None else None


def _wanted(selected: Selected, level: Level) -> tuple[dict[str, str | None], dict[str, Capture]]:
    """The digests of tensors of this level, and the first capture that names each.

    First {digest: digest of what it came from, if that is another}, then {digest: capture}.
    """
    by_model: dict[tuple[str, str], list[_Named]] = {}
    for c in sorted(selected.captures, key=lambda c: (c.run, c.sequence)):
        by_model.setdefault((c.run, c.model), []).append(_named(c))
    every: dict[str, Capture] = {}
    wanted: dict[str, str | None] = {}
    for captures in by_model.values():
        for capture in captures:
            for digest in (*capture.parameters.values(), *capture.others):
                every.setdefault(digest, capture.capture)
        if level == "full":
            wanted |= dict.fromkeys(
                d for capture in captures for d in (*capture.parameters.values(), *capture.others)
            )
        elif level == "changed" and len(captures) > 1:
            first = captures[0].parameters
            wanted |= {
                d: first.get(name) for name, d in _last(captures).parameters.items() if first.get(name) != d
            }
    # a base that is sent itself would have to be restored first
    return {d: None if base in wanted else base for d, base in wanted.items()}, every


@dataclass(frozen=True, slots=True)
class _Named:
    """The digests that a capture names.

    Those of parameters by canonical name, of the optimizer's state and of logits.
    """

    capture: Capture
    parameters: dict[str, str]
    others: set[str]


def _last(captures: Sequence[_Named]) -> _Named:
    """`end`, else the last capture."""
    return ([capture for capture in captures if capture.capture.point == "end"] or captures)[-1]


def _named(c: Capture) -> _Named:
    parameters: dict[str, str] = {}
    others: set[str] = set()
    for table, rows in tables(c.path):
        if table == "placements":
            for r in rows:
                if r.get("digest") and r.get("role") == "optimizer":
                    others.add(str(r["digest"]))
                elif r.get("digest"):
                    parameters[str(r.get("canonical") or r["name"])] = str(r["digest"])
        elif table == "transcripts":
            others |= {str(r["logits_digest"]) for r in rows if r.get("logits_digest")}
    return _Named(c, parameters, others)
