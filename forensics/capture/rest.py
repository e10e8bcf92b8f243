"""Captures of models at rest.

`capture MODEL` keeps one in the store; a path given as a ref makes one on the fly.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from forensics import __version__, files
from forensics.capture import scores
from forensics.capture.filepair import compared, states
from forensics.capture.observation import from_files
from forensics.capture.pointnames import Named, Point, name_points
from forensics.capture.prompts import Prompt
from forensics.capture.questions import Answers, Questions, askable
from forensics.capture.rows import Scene, record, run_head
from forensics.capture.temporary import Passing
from forensics.environment import versions
from forensics.errors import UnreadableModel
from forensics.model.checkpoint import open_adapter, open_model
from forensics.model.composite import Composed, adapted, alone
from forensics.model.remote import located
from forensics.records import Row
from forensics.store.capture import write
from forensics.store.keyed import Keyed
from forensics.store.manifest import read_manifest
from forensics.store.store import Capture, Run, Store, capture_from, size_of
from forensics.tensors.cache import Measured, measured
from forensics.tensors.workers import Workers
from forensics.units import counted, size

Say = Callable[[str], None]
_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_PACKAGES = ("mlx", "mlx-lm", "transformers", "tokenizers", "safetensors", "numpy")


def capture_rest(
    store: Store,
    path: Path,
    adapter: Path | None,
    *,
    name: str | None,
    tensors: str,
    prompts: Sequence[Prompt] | None,
    max_tokens: int,
    scorers: Sequence[str],
    warn: Say,
    executor: str | None = None,
) -> str:
    """Keep a model at rest as the capture RUN@rest; returns the line that says what was kept.

    Args:
        tensors: all | new | trainable | none. `new` leaves bytes where they lie; `trainable` keeps an
        adapter's alone.
        warn: told in one line each what is not as asked.
        executor: dask://HOST:PORT of the cluster that measures; None for threads here.

    Raises:
        UnreadableModel: no model there, or one that is cut off or changed while it was read.
        UsageError: not a name, or the store cannot be written.
        ClusterError: the executor cannot be reached, or went away.
    """
    workers = Workers(executor)
    composed = compose(path, adapter)
    wanted = name or default_name(path, adapter)
    run = store.free_name(wanted)
    if run != wanted:
        store.name_again(wanted, run)
        warn(f"forensics: the name {wanted} is taken; this run is {run}, which {wanted} means from now on.")
    before = states(p.stored for p in composed.pieces)
    measures = measured([p.stored for p in composed.pieces], workers)
    packed = store.packs.nbytes()
    tensors = _affordable(store, composed, tensors, warn)
    with store.writing():
        places = _keep(store, composed, measures, tensors)
    if before != states(p.stored for p in composed.pieces):
        raise UnreadableModel(
            "The model changed while it was read.",
            where=str(path),
            hint="Try again when nothing writes to it.",
        )
    named = _named(run)
    if askable(composed):
        from forensics.capture.probes import answers  # import time: NumPy

        questions = Questions(prompts, max_tokens, scorers)
        answered = answers(
            composed, named, questions, Keyed.of(store.root), None if tensors == "none" else store.packs
        )
    else:
        why = (
            "there are no answers: this is no directory that mlx-lm loads or can fill,"
            " mlx-lm is not there, or memory is too small"
        )
        answered = Answers(missing=scores.missing(scorers, why))
    for line in [
        *scores.warnings(answered.missing),
        *([f"forensics: no answers: {answered.refused}"] if answered.refused else []),
    ]:
        warn(line)
    with store.writing():
        directory = _seal_capture(store, run, composed, measures, places, answered)
        whole = _seal_run(store, run, composed, tensors, answered, _environment())
    nbytes = store.packs.nbytes() - packed + size_of(directory) + size_of(whole)
    return (
        f"forensics: {run}: {counted(len(composed.pieces), 'tensor')} at rest; {size(nbytes)}."
        f" Next: forensics show {run}"
    )


def at_rest(
    store: Store, path: Path, adapter: Path | None = None, text: str | None = None, *, ask: bool = False
) -> Capture:
    """The capture at rest that a path stands for. It lives in a temporary store that goes with the process.

    Args:
        store: the user's, into which nothing is written.
        text: what the capture and its run are called: the path as typed; default: PATH or PATH+ADAPTER.
        ask: have the model answer the probes, where there is mlx and memory for it.

    Raises:
        UnreadableModel: no model there, or one that is cut off.
    """
    composed = compose(path, adapter)
    word = text or (f"{path}+{adapter}" if adapter else str(path))
    measures = measured([p.stored for p in composed.pieces])
    return _passing(store, composed, measures, default_name(path, adapter), word, ask, _environment())


def side_by_side(store: Store, words: tuple[str, str]) -> tuple[Capture, Capture]:
    """As `at_rest` of both paths, only to be compared: where bytes are equal, nothing is measured."""
    a, b = (compose(located(word), None) for word in words)
    stored = [p.stored for p in a.pieces], [p.stored for p in b.pieces]
    measures = compared(*stored) or (measured(stored[0]), measured(stored[1]))
    names = [default_name(located(word), None) for word in words]
    return _passing(store, a, measures[0], names[0], words[0]), _passing(
        store, b, measures[1], names[1], words[1]
    )


def _passing(
    store: Store,
    composed: Composed,
    measures: Mapping[str, Measured],
    run: str,
    word: str,
    ask: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Capture:
    place = Passing({measures[p.stored.raw.name].stats.digest: p.stored.raw for p in composed.pieces})
    kept = dict.fromkeys(place.lying.tensors, "file")
    answered = Answers()
    if ask and askable(composed):
        from forensics.capture.probes import answers  # import time: NumPy

        keyed = Keyed.of(store.root if Keyed.known(store.root) else files.scratch("rest"))
        answered = answers(composed, _named(run), Questions(), keyed, place.packs)
    sealed = read_manifest(directory := _seal_capture(place, run, composed, measures, kept, answered))
    whole = read_manifest(path_of_run := _seal_run(place, run, composed, "new", answered, environment or {}))
    capture = replace(capture_from(sealed, directory, "", place), ref=word, run=word)
    place.only = Run(word, path_of_run, [capture], whole.head, "", place)
    return capture


def compose(path: Path, adapter: Path | None) -> Composed:
    """The model at `path`, with the adapter on it where one is given.

    Raises:
        UnreadableModel: one of them is none, or `path` is itself an adapter.
    """
    model = open_model(path)
    if adapter is None:
        return alone(model)
    on = open_adapter(adapter)
    if model.is_adapter or not on.is_adapter:
        where = path if model.is_adapter else adapter
        is_what = "an adapter, not a model" if model.is_adapter else "a model, not an adapter"
        raise UnreadableModel(
            f"This is {is_what}.",
            where=str(where),
            hint="forensics capture MODEL --adapter ADAPTER_DIRECTORY",
        )
    return adapted(model, on)


def default_name(path: Path, adapter: Path | None) -> str:
    """The model directory's name, or the file's stem; only letters that a name may hold."""
    whole = path.expanduser().resolve()
    text = (
        whole.name
        if whole.is_dir()
        else whole.parent.name
        if whole.stem.startswith(("model", "adapter"))
        else whole.stem
    )
    text += f"-{adapter.expanduser().resolve().name}" if adapter else ""
    return _NAME.sub("-", text).strip("-.")[:64] or "model"


# -- keeping -------------------------------------------------------------------------------------------------


def _affordable(store: Store, composed: Composed, tensors: str, warn: Say) -> str:
    """`tensors` as asked, or `new` where the disk has less than twice the need."""
    need = sum(p.stored.raw.nbytes for p in composed.pieces)
    if tensors != "all" or (free := shutil.disk_usage(store.root).free) >= 2 * need:
        return tensors
    warn(
        f"forensics: {size(free)} are free, and twice {size(need)} is needed:"
        " bytes stay where they lie (--tensors new)."
    )
    return "new"


def _keep(store: Store, composed: Composed, measures: Mapping[str, Measured], tensors: str) -> dict[str, str]:
    """Keep the files' tensors in the packs as far as asked; returns digest to pack | file | none."""
    places: dict[str, str] = {}
    by_file: dict[Path, dict[str, str]] = {}
    left: dict[Path, dict[str, str]] = {}
    for p in composed.pieces:
        digest = measures[p.stored.raw.name].stats.digest
        places.setdefault(digest, "none" if tensors == "none" else "file")
        if tensors == "all" or (
            tensors == "trainable" and composed.adapter and p.stored.file in composed.adapter.files
        ):
            by_file.setdefault(p.stored.file, {})[p.stored.raw.name] = digest
            places[digest] = "pack"
        elif tensors != "none":
            left.setdefault(p.stored.file, {})[p.stored.raw.name] = digest
    for file, named in by_file.items():
        store.packs.adopt(file, named)
    for file, named in left.items():
        store.packs.refer(file, named)
    return places


