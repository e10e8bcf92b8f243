"""Probes of the plain twin: each notes what plain mlx says of the program's own objects.

At exit all is written to plain.json.

Nothing of the tool is imported here, and the watched program has none of these lines.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

FACTS: dict[str, Any] = {"steps": [], "teaches": [], "saved": [], "answers": [], "notes": {}}
_AT: dict[str, Any] = {}  # values at a point: {point: {name: numpy array}}, and logits
# any ids: what matters is that they are the same each time
ASKED = mx.array([[5, 40, 77, 120, 33, 60, 91, 18]])
PLACES = 3  # of so many steps what the loss teaches is read


def number(value: Any) -> float:
    return float(value.item() if hasattr(value, "item") else value)


def values(model: Any) -> dict[str, np.ndarray]:
    """Copies of all parameters, 16-bit floats as float32."""
    return {name: _array(value) for name, value in tree_flatten(model.parameters())}


def _array(value: Any) -> np.ndarray:
    if value.dtype in (mx.bfloat16, mx.float16):
        value = value.astype(mx.float32)
    return np.array(value)


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(str(array.shape).encode() + np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def canonical(name: str) -> str:
    return name.replace(".linear.", ".").replace(".embedding.", ".")


def logits(model: Any) -> np.ndarray:
    """Logits for ASKED, without dropout."""
    training = model.training
    flags = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    with contextlib.suppress(Exception):
        out = _array(model(ASKED).astype(mx.float32))
        for module, flag in flags:
            module._training = flag
        model._training = training
        return out
    return np.zeros(1)


def loaded(model: Any) -> None:
    """The model as it came; the last one loaded before training counts."""
    _AT["loaded"] = values(model)
    _AT["loaded logits"] = logits(model)


def adapted(model: Any) -> None:
    """The model just before training."""
    _AT["adapted"] = now = values(model)
    classes: dict[str, int] = {}
    for _, module in model.named_modules():
        classes[type(module).__name__] = classes.get(type(module).__name__, 0) + 1
    FACTS["trainable"] = [name for name, _ in tree_flatten(model.trainable_parameters())]
    FACTS["classes"] = classes
    FACTS["names"] = list(now)
    FACTS["adapter"] = [name for name in now if "lora_" in name]
    FACTS["modules"] = sorted({name.rpartition(".")[0] for name in now if "lora_" in name})
    FACTS["scales"] = sorted(
        {float(module.scale) for _, module in model.named_modules() if hasattr(module, "lora_a")}
    )
    FACTS["fresh effect"] = (
        float(np.abs(logits(model) - _AT["loaded logits"]).max()) if "loaded logits" in _AT else 0.0
    )


def step(model: Any, opt: Any, loss_fn: Any, batch: Any, value: Any, grads: Any = None) -> None:
    """After one pass of the loop: the loss, the rate, how many tensors differ from before training."""
    steps = FACTS["steps"]
    now = {name: digest(value) for name, value in _safely(model).items()}
    start = _AT.setdefault("start digests", {name: digest(value) for name, value in _AT["adapted"].items()})
    entry = {"loss": number(value), "rate": number(opt.learning_rate), "updates": int(number(opt.step))}
    entry["moved"] = sum(start.get(name) != one for name, one in now.items())
    entry["batch"] = hashlib.sha256(np.array(batch[0]).tobytes()).hexdigest()[:12]
    if grads is not None:
        squares = [float(mx.sum(g.astype(mx.float32) ** 2).item()) for _, g in tree_flatten(grads)]
        entry["gradient"] = sum(squares) ** 0.5
    steps.append(entry)
    if loss_fn is not None and len(FACTS["teaches"]) < PLACES:
        FACTS["teaches"].append(teaches(loss_fn, model, batch))


def _safely(model: Any) -> dict[str, np.ndarray]:
    with contextlib.suppress(Exception):
        return values(model)
    return {}


class _Tapped:
    """A model whose logits carry an added term, so that the loss's gradient at the logits can be read."""

    def __init__(self, model: Any, shifts: list[Any]) -> None:
        self.model, self.shifts, self.seen = model, shifts, []

    def __call__(self, inputs: Any, *args: Any, **more: Any) -> Any:
        out = self.model(inputs, *args, **more)
        place = len(self.seen)
        self.seen.append((inputs, out))
        return out + self.shifts[place] if place < len(self.shifts) else out

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def teaches(loss_fn: Any, model: Any, batch: Any) -> dict[str, Any]:
    """What the loss teaches on a batch: for each forward, inputs, and for each position target and weight.

    The gradient of a cross-entropy at the logits is w * (softmax - onehot): the one negative entry is the
    target.
    """
    first = _Tapped(model, [])

    def scalar(out: Any) -> Any:
        return out[0] if isinstance(out, tuple) else out

    try:
        scalar(loss_fn(first, *batch))
        shifts = [mx.zeros(out.shape) for _, out in first.seen]
        gradients = mx.grad(lambda given: scalar(loss_fn(_Tapped(model, given), *batch)).astype(mx.float32))(
            shifts
        )
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    forwards = []
    for (inputs, out), gradient in zip(first.seen, gradients, strict=False):
        taken = mx.argmin(gradient, axis=-1)
        chance = mx.take_along_axis(mx.softmax(out.astype(mx.float32), axis=-1), taken[..., None], axis=-1)[
            ..., 0
        ]
        low = mx.min(gradient, axis=-1)
        weight = -low / mx.maximum(1 - chance, 1e-6)
        high = mx.max(gradient, axis=-1)
        forwards.append(
            {
                "inputs": np.array(inputs).tolist(),
                "targets": np.array(taken).tolist(),
                "weights": np.round(np.array(weight.astype(mx.float32)), 6).tolist(),
                "highest": np.round(np.array(high.astype(mx.float32)), 6).tolist(),
            }
        )
    return {"forwards": forwards}


