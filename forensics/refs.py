"""Refs as text to runs and captures: RUN, RUN@POINT, RUN@POINT:m1 of the store; snapshots/NAME; a path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from forensics.errors import DamagedEvidence, NotSealed, UnknownRef, UsageError, near
from forensics.model.remote import located
from forensics.store import unsealed
from forensics.store.manifest import name_of, run_of
from forensics.store.store import Capture, Run, Store

SNAPSHOTS = "snapshots/"
_REF = re.compile(r"(?P<run>[A-Za-z0-9._-]{1,64})(@(?P<place>[A-Za-z0-9._-]+)(:(?P<model>m\d+))?)?")
_FILES = (".zip", ".safetensors", ".gguf")


@dataclass(frozen=True, slots=True)
class Place:
    """A ref that is a path: to a bundle, to a sealed directory, or to a model on disk or at a URL."""

    path: Path


def resolve(store: Store, text: str) -> Run | Capture | Place:
    """What `text` names. Nothing at a path is read: `evidence` opens, measures and asks it.

    Raises:
        UnknownRef: nothing bears this name.
        NotSealed: a run of which no capture is sealed yet.
        DamagedEvidence: a manifest of the run cannot be read.
    """
    match = _REF.fullmatch(text)
    run = store.newest_named(match["run"]) if match else ""
    if match and store.holds(run):
        return within(store.run(run), text)
    if text.startswith(SNAPSHOTS):
        match = _REF.fullmatch(text.removeprefix(SNAPSHOTS))
        if match and (shipped() / match["run"]).is_dir():
            return within(snapshot(match["run"]), text)
    if text and (_is_path(text) or located(text).exists()):
        return Place(located(text))
    raise _unknown(store, text)


def removable(store: Store, text: str) -> list[Path]:
    """The directories that `rm` of this ref removes, of the user's own store alone; damaged ones too.

    Raises:
        UsageError: a snapshot or a path.
        UnknownRef: nothing bears this name.
    """
    match = _REF.fullmatch(text)
    run = store.newest_named(match["run"]) if match else ""
    if match and store.holds(run):
        if store.holds(match["run"]) and run != match["run"]:
            hint = f"The first is {match['run']}-1, the newest {run}; `forensics list` shows all."
            raise UsageError(f"{match['run']} names more than one run.", where=text, hint=hint)
        if match["place"] is None:
            return store.directories(run)
        try:
            refs = within(store.run(run), text)
            return [refs.path] if isinstance(refs, Capture) else []
        except DamagedEvidence:
            path = store.captures / name_of(text)
            return [path] if path.is_dir() else []
    if text.startswith(SNAPSHOTS) or _is_path(text):
        raise UsageError(
            "Only runs and captures of the store can be removed.",
            where=text,
            hint="`forensics list` shows them.",
        )
    raise _unknown(store, text)


@cache
def shipped() -> Path:
    """The directory of shipped snapshots: packaged, or the checkout's."""
    packaged = Path(__file__).parent / "_snapshots"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "snapshots"


def snapshots() -> list[str]:
    """Names of the shipped snapshots, without `snapshots/`."""
    root = shipped()
    return sorted(p.name for p in root.iterdir() if (p / "captures").is_dir()) if root.is_dir() else []


def snapshot(name: str) -> Run:
    """The run of a shipped snapshot; a snapshot is a store that holds one run."""
    store = Store(shipped() / name, SNAPSHOTS)
    names = store.run_names()
    if name not in names and len(names) == 1:
        store = Store(shipped() / name, f"{SNAPSHOTS}{name}/")
        return store.run(names.pop())
    return store.run(name)


def complete(store: Store, incomplete: str) -> list[str]:
    """Refs that begin with `incomplete`, for the shell: runs first, captures once an `@` is typed."""
    run, at, _ = incomplete.partition("@")
    if at:
        owner = store.run(run) if run in store.run_names() else None
        if owner is None and run.removeprefix(SNAPSHOTS) in snapshots():
            owner = snapshot(run.removeprefix(SNAPSHOTS))
        refs = [c.ref for c in owner.captures] if owner else []
    else:
        refs = [*sorted(store.run_names()), *(SNAPSHOTS + name for name in snapshots())]
    return [ref for ref in refs if ref.startswith(incomplete)]


def run_name(text: str) -> str | None:
    """The name of the run in a ref RUN, RUN@POINT or RUN@POINT:m1; None of what is no such ref."""
    match = _REF.fullmatch(text)
    return match["run"] if match else None


def within(run: Run, text: str) -> Run | Capture:
    """The run that a ref names, or its capture where the ref has a point.

    `text` may have what stands before the run's name.

    Raises:
        UnknownRef: the run has no such capture.
    """
    match = _REF.fullmatch(text.removeprefix(SNAPSHOTS))
    assert match is not None
    place, model = match["place"], match["model"]
    if place is None:
        return run
    mine = [
        c for c in run.captures if (c.model == model if model else ":" not in c.ref.removeprefix(run.prefix))
    ]
    same = [c for c in mine if c.point == place]
    exact = [c for c in mine if c.place == place or f"{c.point}-{c.ordinal}" == place]
    if same or exact:
        return max(same, key=lambda c: c.ordinal) if same else exact[-1]
    places = list(dict.fromkeys(c.ref.partition("@")[2] for c in run.captures))
    close = near(text.partition("@")[2], places, 1)
    hint = (
        f"Did you mean {run.name}@{close[0]}? " if close else ""
    ) + f"It has {', '.join(places[:12]) or 'no capture'}."
    raise UnknownRef(f"Run {run.name} has no capture {text.partition('@')[2]!r}.", where=text, hint=hint)


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or text in (".", "..") or text.endswith(_FILES)


def is_model(store: Store, text: str) -> bool:
    """Whether a word is the path of a model, not of evidence."""
    path = located(text)
    named = (
        _REF.fullmatch(text.removeprefix(SNAPSHOTS))
        and text.startswith(SNAPSHOTS)
        and (shipped() / text.removeprefix(SNAPSHOTS)).is_dir()
    )
    run = _REF.fullmatch(text)
    named = named or (run and store.holds(run["run"]))
    if named or not path.exists() or (path / "manifest.json").is_file():
        return False
    return not any(p.suffix == ".zip" and p.is_file() for p in (path, *path.parents))


def _unknown(store: Store, text: str) -> UnknownRef | NotSealed:
    run = store.newest_named(run_of(text))
    if _REF.fullmatch(text) and store.spooled(run):
        return unsealed.refuse(store.root, run)
    names = [*sorted(store.run_names()), *(SNAPSHOTS + name for name in snapshots())]
    close = near(run_of(text), names)
    close += [n for n in names if n.rpartition("/")[2] == run_of(text) and n not in close]
    if text and Path(text).exists():
        hint = f"To mean the path, write ./{text}."
    elif close:
        hint = f"Did you mean {' or '.join(close)}?"
    else:
        hint = (
            "`forensics list` shows what there is."
            if store.run_names()
            else "Nothing is captured yet: forensics capture -- python train.py"
        )
    return UnknownRef(f"There is no run or capture {text[:100]!r}.", where=str(store.root), hint=hint)
