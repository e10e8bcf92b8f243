"""Words to evidence: what refs name, with paths opened.

Bundles are rebuilt, models on disk measured and asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics import refs
from forensics.errors import UnknownRef, UsageError, near
from forensics.files import scratch
from forensics.model.remote import is_url, located
from forensics.store.manifest import read_manifest, run_of
from forensics.store.store import Capture, Run, Store


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
    subject = run_or_capture(store, text)
    return _last(subject)


def run_or_capture(store: Store, text: str, *, ask: bool = False) -> Run | Capture:
    """The run or capture that `text` means; raises as `one`.

    `ask`: have a model at a path answer the probes.
    """
    subjects = every(store, text, ask=ask)
    if len(subjects) > 1:
        raise _several(text, subjects, "one is meant here")
    return subjects[0]


def every(store: Store, text: str, *, ask: bool = False) -> Sequence[Run | Capture]:
    """All that `text` means: of a bundle its runs, in the order in which they were bundled.

    Raises as `one`.
    """
    meant = refs.resolve(store, text)
    return _at_path(store, meant.path, text, ask) if isinstance(meant, refs.Place) else [meant]


def chosen(store: Store, words: Iterable[str]) -> list[Run | Capture]:
    """All that these words mean together; raises as `one`."""
    return [subject for word in words for subject in every(store, word)]


def pair(
    store: Store, words: Sequence[str], adapter: Path | None = None, *, ask: bool = False, light: bool = False
) -> Pair:
    """The two captures that `[A [B]]` means.

    Nothing is the newest run; one run is its first capture and its `end` or last; one capture is judged
    against the first of its run; a bundle of two runs is these two; a model with `adapter` is the model
    without it and with it; two models with `adapter` are the first with it and the second, into which it may
    be fused. `light`: for a comparison and nothing more; of two models on disk no more is read than that
    needs, so what is equal has no statistics, and one capture alone is not enough.

    Raises:
        UsageError: more than two words or runs, an adapter without a model, a run without captures, or one
        capture alone.
    """
    if len(words) > 2:
        raise UsageError(
            f"{len(words)} refs where at most two are compared.",
            where=" ".join(words),
            hint="Give A, or A and B.",
        )
    if adapter is not None:
        return _with_adapter(store, words, adapter, ask)
    if light and len(words) == 1 and refs.is_model(store, words[0]):  # before it is read
        raise _alone(words[0])
    if len(words) == 2 and all(refs.is_model(store, word) for word in words) and _is_on(words):
        return _with_adapter(store, words[:1], Path(words[1]), ask)
    if light and len(words) == 2 and all(refs.is_model(store, word) for word in words):
        from forensics.capture.rest import side_by_side  # import time, as in `_at_rest`

        return Pair(*side_by_side(store, (words[0], words[1])))
    if not words:
        newest = store.newest()
        if newest is None:
            hint = "forensics capture -- python train.py, or name a model's path or snapshots/broken-stub."
            raise UnknownRef("Nothing is captured yet.", where=str(store.root), hint=hint)
        subjects: Sequence[Run | Capture] = [newest]
    elif len(words) == 1:
        subjects = every(store, words[0], ask=ask)
    else:
        subjects = [run_or_capture(store, word, ask=ask) for word in words]
    if len(subjects) > 2:
        raise _several(words[0], subjects, "at most two are compared")
    if len(subjects) == 2:
        a, b = subjects
        if isinstance(a, Run) and isinstance(b, Run):
            return Pair(_with_captures(a).last(), _with_captures(b).last(), two_runs=(a, b))
        return Pair(_last(a), _last(b))
    meant = _of_one(subjects[0])
    if light and meant.a.path == meant.b.path:
        raise _alone(meant.b.ref)
    return meant


def _is_on(words: Sequence[str]) -> bool:
    """Are these a model and an adapter, which is judged as it lies on the model?"""
    from forensics.model.checkpoint import open_model  # import time, as in `_at_rest`

    model, adapter = map(located, words)
    return open_model(adapter).is_adapter and not open_model(model).is_adapter


def _of_one(subject: Run | Capture) -> Pair:
    """What one word stands for: a run's first capture and its last, or a capture and the first of its run."""
    if isinstance(subject, Run):
        return Pair(_with_captures(subject).first(), subject.last(), run=subject)
    first = subject.store.run(subject.run.removeprefix(subject.prefix)).first() if subject.store else subject
    return Pair(subject if first.path == subject.path else first, subject)