def ended(model: Any) -> None:
    """The model as training left it."""
    _AT["ended"] = _safely(model)
    _AT["ended logits"] = logits(model)
    FACTS["updates"] = FACTS["steps"][-1]["updates"] if FACTS["steps"] else None


def saved(path: str) -> None:
    """What a saved file holds, against the model at the end; looked at when the program exits."""
    FACTS["saved"].append({"path": str(path), "after": len(FACTS["steps"])})


def reloaded(model: Any) -> None:
    FACTS["reload differs"] = float(np.abs(logits(model) - _AT["ended logits"]).max())


def fused(model: Any) -> None:
    FACTS["fuse differs"] = float(np.abs(logits(model) - _AT["ended logits"]).max())
    FACTS["fuse moved"] = float(np.abs(logits(model) - _AT["loaded logits"]).max())


def answered(model: Any, tok: Any, prompt: Any, output: Any) -> None:
    """One generation: the ids asked and answered.

    Also whether the model that answered is the trained one, and whether it answers twice alike.
    """
    ids = prompt if isinstance(prompt, list) else tok.encode(prompt)
    given = (
        tok.encode(output, add_special_tokens=False) if isinstance(output, str) else list(map(int, output))
    )
    one, two = (_array(model(mx.array([ids])).astype(mx.float32)) for _ in range(2))
    entry = {"prompt": list(map(int, ids)), "output": given, "repeat differs": float(np.abs(one - two).max())}
    entry["stale"] = (
        float(np.abs(logits(model) - _AT["ended logits"]).max()) if "ended logits" in _AT else None
    )
    FACTS["answers"].append(entry)


def causal(model: Any) -> None:
    """Whether logits before a changed token stay as they were."""
    changed = mx.concatenate([ASKED[:, :-1], ASKED[:, -1:] + 1], axis=1)
    one, two = (_array(model(ids).astype(mx.float32))[:, :-1] for ids in (ASKED, changed))
    note("causal", float(np.abs(one - two).max()) < 1e-4)


