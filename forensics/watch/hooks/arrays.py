"""Parameters that are saved by way of NumPy: np.savez, np.save and safetensors.numpy.

NumPy's own data is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import trees
from ..capture import boundaries, digests
from ..capture.tensors import NAMES
from ..moments import Moments
from ..originals import hashlib
from ..run import watch
from ..wrapping import wrap
from .save import holder, record

Read = Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, dict[str, Any]]]


def _saver(via: str, arguments: Read) -> Callable[..., Any]:
    """A maker of wrappers; `arguments` reads (file, arrays by name) off a call."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def save(*args: Any, **kwargs: Any) -> Any:
            handed: dict[str, str] = {}
            if watch.observing and not watch.local.library:
                with watch.looking(via):
                    arrays = arguments(args, kwargs)[1]
                    if _of_a_model(arrays):
                        boundaries.boundary("save")
                        handed = {
                            name: digest for name, array in arrays.items() if (digest := _digest(array))
                        }
            if not handed:
                return original(*args, **kwargs)
            ok = False
            try:
                result = original(*args, **kwargs)
                ok = True
                return result
            finally:
                with watch.looking(via):
                    record(via, arguments(args, kwargs)[0], handed, holder(set(handed.values())), ok)

        return save

    return make


def _of_a_model(arrays: dict[str, Any]) -> bool:
    """Are these arrays of mlx, or most names those of a model's parameters?"""
    if any(trees.is_array(array) for array in arrays.values()):
        return True
    modules = [record.module for record in watch.models if record.module is not None]
    return any(2 * len(arrays.keys() & trees.parameters(module).keys()) > len(arrays) for module in modules)


def _digest(array: Any) -> str | None:
    """As of an array of mlx; None for a type that safetensors has not."""
    if trees.is_array(array):
        return digests.digest_of(array)
    name = NAMES.get(str(getattr(array, "dtype", None)))
    if name is None:
        return None
    shape = "x".join(map(str, array.shape))
    return hashlib.sha256(f"{name}\0{shape}\0".encode() + array.tobytes()).hexdigest()


def _many(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """np.savez(file, *arrays, **named)."""
    named = {key: value for key, value in kwargs.items() if key not in ("file", "allow_pickle")}
    return (args[0] if args else kwargs.get("file")), {
        **{f"arr_{i}": each for i, each in enumerate(args[1:])},
        **named,
    }


def _one(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """np.save(file, array)."""
    return (args[0] if args else kwargs.get("file")), {"": args[1] if len(args) > 1 else kwargs.get("arr")}


def _tensors_first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """safetensors.numpy.save_file(tensor_dict, filename)."""
    tensors = args[0] if args else kwargs.get("tensor_dict", {})
    return (args[1] if len(args) > 1 else kwargs.get("filename")), dict(tensors)


def _numpy(module: Any) -> None:
    for name in ("savez", "savez_compressed"):
        wrap(module, name, _saver(f"np.{name}", _many))
    wrap(module, "save", _saver("np.save", _one))


def _safetensors(module: Any) -> None:
    wrap(module, "save_file", _saver("safetensors.numpy.save_file", _tensors_first))


def install(run: Moments) -> None:
    run.patch("numpy", _numpy)
    run.patch("safetensors.numpy", _safetensors)
