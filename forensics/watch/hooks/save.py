"""Saving: what was handed to a file, whose arrays they are, and whether the file was written."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .. import trees
from ..capture import boundaries, digests, registry
from ..models import Model
from ..moments import Moments
from ..originals import os, time
from ..places import where
from ..run import watch
from ..training import subjects
from ..wrapping import wrap

_ENDINGS = (".safetensors", ".npz", ".npy", ".gguf")
_BEST = re.compile(r"(^|[^a-z])best([^a-z]|$)")
_saves = 0
paths: set[str] = set()  # of files that were written, and what they were renamed to


def saver(
    via: str, arguments: Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, dict[str, Any]]]
) -> Callable[..., Any]:
    """A maker of wrappers for a function that writes arrays.

    `arguments` reads (file, arrays by name) off a call.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def save(*args: Any, **kwargs: Any) -> Any:
            if not watch.observing:
                return original(*args, **kwargs)
            with watch.looking(via):
                subjects.saved(arguments(args, kwargs)[1])
            boundaries.boundary("save")
            handed: dict[str, str] = {}
            owner: Model | None = None
            with watch.looking(via):
                arrays = arguments(args, kwargs)[1]
                owner = _owner(arrays)
                handed = {
                    name: digests.digest_of(array) for name, array in arrays.items() if trees.is_array(array)
                }
            ok = False
            try:
                with watch.within("library"):
                    result = original(*args, **kwargs)
                ok = True
                return result
            finally:
                with watch.looking(via):
                    record(via, arguments(args, kwargs)[0], handed, owner, ok)

        return save

    return make


def record(via: str, file: Any, handed: dict[str, str], owner: Model | None, ok: bool) -> None:
    global _saves
    with watch.lock:
        number, _saves = _saves, _saves + 1
    path = _written(file)
    if path:
        paths.add(path)
    place = where()
    nbytes = os.path.getsize(path) if path and os.path.exists(path) else None
    trained = trees.trainable(owner.module) if owner and owner.module is not None else {}
    updates = owner.updates if owner else None
    for name, digest in handed.items() or [(None, None)]:
        watch.row(
            "saved_tensors", save=number, path=path, file=os.path.basename(path) if path else None, name=name,
            digest=digest, model=owner.number if owner else None, updates=updates, place=place,
            time=time.time(),
        )  # fmt: skip
    if owner:
        owner.saves += 1
    only = bool(handed) and all(name in trained for name in handed)
    watch.event(
        "save",
        owner,
        place,
        save=number,
        via=via,
        path=path,
        names=len(handed),
        nbytes=nbytes,
        ok=ok,
        trainable_only=only,
        best=_is_best(path),
        rewritten=owner.rewritten if owner else None,
    )


def _written(file: Any) -> str | None:
    """The path that was written: the writers add the ending that a name has not; None for what is no path."""
    if not isinstance(file, (str, os.PathLike)):
        return None
    path = os.path.abspath(os.fsdecode(file))
    longer = (f"{path}{ending}" for ending in _ENDINGS if not path.endswith(_ENDINGS))
    return next(filter(os.path.exists, longer), path)


def _is_best(path: str | None) -> bool:
    """Does the name of the file, or of its directory, say that it is the best?"""
    return path is not None and any(_BEST.search(part.lower()) for part in path.split(os.sep)[-2:])


def _owner(arrays: dict[str, Any]) -> Model | None:
    """The model whose own array objects these are; else the one that holds arrays of the same bytes.

    Of models within one another, the one that has them under the same names.
    """
    given = {id(array): name for name, array in arrays.items()}
    best: tuple[tuple[int, int], Model | None] = ((0, 0), None)
    for record in watch.models:
        if record.module is not None:
            own = [
                (name, given[id(a)]) for name, a in trees.parameters(record.module).items() if id(a) in given
            ]
            best = max(best, ((len(own), sum(a == b for a, b in own)), record), key=lambda pair: pair[0])
    return best[1] or _by_bytes(arrays)


def _by_bytes(arrays: dict[str, Any]) -> Model | None:
    return holder({digests.digest_of(array) for array in arrays.values() if trees.is_array(array)})


def holder(handed: set[str]) -> Model | None:
    """The model that, at its newest capture, held most of these digests."""
    for record in reversed(watch.models):
        digests = registry.digests_of(record)
        if handed and len(handed & digests) * 2 > len(handed):
            return record
    return None


def _named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """mx.save_safetensors(file, arrays), mx.save_gguf(file, arrays)."""
    arrays = args[1] if len(args) > 1 else kwargs.get("arrays", {})
    return (args[0] if args else kwargs.get("file")), dict(arrays)


def _savez(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """mx.savez(file, *arrays, **named)."""
    named = {key: value for key, value in kwargs.items() if key != "file"}
    return (args[0] if args else kwargs.get("file")), {
        **{f"arr_{i}": each for i, each in enumerate(args[1:])},
        **named,
    }


def _single(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    array = args[1] if len(args) > 1 else kwargs.get("arr")
    return (args[0] if args else kwargs.get("file")), {"": array}


def _tensors_first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """safetensors.mlx.save_file(tensors, filename)."""
    tensors = args[0] if args else kwargs.get("tensors", {})
    return (args[1] if len(args) > 1 else kwargs.get("filename")), dict(tensors)


def _core(module: Any) -> None:
    wrap(module, "save_safetensors", saver("mx.save_safetensors", _named))
    wrap(module, "save_gguf", saver("mx.save_gguf", _named))
    wrap(module, "savez", saver("mx.savez", _savez))
    wrap(module, "savez_compressed", saver("mx.savez_compressed", _savez))
    wrap(module, "save", saver("mx.save", _single))


def _safetensors(module: Any) -> None:
    wrap(module, "save_file", saver("safetensors.mlx.save_file", _tensors_first))


def install(run: Moments) -> None:
    run.patch("mlx.core", _core)
    run.patch("safetensors.mlx", _safetensors)
