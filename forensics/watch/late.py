"""A watch that begins when the program has begun already.

Models in memory, functions made before, and what can no longer be seen.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

from . import changes, trees
from .capture import points, registry, tensors
from .places import is_users
from .run import watch

_INNER = ("model", "value_grad_fn")  # free variables of the function that nn.value_and_grad returns
_MADE = "_gc_func"  # mlx's type of compiled functions and gradients
_ADAPTER_LEAVES = ("lora_a", "lora_b", "m")


def catch_up() -> None:
    """After the hooks are in: look at what they would have seen had they been there from the beginning."""
    changes.rebind()
    with watch.looking("models in memory"):
        _models()
    _gradients()
    with watch.looking("functions made before"):
        _unseen()


def _models() -> None:
    tokenizers = _tokenizers()
    for module in registry.scan():
        tokenizer = tokenizers[0] if len(tokenizers) == 1 else None
        named = getattr(tokenizer, "name_or_path", None)
        path = named if isinstance(named, str) and _is_home(Path(named), module) else None
        points.loaded(module, path, tokenizer, config=_config(path))


def _tokenizers() -> list[Any]:
    """Those of mlx-lm; else those of transformers."""
    for home, name in (
        ("mlx_lm.tokenizer_utils", "TokenizerWrapper"),
        ("transformers.tokenization_utils_base", "PreTrainedTokenizerBase"),
    ):
        kind = getattr(sys.modules.get(home), name, None)
        tokenizers = [
            tracked for tracked in gc.get_objects() if kind is not None and isinstance(tracked, kind)
        ]
        if tokenizers:
            return tokenizers
    return []


def _is_home(directory: Path, module: Any) -> bool:
    """Do the files of this directory hold just the parameters that the model has?

    Those of adapters on the model do not count.
    """
    files = sorted(directory.glob("model*.safetensors")) if directory.is_dir() else []
    have = {
        name.replace(".linear.", ".").replace(".embedding.", ".")
        for name in trees.parameters(module)
        if name.rpartition(".")[2] not in _ADAPTER_LEAVES
    }
    return bool(have) and {name for file in files for name in tensors.header(file)} >= have


def _config(path: str | None) -> Any:
    return json.loads(Path(path, "config.json").read_text(encoding="utf-8")) if path else None


def _gradients() -> None:
    """Make anew what nn.value_and_grad made of a model and a function, within the same object.

    It lasts for as long as we watch.
    """
    for function in [tracked for tracked in gc.get_objects() if _is_gradient(tracked)]:
        try:  # not in `looking`: the hooks are to see this
            model, cell_of_function = (cell for cell in function.__closure__ or ())
            again = sys.modules["mlx.nn"].value_and_grad(model.cell_contents, function.__wrapped__)
            while not _is_gradient(again):
                again = again.__wrapped__
            _swap(cell_of_function, again.__closure__[1].cell_contents)
        except Exception as error:  # noqa: BLE001
            watch.missing("gradients made before", error, "loss")


def _is_gradient(each: Any) -> bool:
    return (
        type(each) is FunctionType
        and each.__code__.co_freevars == _INNER
        and each.__code__.co_filename.endswith(os.path.join("mlx", "nn", "utils.py"))
        and hasattr(each, "__wrapped__")
    )


def _swap(cell: Any, value: Any) -> None:
    before = cell.cell_contents

    def back() -> None:
        if cell.cell_contents is value:
            cell.cell_contents = before

    cell.cell_contents = value
    changes.at_end(back)


def _unseen() -> None:
    """Functions of the program that mlx compiled or differentiated before we began.

    No hook sees what happens inside them.
    """
    names = sorted(
        {name for tracked in gc.get_objects() if type(tracked).__name__ == _MADE for name in _users(tracked)}
    )
    if names:
        reason = (
            "mx.compile or mx.value_and_grad made it before the watch began; make it again inside the watch"
        )
        watch.missing(f"what happens inside {', '.join(names[:6])}", reason, "loss")


def _users(compiled: Any) -> Iterator[str]:
    for referent in gc.get_referents(compiled):
        function = getattr(referent, "func", referent)
        code = getattr(function, "__code__", None)
        if code is not None and is_users(code.co_filename):
            yield str(getattr(function, "__qualname__", "a function"))
