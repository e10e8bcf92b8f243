"""Walks of module trees and of trees of arrays. Nothing here evaluates an array."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .originals import inspect, mlx_core


def mx() -> Any:
    """mlx.core, as it was before the program could replace a function of it."""
    return mlx_core()


def is_array(value: Any) -> bool:
    return isinstance(value, mx().array)


def is_module(value: Any) -> bool:
    base = sys.modules.get("mlx.nn")
    return base is not None and isinstance(value, base.Module)


_UNITS = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23}


def unit(dtype: Any) -> float:
    """The distance from 1 to the next number of a floating type of mlx; 0.0 for other types."""
    return _UNITS.get(str(dtype).rpartition(".")[2], 0.0)


def with_output(output: Any, change: Callable[[Any], Any]) -> Any:
    """What a model returned, its logits (or hidden states) replaced by `change` of them.

    They are the array itself, the first of a tuple or list, `logits` of a dict or of an object. Where there
    are none, or `change` gives the same array back, `output` stays as it is.
    """
    if is_array(output):
        return change(output)
    if isinstance(output, (tuple, list)):
        if not output or isinstance(output[0], (tuple, list)):
            return output
        first = with_output(output[0], change)
        if first is output[0]:
            return output
        items = (first, *output[1:])
        return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)
    held = output.get("logits") if isinstance(output, dict) else getattr(output, "logits", None)
    if is_module(output) or not is_array(held):
        return output
    changed = change(held)
    if changed is not held and isinstance(output, dict):
        return type(output)({**output, "logits": changed})
    if changed is not held:
        output.logits = changed
    return output


def output_array(output: Any) -> Any:
    """The logits (or hidden states) in what a model returned, as `with_output` finds them."""
    arrays: list[Any] = []

    def seen(array: Any) -> Any:
        arrays.append(array)
        return array

    with_output(output, seen)
    return arrays[0] if arrays else None


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, array) of every array in nested dicts, lists and tuples, in their order."""
    leaves: list[tuple[str, Any]] = []
    _collect(tree, prefix, mx().array, leaves)
    return iter(leaves)


def unflatten(named: Sequence[tuple[str, Any]]) -> Any:
    """The nested tree of (dotted name, value), as `Module.update` takes it: mlx's own."""
    return importlib.import_module("mlx.utils").tree_unflatten(list(named))


def _collect(tree: Any, prefix: str, kind: type, leaves: list[tuple[str, Any]]) -> None:
    if isinstance(tree, kind):
        leaves.append((prefix, tree))
        return
    if isinstance(tree, dict):
        pairs: Any = tree.items()
    elif isinstance(tree, (list, tuple)):
        pairs = enumerate(tree)
    else:
        return
    for key, value in pairs:
        _collect(value, f"{prefix}.{key}" if prefix else str(key), kind, leaves)


def replaced(tree: Any, arrays: Iterator[Any]) -> Any:
    """The tree with its arrays replaced, in the order of `flatten`."""
    if isinstance(tree, dict):
        return {key: replaced(value, arrays) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        items = [replaced(value, arrays) for value in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return next(arrays) if is_array(tree) else tree


def leaves(tree: Any) -> list[Any]:
    """The arrays alone, in the order of `flatten`, at a tenth of its cost."""
    leaves: list[Any] = []
    _leaves((tree,), mx().array, leaves)
    return leaves


def _leaves(values: Any, kind: type, leaves: list[Any]) -> None:
    for value in values:
        if isinstance(value, dict):
            _leaves(value.values(), kind, leaves)
        elif isinstance(value, kind):
            leaves.append(value)
        elif isinstance(value, (list, tuple)):
            _leaves(value, kind, leaves)


def beside(tree: Any, other: Any) -> list[Any]:
    """The arrays of `other` that stand where `tree` has its own, in the order of `leaves(tree)`.

    Raises KeyError, IndexError or TypeError where `other` has none there.
    """
    leaves: list[Any] = []
    _beside((tree,), (other,), mx().array, leaves)
    return leaves


def _beside(tree: Any, other: Any, kind: type, leaves: list[Any]) -> None:
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, kind):
            leaves.append(other[key])
        elif value and isinstance(value, (dict, list, tuple)):
            _beside(value, other[key], kind, leaves)


def keys(tree: Any, wanted: set[str], prefix: str = "") -> dict[str, tuple[Any, ...]]:
    """The keys that lead to arrays of these dotted names."""
    by_name: dict[str, tuple[Any, ...]] = {}
    pairs = (
        tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, (list, tuple)) else ()
    )
    for key, value in pairs:
        name = f"{prefix}.{key}" if prefix else str(key)
        if name in wanted and is_array(value):
            by_name[name] = (key,)
        elif any(item.startswith(f"{name}.") for item in wanted):
            by_name |= {each: (key, *rest) for each, rest in keys(value, wanted, name).items()}
    return by_name


def some(tree: Any, paths: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    """The arrays at these keys, by name; those that are not there are left out."""
    chosen = {}
    for name, path in paths.items():
        here = tree
        try:
            for key in path:
                here = here[key]
        except (KeyError, IndexError, TypeError):
            continue
        if is_array(here):
            chosen[name] = here
    return chosen


def with_last(tree: Any, change: Callable[[Any], Any]) -> Any:
    """The tree with its last array changed: in place, but for tuples, which are made anew."""
    changed = _with_last(tree, change)
    return tree if changed is None else changed


def _with_last(tree: Any, change: Callable[[Any], Any]) -> Any:
    """None where there is no array."""
    if is_array(tree):
        return change(tree)
    pairs = (
        tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, (list, tuple)) else ()
    )
    for key, value in reversed(list(pairs)):
        changed = _with_last(value, change)
        if changed is None:
            continue
        if not isinstance(tree, tuple):
            tree[key] = changed
            return tree
        items = [changed if i == key else item for i, item in enumerate(tree)]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return None


