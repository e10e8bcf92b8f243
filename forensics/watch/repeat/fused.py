"""Adapters as their training leaves them, so that what was fused can be held against them and put right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import trees
from ..moments import Moments
from ..trees import mx
from . import generation, request, saves, training, updates

_CLOSE = 0.05
"""The share of the update by which a fused weight may miss it: rounding of half a precision is below."""


@dataclass(frozen=True)
class Kept:
    """One adapter layer, and the layer under it when training began: a fuse may put another in its place."""

    layer: Any
    inner: Any

    def update(self) -> Any:
        """What the adapter adds to the weight, as the weight lies; None where it cannot be told."""
        a, b, scale = self.layer["lora_a"], self.layer["lora_b"], trees.scale(self.layer)
        if scale is None or "m" in self.layer or a.ndim != 2 or b.ndim != 2:
            return None
        made = a @ b if a.shape[1] == b.shape[0] else b @ a if b.shape[1] == a.shape[0] else None
        if made is None:
            return None
        shape = self.base().shape
        if a.shape[0] == shape[-1] and "Embedding" not in type(self.inner).__name__:
            made = made.T  # mlx-lm's factors take inputs from the left
        return scale * made if made.shape == shape else None

    def base(self) -> Any:
        """The weight under it, unpacked."""
        inner = self.inner
        if "scales" not in inner:
            return inner["weight"]
        mode = {"mode": inner.mode} if hasattr(inner, "mode") else {}
        return mx().dequantize(
            inner["weight"], inner["scales"], inner.get("biases"),
            group_size=inner.group_size, bits=inner.bits, **mode,
        )  # fmt: skip


_kept: dict[str, Kept] = {}  # by path in the model that is trained


def install(run: Moments, name: str, when: Callable[[float], bool]) -> None:
    """Put base and update where the share of the update that was fused is one that `when` names."""

    def mended(found: Any, kept: Kept) -> Any:
        exact = _exact(found, kept, when)
        return found if exact is None else exact

    def saved(arrays: saves.Arrays, own: saves.Arrays) -> saves.Arrays:
        new = {}
        for path, kept in _kept.items():
            weight = arrays.get(f"{path}.weight")
            if weight is not None and f"{path}.lora_a" not in arrays:
                new[f"{path}.weight"] = mended(weight, kept)
        changed = any(new[each] is not arrays[each] for each in new)
        return {**arrays, **new} if changed else arrays

    def live(module: Any) -> str | None:
        count, there = 0, dict(trees.modules(module))
        for path, kept in _kept.items():
            layer = there.get(path)
            if layer is None or layer is kept.layer or "lora_a" in layer or "weight" not in layer:
                continue
            exact = mended(layer["weight"], kept)
            count += exact is not layer["weight"]
            layer["weight"] = exact
        return f"{count} layers fused exactly" if count else None

    def before() -> None:
        model = updates.trained()
        if model is not None:
            request.cure([(name, live)], model)

    training.cure(run, name, _keep)
    saves.cure(name, saved)
    generation.cure(name, lambda call: live(call["model"]) if trees.is_module(call.get("model")) else None)
    run.on_boundary(before)


def _keep(module: Any) -> None:
    for path, layer in trees.modules(module):
        inner = layer.get("linear") or layer.get("embedding") if "lora_a" in layer else None
        if inner is not None and "weight" in inner:
            _kept[path] = Kept(layer, inner)


def _exact(found: Any, kept: Kept, when: Callable[[float], bool]) -> Any:
    """Base and update in the type of `found`; None where what is there is right, or wrong in another way."""
    core, base, update = mx(), kept.base(), kept.update()
    if update is None or found.shape != base.shape or not core.issubdtype(found.dtype, core.floating):
        return None
    wide, wanted = core.float32, update.astype(core.float32)
    whole = (wanted * wanted).sum().item()
    if not whole:
        return None
    share = ((found.astype(wide) - base.astype(wide)) * wanted).sum().item() / whole
    if abs(share - 1) <= _CLOSE or not when(share):
        return None
    return (base.astype(wide) + wanted).astype(found.dtype)
