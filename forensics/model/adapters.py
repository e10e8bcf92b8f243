"""Where adapters sit, read off names and shapes.

By name: lora_a and lora_b of mlx-lm, lora_A and lora_B of PEFT. By structure: a module with two factors A and
B whose product has the shape of the weight beside or below them, whatever they are called.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]
WRAPPERS = ("linear", "embedding")
"""What mlx-lm calls the layer that an adapter wraps."""

_PEFT_ROOT = "base_model.model."
_PEFT_LAYER = ".base_layer."
_FACTOR = re.compile(r"^(?:(?P<module>.*)\.)?lora_(?:embedding_)?(?P<which>[aAbB])(?:\.[A-Za-z0-9_-]+)*$")
_MAGNITUDE = re.compile(r"^(?:(?P<module>.*)\.)?lora_magnitude_vector(?:\.[A-Za-z0-9_-]+)*$")


@dataclass(frozen=True, slots=True)
class Adapter:
    """One adapter: the module that holds its factors, and the name of the child that it wraps."""

    module: str
    a: str | None
    b: str | None
    m: str | None
    rank: int | None
    inner: str | None

    @property
    def kind(self) -> str:
        return "dora" if self.m else "lora"

    @property
    def factors(self) -> tuple[str, ...]:
        return tuple(name for name in (self.a, self.b, self.m) if name)


def plain(name: str) -> str:
    """A name without PEFT's root and base layers."""
    return name.removeprefix(_PEFT_ROOT).replace(_PEFT_LAYER, ".")


def adapters(shapes: Mapping[str, Shape]) -> dict[str, Adapter]:
    """The adapters of a model or a file, by the path of the module that holds the factors."""
    named = _by_name(shapes)
    return {**_by_structure(shapes, named), **named}


def _by_name(shapes: Mapping[str, Shape]) -> dict[str, Adapter]:
    factors: dict[str, dict[str, str]] = {}
    for name in shapes:
        bare = plain(name)
        if match := _FACTOR.match(bare):
            factors.setdefault(match["module"] or "", {})[match["which"].lower()] = name
        elif match := _MAGNITUDE.match(bare):
            factors.setdefault(match["module"] or "", {})["m"] = name
    for module, parts in factors.items():
        magnitude = f"{module}.m" if module else "m"
        if magnitude in shapes and len(shapes[magnitude]) == 1:
            parts.setdefault("m", magnitude)
    return {
        module: Adapter(
            module, p.get("a"), p.get("b"), p.get("m"), _rank(shapes, p.get("a"), p.get("b")), inner
        )
        for (module, p), inner in zip(factors.items(), _wrapped(factors, shapes), strict=True)
    }


def _wrapped(modules: Collection[str], shapes: Mapping[str, Shape]) -> Iterator[str | None]:
    """Of each adapter the child that it wraps: linear, embedding, or the one child with a weight."""
    if not modules:
        return
    below: dict[str, set[str]] = {}
    for path in {
        parent for name in shapes if not _FACTOR.match(plain(name)) for parent in ancestors(plain(name))
    }:
        module, _, child = path.rpartition(".")
        below.setdefault(module, set()).add(child)
    for module in modules:
        children = below.get(module, set())
        yield next((w for w in WRAPPERS if w in children), None) or (
            next(iter(children)) if len(children) == 1 else None
        )


def ancestors(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _rank(shapes: Mapping[str, Shape], a: str | None, b: str | None) -> int | None:
    """The dimension that both factors share; of one factor alone its smaller one."""
    one, other = shapes.get(a or ""), shapes.get(b or "")
    if one and other and len(one) > 1 and len(other) > 1:
        shared = [n for n, also in ((one[-1], other[-2]), (one[-2], other[-1])) if n == also]
        return min(shared, default=None)
    alone = one or other
    return min(alone[-2:]) if alone and len(alone) > 1 else None


def _by_structure(shapes: Mapping[str, Shape], named: Mapping[str, Adapter]) -> dict[str, Adapter]:
    """Adapters under names of their own, known by their structure.

    Such a module has one wrapped layer and two factors, and no other matrix.
    """
    matrices: dict[str, dict[str, str]] = {}  # module -> what hangs directly below it -> tensor name
    taken = {name for adapter in named.values() for name in adapter.factors}
    for name, shape in shapes.items():
        parts = name.split(".")
        if len(shape) != 2 or name in taken or parts[-1] in ("scales", "biases"):
            continue
        matrices.setdefault(".".join(parts[:-1]), {})[parts[-1]] = name
        if parts[-1] == "weight" and len(parts) > 1:
            matrices.setdefault(".".join(parts[:-2]), {})[parts[-2]] = name
    adapters = {}
    for module, below in matrices.items():
        if module not in named and len(below) == 3 and (adapter := _factored(module, below, shapes)):
            adapters[module] = adapter
    return adapters


def _factored(module: str, below: Mapping[str, str], shapes: Mapping[str, Shape]) -> Adapter | None:
    """Of three matrices, the layer (out, in) and the two factors that multiply to its shape.

    The dimension between the factors is smaller than the layer's.
    """
    for inner, base in below.items():
        if not base.endswith(".weight") or base == (f"{module}.weight" if module else "weight"):
            continue
        prefix = base.removesuffix("weight")
        out, width = dense(shapes[base], shapes.get(prefix + "scales"))
        first, second = (name for child, name in below.items() if child != inner)
        for a, b in ((first, second), (second, first)):
            (a0, a1), (b0, b1) = shapes[a], shapes[b]
            if a1 == b0 < min(out, width[0]) and a0 in width and b1 == out:
                return Adapter(module, a, b, None, a1, inner)
            if a0 == b1 < min(out, width[0]) and a1 in width and b0 == out:
                return Adapter(module, a, b, None, a0, inner)
    return None


def dense(shape: Shape, scales: Shape | None) -> tuple[int, tuple[int, ...]]:
    """(out, the inputs that it may have): a packed weight of c columns holds c * 32 / bits values a row."""
    if scales is None:
        return shape[0], (shape[1],)
    return shape[0], tuple(shape[1] * 32 // bits for bits in (8, 6, 5, 4, 3, 2))
