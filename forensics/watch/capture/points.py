"""The points of a run: when a model is first seen, and how one is captured.

A model is known from the first hook that sees it. `start` comes before its first update (phases.py); updates
make it dirty; the first safe moment after that (boundaries.py: a save, a generation, a fuse, a load, the
exit) takes `end`. Nothing here raises.
"""

from __future__ import annotations

from typing import Any

from .. import trees
from ..models import Model
from ..places import where
from ..run import safely, watch
from . import digests, registry, snapshot
from .registry import Track


@safely
def track(module: Any) -> Track | None:
    """The track of a module or bare tree of arrays; one that was not known is `loaded` now.

    None where it holds no arrays.
    """
    module = registry.rooted(module)
    if module is None:
        return None
    entry, _ = registry.register(module)
    if entry.last is None and take(entry, "loaded"):
        registry.copied(entry)
        registry.write()
    return entry


def model(module: Any) -> Model | None:
    """The record of a module, which is registered where it was not known."""
    entry = track(module)
    return entry.model if entry else None


@safely
def loaded(
    module: Any,
    path: str | None = None,
    tokenizer: Any = None,
    adapter_path: str | None = None,
    config: Any = None,
) -> None:
    """A model came back from a loader: register it, and capture `loaded`."""
    if registry.rooted(module) is None:
        return
    digests.forget()
    entry, _ = registry.register(registry.rooted(module))
    registry.describe(entry.model, path, tokenizer, adapter_path, config)
    entry.adapters = trees.adapters(entry.model.module)
    take(entry, "loaded")
    registry.write()


@safely
def with_tokenizer(module: Any, tokenizer: Any, path: str | None = None) -> None:
    """This tokenizer was used with this model."""
    root = registry.rooted(module)
    if root is not None and tokenizer is not None:
        record = registry.register(root)[0].model  # before `loaded` is taken, so that its probes can be asked
        record.tokenizer, record.tokenizer_path = tokenizer, path or record.tokenizer_path
        track(root)


@safely
def adapted(module: Any) -> None:
    """Adapter layers were put in: capture `adapted`."""
    entry = track(module)
    if entry:
        digests.forget()
        entry.adapters = trees.adapters(entry.model.module)
        take(entry, "adapted")


def take(
    entry: Track, point: str, *, whole: bool = True, everything: bool = False, references: Any = None,
    unlike: snapshot.Taken | None = None, optimizers: dict[str, Any] | None = None,
    pending: snapshot.Pending | None = None,
) -> snapshot.Taken | None:  # fmt: skip
    """Capture a model.

    `everything`: frozen parameters are read again, too. `optimizers`: stand-ins for those that it has.
    `pending`: what was not computed before ours was.
    """
    if not entry.mine:
        return None
    before = None if everything else entry.last_whole if whole else entry.last
    place, given = (
        where(),
        {number: each.here for number, each in entry.optimizers.items()} | (optimizers or {}),
    )
    with watch.lock.released():  # the probes call the program's model
        taken = snapshot.take(
            entry.model, point, whole=whole, references=references, before=before, probes=entry.last_whole,
            place=place, optimizers=given if whole else None, unlike=unlike,
            pending=pending,
        )  # fmt: skip
    if taken is not None:
        entry.last = taken
        entry.last_whole = taken if taken.whole else entry.last_whole
    return taken


def unchanged(entry: Track, taken: snapshot.Taken) -> bool:
    """No parameter was bound anew since `taken`, and the settings are as they were."""
    arrays = trees.parameters(entry.model.module)
    same = all(
        (seen := taken.seen.get(name)) is not None and seen() is array for name, array in arrays.items()
    )
    return same and len(arrays) == len(taken.seen) and digests.settings(entry.model.module) == taken.settings
