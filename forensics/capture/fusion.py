"""How much of an adapter is in fused weights.

For an adapter that adds D = scale * A B to a base weight W, and the weight W' found after fusing, the projection

    k = <W' - W, D> / <D, D>

is 0 where the update was lost, 1 where it is in there once, 2 where it was added twice (least squares for W' = W + k D).
Where the same adapter lies on the fused weight once more, it counts as one more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.records import Row

Array = NDArray[np.float32]
Values = Callable[[str, str], Array | None]
"""(capture, parameter name) to its dense float32 values, quantized ones dequantized; None where its bytes are not there."""


@dataclass(frozen=True, slots=True)
class _Adapter:
    canonical: str  # path of the layer without the adapter
    weight: str  # parameter names in the adapter's capture
    a: str
    b: str
    scale: float


def fusions(adapter: str, fused: str, placements: Mapping[str, Sequence[Row]], modules: Sequence[Row], values: Values) -> Iterator[Row]:
    """Rows of `fusions` for every adapted layer of capture `adapter` whose weight stands in capture `fused`, plain or adapted again."""
    plain = {str(p["canonical"]): p for p in placements[fused] if p["role"] in ("base", "head", "embedding")}
    before, after = _factors(placements[adapter]), _factors(placements[fused])
    bases = {str(p["name"]): p["digest"] for p in placements[adapter]}
    for layer in _adapters(placements[adapter], modules):
        target = plain.get(f"{layer.canonical}.weight")
        again = after.get(layer.canonical)
        if target is None or (again and (again != before.get(layer.canonical) or target["digest"] == bases.get(layer.weight))):
            continue
        row = _project(
            layer, values(adapter, layer.weight), values(adapter, layer.a), values(adapter, layer.b), values(fused, str(target["name"]))
        )
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
    found: dict[str, dict[str, str]] = {}
    for p in placements:
        if p["role"] in ("lora_a", "lora_b"):
            found.setdefault(str(p["canonical"]).rpartition(".")[0], {})[str(p["role"])] = str(p["digest"])
    return found


def _adapters(placements: Sequence[Row], modules: Sequence[Row]) -> Iterator[_Adapter]:
    scales = {str(m["module"]): m["scale"] for m in modules if m.get("rank") is not None}
    by_module: dict[str, dict[str, str]] = {}
    bases: dict[str, str] = {}
    for p in placements:
        if p["role"] in ("lora_a", "lora_b"):
            by_module.setdefault(str(p["module"]), {})[str(p["role"])] = str(p["name"])
        elif p["role"] in ("base", "head", "embedding") and p["leaf"] == "weight":
            bases[str(p["canonical"]).removesuffix(".weight")] = str(p["name"])
    canonical = {str(m["module"]): str(m["canonical"]) for m in modules}
    for module, names in by_module.items():
        scale, path = scales.get(module), canonical.get(module, module)
        if len(names) == 2 and isinstance(scale, (int, float)) and path in bases:
            yield _Adapter(path, bases[path], names["lora_a"], names["lora_b"], float(scale))


def _project(layer: _Adapter, w: Array | None, a: Array | None, b: Array | None, fused: Array | None) -> dict[str, float] | None:
    if w is None or a is None or b is None or fused is None or w.shape != fused.shape or w.ndim != 2:
        return None
    intended = _product(a, b, w.shape)
    if intended is None:
        return None
    intended = intended * np.float32(layer.scale)
    realised = fused - w
    square, cross = float(np.vdot(intended, intended)), float(np.vdot(realised, intended))
    size = float(np.linalg.norm(realised))
    if square == 0.0:
        return None
    return {"k": cross / square, "cosine": cross / (square**0.5 * size) if size else 0.0, "intended_l2": square**0.5, "realised_l2": size}


def _product(a: Array, b: Array, shape: tuple[int, ...]) -> Array | None:
    """A B in the orientation of the weight (out, in): mlx-lm has A (in, r), B (r, out); PEFT A (r, in), B (out, r)."""
    products: tuple[Callable[[], Array], ...] = (lambda: (a @ b).T, lambda: b @ a, lambda: a @ b)
    for product in products:
        try:
            dense = product()
        except ValueError:
            continue
        if dense.shape == shape:
            return np.asarray(dense, dtype=np.float32)
    return None
