"""What the program saved, as it lies on disk after the run.

Digests beside what was handed over, and `saved` captures of models.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forensics.capture import columns
from forensics.capture.observation import Observed, as_live, from_files
from forensics.capture.sources import Sources
from forensics.errors import ForensicsError
from forensics.model import names
from forensics.model.checkpoint import INDEX, Checkpoint, Stored, open_model
from forensics.model.composite import alone
from forensics.records import RawTensor, Row
from forensics.tensors.cache import Measured, measured
from forensics.tensors.measure import measure

MOST = 4
"""How many saved states of one model are captured whole: the last. The others have digests alone."""
_PARTS = ("model", "weights")  # how the files of a model begin that has several
_NUMPY = {
    "b1": "BOOL", "u1": "U8", "u2": "U16", "u4": "U32", "u8": "U64", "i1": "I8", "i2": "I16", "i4": "I32",
    "i8": "I64", "f2": "F16", "f4": "F32", "f8": "F64", "c8": "C64", "V2": "BF16",
}  # fmt: skip


@dataclass(frozen=True)
class Artifact:
    """A model or adapter that the program wrote: one file, or the directory whose files make it up."""

    path: Path
    checkpoint: Checkpoint
    model: str
    process: int
    time: float
    updates: int | None
    place: str | None

    @property
    def directory(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent


class Disk:
    """The files that the run wrote, each read once."""

    def __init__(self) -> None:
        self._digests: dict[str, dict[str, str]] = {}
        self._measured: dict[Path, dict[str, Measured]] = {}

    def digests(self, path: str) -> Mapping[str, str]:
        """Tensor name to digest of one file; empty where it is gone, cut off, or of no form that is known."""
        if path not in self._digests:
            self._digests[path] = {}
            with contextlib.suppress(ForensicsError, OSError, ValueError):
                self._digests[path] = dict(self._read(Path(path)))
        return self._digests[path]

    def _read(self, path: Path) -> Iterator[tuple[str, str]]:
        if path.suffix in (".safetensors", ".gguf"):
            for name, measures in self.measured(open_model(path).stored).items():
                yield name, measures.stats.digest
        elif path.suffix in (".npz", ".npy"):
            for raw in _arrays(path):
                yield raw.name, measure(raw).digest

    def measured(self, stored: Sequence[Stored]) -> dict[str, Measured]:
        """Each tensor measured, by its name in its file."""
        measures: dict[str, Measured] = {}
        for file in dict.fromkeys(s.file for s in stored):
            if file not in self._measured:
                self._measured[file] = measured([s for s in stored if s.file == file])
            measures |= self._measured[file]
        return measures


def _arrays(path: Path) -> Iterator[RawTensor]:
    """The arrays of a file of NumPy's."""
    import numpy as np  # import time: only where arrays were saved

    archive = np.load(path, allow_pickle=False)
    for name in archive.files if path.suffix == ".npz" else [""]:
        array = np.ascontiguousarray(archive[name] if name else archive)
        data = array.tobytes()
        dtype = _NUMPY.get(array.dtype.str[1:], array.dtype.str)
        yield RawTensor(name, dtype, array.shape, len(data), lambda start, stop, data=data: data[start:stop])  # type: ignore[misc]


def saved_tensors(
    rows: Sequence[Mapping[str, Any]], disk: Disk, canonical: Mapping[str, str], cwd: str | None
) -> Iterator[Row]:
    """Rows of `saved_tensors`; `canonical` gives the names that the models have."""
    last = {row.get("path"): (row.get("process"), row.get("save")) for row in rows}
    for row in rows:
        name, path = row.get("name"), row.get("path")
        on_disk = disk.digests(str(path)) if path else {}
        yield {
            **{k: v for k, v in row.items() if k != "time"},
            "canonical": canonical.get(str(name), names.plain(str(name))) if name is not None else None,
            "digest_on_disk": on_disk.get(str(name)) if name is not None else None,
            "place": columns.place(row.get("place"), cwd),
            "overwritten": (row.get("process"), row.get("save")) != last[path],
        }