class Tree:
    """Stands for the model of a program without modules: the tree of arrays that it differentiates.

    Functional programs make a new tree at each step; `tree` is the newest.
    """

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def parameters(self) -> Any:
        return self.tree

    def trainable_parameters(self) -> Any:
        return self.tree

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(array.shape) for name, array in flatten(self.tree)}


_LIBRARIES = ("mlx", "mlx_lm")


def inherited(instance: Any, name: str) -> Any:
    """An attribute as the library's class gives it, past what a class of the program puts over it.

    The program's class then sees its own calls alone.
    """
    for cls in type(instance).__mro__:
        if cls.__module__.partition(".")[0] in _LIBRARIES and name in vars(cls):
            own = vars(cls)[name]
            return own.__get__(instance, type(instance)) if hasattr(own, "__get__") else own
    return getattr(instance, name, None)


def attribute(module: Any, name: str) -> Any:
    """A plain attribute of a module, or of its class.

    No property or `__getattr__` of the program's is asked.
    """
    for namespace in (vars(module), module if isinstance(module, dict) else {}):
        if dict.__contains__(namespace, name):
            return dict.__getitem__(namespace, name)
    value = inspect.getattr_static(type(module), name, None)
    return None if hasattr(value, "__get__") else value


def optimizer_state(optimizer: Any) -> Any:
    """The state of an optimizer: its dict, past a property of the program's."""
    return inherited(optimizer, "state")


def learning_rate(optimizer: Any) -> Any:
    """The rate in the optimizer's state; None where it has none."""
    state = optimizer_state(optimizer)
    if isinstance(state, dict) and "learning_rate" in state:
        return state["learning_rate"]
    return inherited(optimizer, "learning_rate") if hasattr(type(optimizer), "learning_rate") else None


def parameters(module: Any) -> dict[str, Any]:
    """Dotted name to array, of all parameters.

    Of a module that holds none itself, what it gives for its own.
    """
    named = dict(flatten(inherited(module, "parameters")()))
    return named or dict(flatten(module.parameters()))


def trainable(module: Any) -> dict[str, Any]:
    """Dotted name to array, of the trainable set.

    A program that overrides `trainable_parameters` declares the set by it: it is asked.
    """
    return dict(flatten(module.trainable_parameters()))


def modules(module: Any) -> Iterator[tuple[str, Any]]:
    """(dotted path, module) of the module itself ('') and everything below, parents first."""
    if isinstance(module, Tree):
        return
    yield "", module
    yield from _below(module, "")


def _below(container: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    for key, value in pairs:
        path = f"{prefix}.{key}" if prefix else str(key)
        if is_module(value):
            yield path, value
            yield from _below(value, path)
        elif isinstance(value, (dict, list, tuple)):
            yield from _below(value, path)


def path_below(root: Any, module: Any) -> str | None:
    """The dotted path at which `module` stands under `root`; None where it does not."""
    for path, each in modules(root):
        if each is module:
            return path
    return None


def adapters(module: Any) -> tuple[int, int]:
    """(modules that are adapters, how many of these are wrapped around another adapter).

    They are known by structure: a module that holds lora_a.
    """
    count = nested = 0
    for _, each in modules(module):
        if "lora_a" in each:
            count += 1
            inner = each.get("linear", each.get("embedding"))
            nested += is_module(inner) and "lora_a" in inner
    return count, nested


def plain(module: Any) -> dict[str, Any]:
    """A module's plain attributes: numbers, booleans, short names, and lists of these.

    Private ones and arrays left out.
    """
    attributes: dict[str, Any] = {}
    for key, value in vars(module).items():
        if not key.startswith("_") and (simple := _simple(value)) is not None:
            attributes[key] = simple
    for key, value in module.items():
        if not key.startswith("_") and not is_array(value) and not isinstance(value, dict):
            simple = _simple(value)
            if simple not in (None, [], ()):
                attributes[key] = simple
    return attributes


def _simple(value: Any, depth: int = 0) -> Any:
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return value if len(value) <= 64 else None
    if isinstance(value, (list, tuple)) and depth < 2 and 0 < len(value) <= 64:
        items = [_simple(item, depth + 1) for item in value]
        return items if all(item is not None for item in items) else None
    return None


def dropout(module: Any) -> float | None:
    """The dropout probability in force: `_p_1` of nn.Dropout is 1 - p.

    Adapters hold such a layer as `dropout`.
    """
    for holder in (module, attribute(module, "dropout")):
        keep = attribute(holder, "_p_1") if is_module(holder) else None
        if isinstance(keep, (int, float)):
            return 1.0 - float(keep)
        if isinstance(holder, (int, float)) and not isinstance(holder, bool):
            return float(holder)
    return None


def scale(module: Any) -> float | None:
    """The multiplier in force of an adapter: its attribute `scale`."""
    value: Any = attribute(module, "scale")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if is_array(value) and value.size == 1:
        return float(value.item())
    return None