def independent(model: Any) -> None:
    """Whether a row's logits are the same alone and beside another row."""
    both = mx.concatenate([ASKED, ASKED[:, ::-1]])
    one, two = (_array(model(ids).astype(mx.float32))[0] for ids in (ASKED, both))
    note("independent", float(np.abs(one - two).max()) < 1e-3)


def repeats(step: Any, opt: Any, batch: Any) -> None:
    """Whether a compiled step gives one loss to the bit, twice, at a rate of zero."""
    opt.learning_rate = 0.0
    note("repeats", number(step(*batch)) == number(step(*batch)))


def note(key: str, value: Any) -> None:
    """Any fact that a piece or an operator wants to prove."""
    with contextlib.suppress(Exception):
        value = value.tolist() if hasattr(value, "tolist") else value
    FACTS["notes"].setdefault(key, []).append(value)


def size_of(change: np.ndarray) -> float:
    """The largest change; infinite where it is not finite."""
    return (
        float(np.abs(change).max())
        if np.isfinite(change).all() and change.size
        else (float("inf") if change.size else 0.0)
    )


def command_line() -> None:
    """Probes around what mlx_lm.lora's command line loads and trains, of its latest call."""
    from mlx_lm import lora
    from mlx_lm.tuner.trainer import default_loss, iterate_batches

    load, train = lora.load, lora.train

    def loads(*args: Any, **more: Any) -> Any:
        out = load(*args, **more)
        loaded(out[0])
        return out

    def trains(
        model: Any, optimizer: Any, train_dataset: Any, val_dataset: Any, args: Any, **more: Any
    ) -> Any:
        _AT.pop("start digests", None)
        adapted(model)
        rows = [train_dataset[place][0] for place in range(len(train_dataset))]
        note("rows", len(rows))
        note("shared", sum(val_dataset[place][0] in rows for place in range(len(val_dataset))))
        batches = iterate_batches(
            dataset=train_dataset, batch_size=args.batch_size, max_seq_length=args.max_seq_length
        )
        FACTS["teaches"].append(teaches(default_loss, model, next(iter(batches))))
        note("first rate", number(optimizer.learning_rate))
        out = train(
            model=model, optimizer=optimizer, train_dataset=train_dataset, val_dataset=val_dataset,
            args=args, **more,
        )  # fmt: skip
        note("last rate", number(optimizer.learning_rate))
        note("updates", int(number(optimizer.step)))
        ended(model)
        return out

    lora.load, lora.train = loads, trains


@atexit.register
def _write() -> None:
    start, end, base = (_AT.get(point) or {} for point in ("adapted", "ended", "loaded"))
    if end:
        FACTS["finite"] = all(np.isfinite(value).all() for value in end.values() if value.dtype.kind == "f")
        FACTS["moved"] = {
            name: size_of(value.astype(np.float64) - start[name])
            for name, value in end.items()
            if name in start and start[name].shape == value.shape and digest(start[name]) != digest(value)
        }
        names = {canonical(name): value for name, value in end.items()}
        FACTS["base moved"] = [
            name
            for name, value in base.items()
            if canonical(name) in names and digest(value) != digest(names[canonical(name)])
        ]
    for entry in FACTS["saved"]:
        _look(entry, start, end)
    Path("plain.json").write_text(json.dumps(FACTS))


def _look(entry: dict[str, Any], start: dict[str, np.ndarray], end: dict[str, np.ndarray]) -> None:
    path = Path(entry["path"])
    entry["exists"] = path.exists()
    if not path.exists():
        return
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        beside = json.loads((path.parent / "adapter_config.json").read_text())
        entry["declared scale"] = beside["lora_parameters"]["scale"]
    with contextlib.suppress(Exception):
        held = {name: _array(value) for name, value in mx.load(str(path)).items()}
        entry["names"] = list(held)
        alike = {"end": 0, "start": 0, "both": 0}
        for name, value in held.items():
            in_end = name in end and digest(end[name]) == digest(value)
            in_start = name in start and digest(start[name]) == digest(value)
            alike["end"] += in_end
            alike["start"] += in_start
            alike["both"] += in_end and in_start
        entry.update(alike)
