"""The head of a language model: what makes logits of hidden states, for losses that never call it.

Its arrays are handed about apart from it, so that they can be inputs of a node within a compiled function.
Quantized rows stay packed.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any

from .. import trees
from ..trees import mx
from .logits import alone, unfused, wide

_ROWS = 1 << 22  # elements of the head's rows that are unpacked at once for their norms
_ARRAYS = ("weight", "scales", "biases")
_CAPS = ("final_logit_softcapping", "final_logit_softcap", "logits_soft_cap")


@dataclass(frozen=True)
class Head:
    """Logits are cap * tanh(scale * (W h + bias) / cap); cap 0: none.

    W is `weight`, or packed, or with an adapter's update.
    """

    arrays: dict[str, Any]
    packing: dict[str, Any] | None  # group_size, bits and mode of quantized rows
    multiplier: float  # of the adapter's update
    scale: float
    cap: float
    table: Head | None = None  # the embedding, where it could be taken for the head that the model has

    @property
    def other(self) -> tuple[str, Head] | None:
        """What a loss may take for this head by mistake, by its name in a tap.

        `bare`: without scale and cap; `table`: the embedding of a model that is not tied.
        """
        if self.shaped:
            return "bare", self.bare
        return ("table", self.table) if self.table is not None else None

    @property
    def bare(self) -> Head:
        """The same rows, without the scale and the cap that the model puts on its logits."""
        return replace(self, scale=1.0, cap=0.0)

    @property
    def shaped(self) -> bool:
        return self.scale != 1.0 or self.cap != 0.0

    @property
    def held(self) -> list[Any]:
        """Its arrays, and those of its table."""
        return [*self.arrays.values(), *(self.table.held if self.table else [])]

    def holding(self, arrays: list[Any]) -> Head:
        """The same head with these arrays in place of those that it `held`, in their order."""
        own = dict(zip(self.arrays, arrays, strict=False))
        table = self.table.holding(arrays[len(own) :]) if self.table else None
        return replace(self, arrays=own, table=table)

    def rows(self, x: Any) -> Any:
        """W x: (n, width) to (n, vocabulary)."""
        if self.packing is not None:
            product = mx().quantized_matmul(x, *self._packed(), transpose=True, **self.packing)
        else:
            product = x @ self.arrays["weight"].T
        if "lora_a" in self.arrays:
            update = (x @ self.arrays["lora_a"]) @ self.arrays["lora_b"]
            product = alone(lambda a, b: a + self.multiplier * b, product, update)
        return product

    def back(self, p: Any) -> Any:
        """W' p: (n, vocabulary) to (n, width)."""
        if self.packing is not None:
            product = mx().quantized_matmul(p, *self._packed(), transpose=False, **self.packing)
        else:
            product = p @ self.arrays["weight"]
        if "lora_a" in self.arrays:
            update = (p @ self.arrays["lora_b"].T) @ self.arrays["lora_a"].T
            product = alone(lambda a, b: a + self.multiplier * b, product, update)
        return product

    def some(self, ids: Any) -> Any:
        """(n, width) float32: the rows of these tokens."""
        return self._unpacked(ids)

    def squares(self) -> Any:
        """(vocabulary,) float32: the squared norm of each row, made of some rows at a time."""
        core, weight = mx(), self.arrays["weight"]
        width = weight.shape[1] * (32 // self.packing["bits"] if self.packing else 1)
        some = max(1, _ROWS // width)
        parts = [self._unpacked(slice(start, start + some)) for start in range(0, weight.shape[0], some)]
        return core.concatenate([alone(core.square, part).sum(-1) for part in parts])

    def logits(self, h: Any) -> tuple[Any, Any]:
        """(z, slope), each (n, vocabulary) or a number: the model's logits, and their derivative by W h."""
        core = mx()
        z = wide(self.rows(h))
        if "bias" in self.arrays:
            z = alone(core.add, z, wide(self.arrays["bias"]))
        if self.scale != 1.0:
            z = alone(core.multiply, z, self.scale)
        if not self.cap:
            return z, self.scale
        curve = alone(core.tanh, alone(core.divide, z, self.cap))
        slope = alone(core.multiply, alone(core.subtract, 1.0, alone(core.square, curve)), self.scale)
        return alone(core.multiply, curve, self.cap), slope

    def _packed(self) -> list[Any]:
        return [self.arrays.get(name) for name in _ARRAYS]

    def _unpacked(self, which: Any) -> Any:
        """The rows of `which`, ids or a slice, in float32."""
        core = mx()
        if self.packing is not None:
            arrays = [None if array is None else array[which] for array in self._packed()]
            rows = core.dequantize(*arrays, **self.packing)
        else:
            rows = self.arrays["weight"][which]
        rows = wide(unfused(rows))
        if "lora_a" in self.arrays:
            update = wide((self.arrays["lora_a"] @ self.arrays["lora_b"][:, which]).T)
            rows = alone(lambda a, b: a + self.multiplier * b, rows, update)
        return rows


def find(root: Any, trunk: Any, width: int, again: bool = True) -> Head | None:
    """The head under `root` that takes the hidden states, of `width`, which `trunk` gives.

    None where there is none, or more than one.

    A layer with as many rows as the trunk knows tokens; else the trunk's embedding itself (tied).

    Args:
        again: look for it in any case; else what was found last for this trunk stands while the layers that
        it was made of are where they were. To look for it is a walk of the whole model.
    """
    found = _places.get(id(trunk))
    if again or found is None or not found.stands(root, trunk, width):
        found = _places[id(trunk)] = _looked_for(root, trunk, width)
    layer, table = found.modules
    own = _of(layer, found.shape) if layer is not None else None
    if own is None or table is None or own.shaped:
        return own
    return replace(own, table=_of(table, found.shape))


@dataclass(frozen=True)
class _Place:
    """Where the head of a trunk was found: paths under the root, and what stood there.

    `layer` is None where there is none; `table` is the embedding that could be taken for it. All modules are
    held by weak references: the program may drop them.
    """

    root: Any
    trunk: Any
    width: int
    layer: tuple[str, Any] | None
    table: tuple[str, Any] | None
    shape: tuple[float, float]  # scale and cap of the logits

    @property
    def modules(self) -> tuple[Any, Any]:
        """The layer and the table; None for what there is not."""
        return self.layer and self.layer[1](), self.table and self.table[1]()

    def stands(self, root: Any, trunk: Any, width: int) -> bool:
        """Is it of these, and does each layer stand where it stood?"""
        same = self.root() is root and self.trunk() is trunk and self.width == width
        held = [each for each in (self.layer, self.table) if each is not None]
        return same and all(module() is not None and _at(root, path) is module() for path, module in held)


_places: dict[int, _Place] = {}  # by the id of the trunk, which a weak reference within holds against it


def _at(root: Any, path: str) -> Any:
    here = root
    for key in path.split("."):
        try:
            here = here[int(key)] if isinstance(here, (list, tuple)) else dict.get(here, key)
        except (ValueError, IndexError, TypeError):
            return None
    return here


def _looked_for(root: Any, trunk: Any, width: int) -> _Place:
    nothing = _Place(weakref.ref(root), weakref.ref(trunk), width, None, None, (1.0, 0.0))
    tables = (each for _, each in trees.modules(trunk) if "Embedding" in type(each).__name__ and _size(each))
    table = next(tables, None)
    if table is None:
        return nothing
    below = [(path, each) for path, each in trees.modules(root) if path]
    tokens, fits = _size(table), _width(table) == width
    within = {id(_plain(each)) for _, each in below if _plain(each) is not each}
    layers = [
        (path, weakref.ref(each))
        for path, each in below
        if "Linear" in type(each).__name__
        and id(each) not in within
        and (_size(each), _width(each)) == (tokens, width)
    ]
    if len(layers) > 1 or not (layers or fits):
        return nothing
    # the path of a trunk that is not below the root leads nowhere, and it is looked for each time
    own = next((path for path, each in below if each is table), ""), weakref.ref(table)
    beside = own if layers and fits else None
    return replace(nothing, layer=layers[0] if layers else own, table=beside, shape=_configured(root))


def _plain(module: Any) -> Any:
    """The layer within an adapter, else the module."""
    inner = module.get("linear", module.get("embedding"))
    return inner if "lora_a" in module and trees.is_module(inner) else module


def _size(module: Any) -> int | None:
    weight = _plain(module).get("weight")
    return int(weight.shape[0]) if trees.is_array(weight) and weight.ndim == 2 else None


def _width(module: Any) -> int | None:
    plain = _plain(module)
    weight = plain.get("weight")
    if not trees.is_array(weight) or weight.ndim != 2:
        return None
    bits = getattr(plain, "bits", None) if "scales" in plain else None
    return int(weight.shape[1]) * 32 // bits if bits else int(weight.shape[1])


def _of(layer: Any, shape: tuple[float, float]) -> Head | None:
    plain = _plain(layer)
    arrays = {name: plain[name] for name in (*_ARRAYS, "bias") if trees.is_array(plain.get(name))}
    packing = None
    if "scales" in arrays:
        packing = {"group_size": plain.group_size, "bits": plain.bits}
        if (mode := getattr(plain, "mode", "affine")) != "affine":
            packing["mode"] = mode
    multiplier = 0.0
    if plain is not layer:
        names = {name for name in layer if trees.is_array(layer[name])}
        if names != {"lora_a", "lora_b"} or trees.dropout(layer) or trees.scale(layer) is None:
            return None  # magnitudes, or a hidden state that is dropped out before the head
        if "Embedding" in type(layer).__name__:  # its factors lie the other way round
            arrays |= {"lora_a": layer["lora_b"].T, "lora_b": layer["lora_a"].T}
        else:
            arrays |= {"lora_a": layer["lora_a"], "lora_b": layer["lora_b"]}
        multiplier = trees.scale(layer) or 0.0
    return Head(arrays, packing, multiplier, *shape)


def _configured(root: Any) -> tuple[float, float]:
    """(scale, cap) of the logits, as the model's configuration has them.

    It may be that of a language model within the model.
    """
    for _, module in trees.modules(root):
        for args in (getattr(module, "args", None), getattr(module, "config", None)):
            if args is None or isinstance(args, (int, float, str)):
                continue
            scaling = _scale(args), next(filter(None, (_number(args, name) for name in _CAPS)), 0.0)
            if scaling != (1.0, 0.0):
                return scaling
    return 1.0, 0.0


def _scale(args: Any) -> float:
    if (by := _number(args, "logit_scale")) is not None:
        return by
    if over := _number(args, "logits_scaling"):
        return 1.0 / over
    width, base = _number(args, "hidden_size"), _number(args, "dim_model_base")
    return base / width if width and base else 1.0


def _number(args: Any, name: str) -> float | None:
    value = args.get(name) if isinstance(args, dict) else getattr(args, name, None)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