def _named(run: str) -> Named:
    """The only capture of a run at rest."""
    return name_points(run, [Point(0, "rest", "m0", 0, 0.0)], "m0")[0]


def _seal_capture(
    store: Store,
    run: str,
    composed: Composed,
    measures: Mapping[str, Measured],
    kept: Mapping[str, str],
    answered: Answers,
) -> Path:
    observed = from_files(composed, measures, kept, time.time(), answered.tokenizer)
    observed = replace(observed, missing=(*composed.missing, *answered.missing))
    made = record(observed, Scene(run), _named(run))
    for table, rows in answered.tables.items():
        made.rows(table).extend(rows)
    if composed.event:
        made.rows("events").append(_event(composed, run))
    return write(store.captures, made.named.directory, "capture", made.head, made.tables)


def _event(composed: Composed, run: str) -> Row:
    detail = json.dumps(composed.event)
    return {
        "run": run,
        "sequence": 0,
        "time": 0.0,
        "process": 0,
        "kind": "load",
        "model": "m0",
        "detail": detail,
    }


def _seal_run(
    store: Store,
    run: str,
    composed: Composed,
    tensors: str,
    answered: Answers,
    environment: Mapping[str, str],
) -> Path:
    missing = [*composed.missing, *answered.missing]
    head = run_head(
        run,
        "rest",
        time.time(),
        main_model="m0",
        tensors=tensors,
        captures=["rest"],
        missing=missing,
        complete=not missing,
    )
    model: Row = {
        "run": run,
        "model": "m0",
        "process": 0,
        "path": str(composed.model.path),
        "parameters": len(composed.pieces),
    }
    rows: list[Row] = [{"capture": run, "key": key, "value": value} for key, value in environment.items()]
    return write(store.runs, run, "run", head, {"models": [model], "environment": rows})


def _environment() -> dict[str, str]:
    machine = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
    }
    return {"forensics": __version__, **machine, **versions(_PACKAGES)}
