"""Refs as text to runs and captures: RUN, RUN@POINT, RUN@POINT:m1 of the store; snapshots/NAME; a path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from forensics.errors import DamagedEvidence, NotSealed, UnknownRef, UsageError, near
from forensics.files import scratch
from forensics.model.remote import is_url, located
from forensics.store import unsealed
from forensics.store.manifest import read_manifest
from forensics.store.store import Capture, Run, Store

SNAPSHOTS = "snapshots/"
_REF = re.compile(r"(?P<run>[A-Za-z0-9._-]{1,64})(@(?P<place>[A-Za-z0-9._-]+)(:(?P<model>m\d+))?)?")
_FILES = (".zip", ".safetensors", ".gguf")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two captures to compare. `run` where one run was meant, `two_runs` where two were."""

    a: Capture
    b: Capture
    run: Run | None = None
    two_runs: tuple[Run, Run] | None = None


def one(store: Store, text: str) -> Capture:
    """The capture that `text` means; a run stands for its `end`, else its last.

    Raises:
        UnknownRef: nothing bears this name.
        UnreadableModel: a path to no model.
        DamagedEvidence: a capture that is damaged.
    """
    found = run_or_capture(store, text)
    return _last(found)


def run_or_capture(store: Store, text: str, *, ask: bool = False) -> Run | Capture:
    """The run or capture that `text` means; raises as `one`. `ask`: have a model at a path answer the probes."""
    found = every(store, text, ask=ask)
    if len(found) > 1:
        raise _several(text, found, "one is meant here")
    return found[0]


def every(store: Store, text: str, *, ask: bool = False) -> Sequence[Run | Capture]:
    """All that `text` means: of a bundle its runs, in the order in which they were bundled; raises as `one`."""
    match = _REF.fullmatch(text)
    run = store.newest_named(match["run"]) if match else ""
    if match and store.holds(run):
        return [_within(store.run(run), match, text)]
    if text.startswith(SNAPSHOTS):
        match = _REF.fullmatch(text.removeprefix(SNAPSHOTS))
        if match and (shipped() / match["run"]).is_dir():
            return [_within(snapshot(match["run"]), match, text)]
    if text and (_is_path(text) or located(text).exists()):
        return _at_path(store, located(text), text, ask)
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
            found = _within(store.run(run), match, text)
            return [found.path] if isinstance(found, Capture) else []
        except DamagedEvidence:
            path = store.captures / text.replace(":", ".")
            return [path] if path.is_dir() else []
    if text.startswith(SNAPSHOTS) or _is_path(text):
        raise UsageError("Only runs and captures of the store can be removed.", where=text, hint="`forensics list` shows them.")
    raise _unknown(store, text)


def pair(store: Store, words: Sequence[str], adapter: Path | None = None, *, ask: bool = False, light: bool = False) -> Pair:
    """The two captures that `[A [B]]` means.

    Nothing is the newest run; one run is its first capture and its `end` or last; one capture is judged against the first
    of its run; a bundle of two runs is these two; a model with `adapter` is the model without it and with it. `light`: for a
    comparison and nothing more; of two models on disk no more is read than that needs, so what is equal has no statistics, and
    one capture alone is not enough.

    Raises:
        UsageError: more than two words or runs, an adapter without a model, a run without captures, or one capture alone.
    """
    if len(words) > 2:
        raise UsageError(f"{len(words)} refs where at most two are compared.", where=" ".join(words), hint="Give A, or A and B.")
    if adapter is not None:
        return _with_adapter(store, words, adapter, ask)
    if light and len(words) == 1 and _is_model(store, words[0]):  # before it is read
        raise _alone(words[0])
    if light and len(words) == 2 and all(_is_model(store, word) for word in words):
        from forensics.capture.rest import side_by_side

        return Pair(*side_by_side(store, (words[0], words[1])))
    if not words:
        newest = store.newest()
        if newest is None:
            hint = "forensics capture -- python train.py, or name a model's path or snapshots/broken-stub."
            raise UnknownRef("Nothing is captured yet.", where=str(store.root), hint=hint)
        found: Sequence[Run | Capture] = [newest]
    elif len(words) == 1:
        found = every(store, words[0], ask=ask)
    else:
        found = [run_or_capture(store, word, ask=ask) for word in words]
    if len(found) > 2:
        raise _several(words[0], found, "at most two are compared")
    if len(found) == 2:
        a, b = found
        if isinstance(a, Run) and isinstance(b, Run):
            return Pair(_held(a).last(), _held(b).last(), two_runs=(a, b))
        return Pair(_last(a), _last(b))
    meant = _of_one(found[0])
    if light and meant.a.path == meant.b.path:
        raise _alone(meant.b.ref)
    return meant


def _of_one(found: Run | Capture) -> Pair:
    """What one word stands for: a run's first capture and its last, or a capture and the first of its run."""
    if isinstance(found, Run):
        return Pair(_held(found).first(), found.last(), run=found)
    first = found.store.run(found.run.removeprefix(found.prefix)).first() if found.store else found
    return Pair(found if first.path == found.path else first, found)


def _alone(word: str) -> UsageError:
    return UsageError(
        "A second model or capture is missing: there is nothing to compare this one with.", word, f"forensics diff {word} OTHER"
    )


