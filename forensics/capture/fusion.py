"""How much of an adapter is in fused weights.

For an adapter that adds D = scale * A B to a base weight W, and the weight W' found after fusing, the
projection

    k = <W' - W, D> / <D, D>

is 0 where the update was lost, 1 where it is in there once, 2 where it was added twice (least squares for W'
= W + k D). Where the same adapter lies on the fused weight once more, it counts as one more. DoRA, with one
magnitude m for each output row, makes m (W + D) / |W + D| of W + D; its D is what that adds to W.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.records import Row

Array = NDArray[np.float32]
Values = Callable[[str, str], Array | None]
"""(capture, parameter name) to its dense float32 values, quantized ones dequantized.

None where its bytes are not there.
"""


@dataclass(frozen=True, slots=True)
class _Adapter:
    canonical: str  # path of the layer without the adapter
    weight: str  # parameter names in the adapter's capture
    a: str
    b: str
    scale: float
    magnitude: str | None  # of DoRA, one for each output row


def fusions(
    adapter: str, fused: str, placements: Mapping[str, Sequence[Row]], modules: Sequence[Row], values: Values
) -> Iterator[Row]:
    """Rows of `fusions`, one for each adapted layer of capture `adapter`.

    The layer's weight must stand in capture `fused`, plain or adapted again.
    """
    plain = {str(p["canonical"]): p for p in placements[fused] if p["role"] in ("base", "head", "embedding")}
    before, after = _factors(placements[adapter]), _factors(placements[fused])
    bases = {str(p["name"]): p["digest"] for p in placements[adapter]}
    for layer in _adapters(placements[adapter], modules):
        target = plain.get(f"{layer.canonical}.weight")
        again = after.get(layer.canonical)
        if target is None or (
            again and (again != before.get(layer.canonical) or target["digest"] == bases.get(layer.weight))
        ):
            continue
        intended = _intended(layer, lambda name: values(adapter, name))
        row = _project(values(adapter, layer.weight), intended, values(fused, str(target["name"])))
        if row is not None:
            yield {
                "capture_adapter": adapter,
                "capture_fused": fused,
                "module": layer.canonical,
                "quantized": target.get("value_digest") is not None,
                **row,
                "k": row["k"] + bool(again),
            }


def _factors(placements: Sequence[Row]) -> dict[str, dict[str, str]]:
    """Layer to the digests of its adapter, by role."""
    factors: dict[str, dict[str, str]] = {}
    for p in placements:
        if p["role"] in ("lora_a", "lora_b"):
            factors.setdefault(str(p["canonical"]).rpartition(".")[0], {})[str(p["role"])] = str(p["digest"])
    return factors


def _adapters(placements: Sequence[Row], modules: Sequence[Row]) -> Iterator[_Adapter]:
    scales = {str(m["module"]): m["scale"] for m in modules if m.get("rank") is not None}
    by_module: dict[str, dict[str, str]] = {}
    bases: dict[str, str] = {}
    for p in placements:
        if p["role"] in ("lora_a", "lora_b", "dora_m"):
            by_module.setdefault(str(p["module"]), {})[str(p["role"])] = str(p["name"])
        elif p["role"] in ("base", "head", "embedding") and p["leaf"] == "weight":
            bases[str(p["canonical"]).removesuffix(".weight")] = str(p["name"])
    canonical = {str(m["module"]): str(m["canonical"]) for m in modules}
    for module, names in by_module.items():
        scale, path = scales.get(module), canonical.get(module, module)
        if {"lora_a", "lora_b"} <= set(names) and isinstance(scale, (int, float)) and path in bases:
            yield _Adapter(
                path, bases[path], names["lora_a"], names["lora_b"], float(scale), names.get("dora_m")
            )


def _intended(layer: _Adapter, values: Callable[[str], Array | None]) -> Array | None:
    """What the adapter adds to its base weight, (out, in).

    None where a part of it is not there or does not fit.
    """
    w, a, b = values(layer.weight), values(layer.a), values(layer.b)
    if w is None or a is None or b is None or w.ndim != 2:
        return None
    product = _product(a, b, w.shape)
    if product is None:
        return None
    added = product * np.float32(layer.scale)
    if layer.magnitude is None:
        return added
    m = values(layer.magnitude)
    if m is None or m.size != w.shape[0]:
        return None
    whole = w + added
    norm = np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(m.reshape(-1, 1) * whole / norm - w, dtype=np.float32)


def _project(w: Array | None, intended: Array | None, fused: Array | None) -> dict[str, float] | None:
    if w is None or intended is None or fused is None or w.shape != fused.shape:
        return None
    realised = fused - w
    square, cross = float(np.vdot(intended, intended)), float(np.vdot(realised, intended))
    size = float(np.linalg.norm(realised))
    if square == 0.0:
        return None
    return {
        "k": cross / square,
        "cosine": cross / (square**0.5 * size) if size else 0.0,
        "intended_l2": square**0.5,
        "realised_l2": size,
    }


def _product(a: Array, b: Array, shape: tuple[int, ...]) -> Array | None:
    """A B in the orientation of the weight (out, in): mlx-lm has A (in, r), B (r, out).

    PEFT A (r, in), B (out, r).
    """
    products: tuple[Callable[[], Array], ...] = (lambda: (a @ b).T, lambda: b @ a, lambda: a @ b)
    for product in products:
        try:
            dense = product()
        except ValueError:
            continue
        if dense.shape == shape:
            return np.asarray(dense, dtype=np.float32)
    return None