def whole(
    rows: Sequence[Row], events: Sequence[Mapping[str, Any]], disk: Disk
) -> tuple[list[Row], list[dict[str, str]]]:
    """The rows of saves of which all were written, and what is missing of the others.

    The event of a save says how many tensors were handed over. Where fewer rows are there, the disk was full
    or the process was killed: what the rows do not name is then no evidence. If the file still is what the
    rows say, its other tensors are taken from it; else the save's rows are left out.
    """
    details = [(e["process"], e.get("detail")) for e in events]
    names = {(process, d.get("save")): d.get("names") for process, d in details if isinstance(d, Mapping)}
    saves: dict[tuple[Any, Any], list[Row]] = {}
    for row in rows:
        saves.setdefault((row["process"], row.get("save")), []).append(row)
    whole_rows: list[Row] = []
    missing: list[dict[str, str]] = []
    for key, each in saves.items():
        if names.get(key) == sum(row.get("name") is not None for row in each):
            whole_rows += each
            continue
        on_disk = disk.digests(str(each[0]["path"])) if each[0].get("path") else {}
        same = on_disk and all(on_disk.get(str(row.get("name"))) == row.get("digest") for row in each)
        named = {str(row["name"]) for row in each}
        whole_rows += (
            [*each, *({**each[0], "name": name, "digest": None} for name in on_disk if name not in named)]
            if same
            else []
        )
        why = "its other tensors were read from the file" if same else "and the file is another by now"
        what = f"rows of saved_tensors of {each[0].get('file') or 'a save'}"
        missing.append({"what": what, "why": f"not all of them were written; {why}", "kind": "save"})
    return whole_rows, missing


def artifacts(
    rows: Sequence[Mapping[str, Any]], models: Mapping[str, set[str]], seen: Mapping[str, float]
) -> list[Artifact]:
    """The models and adapters among the files that were written, in the order of their last writing.

    Args:
        models: the parameter names of each live model: a file that holds none of them, and no adapter, is
        none.
        seen: when each model was seen first: what was written before, from arrays of no model, is what it was
        loaded from.
    """
    by_path: dict[Path, Artifact] = {}
    for path, last in {
        str(r["path"]): r for r in rows if r.get("path") and r.get("name") is not None
    }.items():
        with contextlib.suppress(ForensicsError, OSError):
            checkpoint = _whole(Path(path))
            model = last.get("model") or _model_of(checkpoint, models)
            if model is None or (not last.get("model") and float(last.get("time") or 0.0) < seen[model]):
                continue
            if not (checkpoint.is_adapter or _matching(checkpoint, models.get(str(model), set()))):
                continue
            by_path.pop(checkpoint.path, None)
            by_path[checkpoint.path] = Artifact(
                checkpoint.path, checkpoint, str(model), int(last["process"]), float(last.get("time") or 0.0),
                last.get("updates"), last.get("place"),
            )  # fmt: skip
    newest: list[Artifact] = []
    for artifact in sorted(by_path.values(), key=lambda a: a.time, reverse=True):
        if sum(a.model == artifact.model for a in newest) < MOST:
            newest.append(artifact)
    return newest[::-1]


def _whole(path: Path) -> Checkpoint:
    """The directory that the file belongs to where it holds one model made of it, else the file alone.

    Several files of any names that lie side by side are as many saves: a fused model beside its adapter is
    not one model with it.
    """
    with contextlib.suppress(ForensicsError):
        directory = open_model(path.parent)
        indexed = (path.parent / INDEX).is_file() or all(f.name.startswith(_PARTS) for f in directory.files)
        if path in directory.files and (indexed or len(directory.files) == 1):
            return directory
    return open_model(path)


def _model_of(checkpoint: Checkpoint, models: Mapping[str, set[str]]) -> str | None:
    return max(models, key=lambda m: _matching(checkpoint, models[m]), default=None)


def _matching(checkpoint: Checkpoint, parameters: set[str]) -> int:
    """How many tensors bear a name that the model's parameters have, or would have without adapters."""
    return sum(s.raw.name in parameters or s.mlx_name in parameters for s in checkpoint.stored)


def observed(sources: Sources, artifact: Artifact, live: Observed | None, disk: Disk, keep: bool) -> Observed:
    """The `saved` capture of one artifact. `live` is its model in the program, whose names it bears."""
    found = disk.measured(artifact.checkpoint.stored)
    kept = {m.stats.digest: "file" for m in found.values()}
    if keep:
        kept |= _keep(sources, artifact.checkpoint, found)
    for s in artifact.checkpoint.stored:
        sources.hold(found[s.raw.name].stats, s.raw, kept[found[s.raw.name].stats.digest])
    observed = from_files(alone(artifact.checkpoint), found, kept, artifact.time)
    observed = replace(observed, updates=artifact.updates, place=artifact.place, written=True)
    return observed if live is None else as_live(observed, live)


def _keep(sources: Sources, checkpoint: Checkpoint, measures: Mapping[str, Measured]) -> dict[str, str]:
    """Keep the files' tensors in the store; where that fails, they stay in the files alone."""
    places: dict[str, str] = {}
    for file in checkpoint.files:
        named = {s.raw.name: measures[s.raw.name].stats.digest for s in checkpoint.stored if s.file == file}
        if sources.keep_file(file, named):
            places |= dict.fromkeys(named.values(), "pack")
    return places