def _with_adapter(store: Store, words: Sequence[str], adapter: Path, ask: bool) -> Pair:
    adapter = located(adapter)
    if len(words) != 1 or not located(words[0]).exists():
        raise UsageError(
            "--adapter needs the path of the model that it belongs on.",
            where=" ".join(words) or f"--adapter {adapter}",
            hint=f"For example: ./model --adapter {adapter}",
        )
    if not adapter.exists():
        raise UnknownRef(f"There is no adapter at {str(adapter)!r}.", where=str(adapter), hint="Check the path.")
    from forensics.capture.rest import at_rest

    path = located(words[0])
    return Pair(at_rest(store, path, None, words[0], ask=ask), at_rest(store, path, adapter, f"{words[0]}+{adapter}", ask=ask))


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


def _within(run: Run, match: re.Match[str], text: str) -> Run | Capture:
    place, model = match["place"], match["model"]
    if place is None:
        return run
    mine = [c for c in run.captures if (c.model == model if model else ":" not in c.ref.removeprefix(run.prefix))]
    same = [c for c in mine if c.point == place]
    exact = [c for c in mine if c.place == place or f"{c.point}-{c.ordinal}" == place]
    if same or exact:
        return max(same, key=lambda c: c.ordinal) if same else exact[-1]
    places = list(dict.fromkeys(c.ref.partition("@")[2] for c in run.captures))
    close = near(text.partition("@")[2], places, 1)
    hint = (f"Did you mean {run.name}@{close[0]}? " if close else "") + f"It has {', '.join(places[:12]) or 'no capture'}."
    raise UnknownRef(f"Run {run.name} has no capture {text.partition('@')[2]!r}.", where=text, hint=hint)


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or text in (".", "..") or text.endswith(_FILES)


def _is_model(store: Store, text: str) -> bool:
    """Whether a word is the path of a model, not of evidence."""
    path = located(text)
    named = (
        _REF.fullmatch(text.removeprefix(SNAPSHOTS)) and text.startswith(SNAPSHOTS) and (shipped() / text.removeprefix(SNAPSHOTS)).is_dir()
    )
    run = _REF.fullmatch(text)
    named = named or (run and store.holds(run["run"]))
    if named or not path.exists() or (path / "manifest.json").is_file():
        return False
    return not any(p.suffix == ".zip" and p.is_file() for p in (path, *path.parents))


def _at_path(store: Store, path: Path, text: str, ask: bool) -> Sequence[Run | Capture]:
    bundle = next((p for p in (path, *path.parents) if p.suffix == ".zip" and p.is_file()), None)
    if bundle is not None:
        return _bundled(store, bundle, path, text)
    if not path.exists():
        close = near(text, [SNAPSHOTS + name for name in snapshots()])
        hint = f"Did you mean {' or '.join(close)}?" if close else "Check the path; a run of the store is named without a slash."
        raise UnknownRef(f"There is nothing at {text!r}.", where=str(path), hint=hint)
    if (path / "manifest.json").is_file():
        if is_url(path):
            hint = f"forensics ... --store {path.parent.parent}"
            raise UsageError("A capture of a store elsewhere is named by its ref.", where=text, hint=hint)
        return [_sealed(path, text)]
    from forensics.capture.rest import at_rest

    # The user's word stands for it from here on: two models at rest may bear one name.
    return [at_rest(store, path, None, text, ask=ask)]


def _bundled(ours: Store, bundle: Path, path: Path, text: str) -> Sequence[Run | Capture]:
    """A bundle, or a run or capture in it: bug.zip, bug.zip/night@end."""
    from forensics.bundle import inplace

    if bundle == path:
        return inplace.passing(_here(bundle), text, ours.packs)
    inside = path.relative_to(bundle).as_posix()
    store = inplace.passing_store(_here(bundle), text[: -len(inside) - 1], ours.packs)
    match = _REF.fullmatch(inside)
    if not match or match["run"] not in store.run_names():
        raise UnknownRef(f"The bundle holds no {inside[:100]!r}.", where=text, hint=f"It holds {', '.join(sorted(store.run_names()))}.")
    return [_within(store.run(match["run"]), match, inside)]


def _here(bundle: Path) -> Path:
    """A bundle that lies elsewhere, fetched for this process."""
    if not is_url(bundle):
        return bundle
    target = scratch("fetched") / bundle.name
    target.write_bytes(bundle.read_bytes())
    return target


def _sealed(path: Path, text: str) -> Run | Capture:
    """A capture or run directory of any store."""
    manifest = read_manifest(path)
    owner = Store(path.resolve().parents[1], text.rstrip("/")[: -len(path.name)] if text.rstrip("/").endswith(path.name) else "")
    run = owner.run(manifest.name.partition("@")[0])
    return run if manifest.kind == "run" else next(c for c in run.captures if c.path.name == path.resolve().name)


def _last(found: Run | Capture) -> Capture:
    return found if isinstance(found, Capture) else _held(found).last()


def _held(run: Run) -> Run:
    if not run.captures:
        raise UsageError(f"Run {run.name} holds no capture.", where=run.name, hint="`forensics show` says what is missing, and why.")
    return run


def _several(text: str, found: Sequence[Run | Capture], why: str) -> UsageError:
    names = [each.name if isinstance(each, Run) else each.ref for each in found]
    return UsageError(f"The bundle holds {len(found)} runs, and {why}.", where=text, hint=f"Name what you mean: {', '.join(names)}.")


def _unknown(store: Store, text: str) -> UnknownRef | NotSealed:
    run = store.newest_named(text.partition("@")[0])
    if _REF.fullmatch(text) and store.spooled(run):
        return unsealed.refuse(store.root, run)
    names = [*sorted(store.run_names()), *(SNAPSHOTS + name for name in snapshots())]
    close = near(text.partition("@")[0], names)
    close += [n for n in names if n.rpartition("/")[2] == text.partition("@")[0] and n not in close]
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