def _alone(word: str) -> UsageError:
    return UsageError(
        "A second model or capture is missing: there is nothing to compare this one with.",
        word,
        f"forensics diff {word} OTHER",
    )


def _with_adapter(store: Store, words: Sequence[str], adapter: Path, ask: bool) -> Pair:
    adapter = located(adapter)
    if not words or not all(located(word).exists() for word in words):
        raise UsageError(
            "--adapter needs the path of the model that it belongs on.",
            where=" ".join(words) or f"--adapter {adapter}",
            hint=f"For example: ./model --adapter {adapter}",
        )
    if not adapter.exists():
        raise UnknownRef(
            f"There is no adapter at {str(adapter)!r}.", where=str(adapter), hint="Check the path."
        )
    path = located(words[0])
    if len(words) == 2:
        on = _at_rest(store, path, adapter, f"{words[0]}+{adapter}", ask=ask)
        return Pair(on, _at_rest(store, located(words[1]), None, words[1], ask=ask))
    return Pair(
        _at_rest(store, path, None, words[0], ask=ask),
        _at_rest(store, path, adapter, f"{words[0]}+{adapter}", ask=ask),
    )


def _at_rest(store: Store, path: Path, adapter: Path | None, text: str, *, ask: bool) -> Capture:
    from forensics.capture.rest import at_rest  # import time: refs of the store need no model

    return at_rest(store, path, adapter, text, ask=ask)


def _at_path(store: Store, path: Path, text: str, ask: bool) -> Sequence[Run | Capture]:
    bundle = next((p for p in (path, *path.parents) if p.suffix == ".zip" and p.is_file()), None)
    if bundle is not None:
        return _bundled(store, bundle, path, text)
    if not path.exists():
        close = near(text, [refs.SNAPSHOTS + name for name in refs.snapshots()])
        hint = (
            f"Did you mean {' or '.join(close)}?"
            if close
            else "Check the path; a run of the store is named without a slash."
        )
        raise UnknownRef(f"There is nothing at {text!r}.", where=str(path), hint=hint)
    if (path / "manifest.json").is_file():
        if is_url(path):
            hint = f"forensics ... --store {path.parent.parent}"
            raise UsageError("A capture of a store elsewhere is named by its ref.", where=text, hint=hint)
        return [_sealed(path, text)]
    # The user's word stands for it from here on: two models at rest may bear one name.
    return [_at_rest(store, path, None, text, ask=ask)]


def _bundled(ours: Store, bundle: Path, path: Path, text: str) -> Sequence[Run | Capture]:
    """A bundle, or a run or capture in it: bug.zip, bug.zip/night@end."""
    from forensics.bundle import scratchstore  # import time: few refs are bundles

    if bundle == path:
        return scratchstore.passing(_here(bundle), text, ours.packs)
    inside = path.relative_to(bundle).as_posix()
    store = scratchstore.passing_store(_here(bundle), text[: -len(inside) - 1], ours.packs)
    run = refs.run_name(inside)
    if run is None or run not in store.run_names():
        raise UnknownRef(
            f"The bundle holds no {inside[:100]!r}.",
            where=text,
            hint=f"It holds {', '.join(sorted(store.run_names()))}.",
        )
    return [refs.within(store.run(run), inside)]


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
    owner = Store(
        path.resolve().parents[1],
        text.rstrip("/")[: -len(path.name)] if text.rstrip("/").endswith(path.name) else "",
    )
    run = owner.run(run_of(manifest.name))
    return (
        run if manifest.kind == "run" else next(c for c in run.captures if c.path.name == path.resolve().name)
    )


def _last(subject: Run | Capture) -> Capture:
    return subject if isinstance(subject, Capture) else _with_captures(subject).last()


def _with_captures(run: Run) -> Run:
    if not run.captures:
        raise UsageError(
            f"Run {run.name} holds no capture.",
            where=run.name,
            hint="`forensics show` says what is missing, and why.",
        )
    return run


def _several(text: str, subjects: Sequence[Run | Capture], why: str) -> UsageError:
    names = [subject.name if isinstance(subject, Run) else subject.ref for subject in subjects]
    return UsageError(
        f"The bundle holds {len(subjects)} runs, and {why}.",
        where=text,
        hint=f"Name what you mean: {', '.join(names)}.",
    )
