"""What training the program says it wants: rates, clipping, decay, warm-up, lengths, the optimizer's kind.

They are read off what holds settings (a dict, a namespace, an object of the program's own classes), by the
field's own names; a bare variable may be scaled on its way, and is no setting.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from ..originals import json
from ..places import is_users
from ..run import watch

_NAMES = {
    "learning_rate": ("learning_rate", "lr"),
    "max_grad_norm": ("max_grad_norm", "clip_grad_norm", "grad_clip_norm", "clip_norm", "gradient_clip_norm"),
    "grad_clip": ("grad_clip", "gradient_clip", "gradient_clipping", "gradient_clip_val"),  # or of each entry
    "weight_decay": ("weight_decay",),
    "warmup_steps": ("warmup_steps", "num_warmup_steps", "warmup_iters"),
    "warmup_ratio": ("warmup_ratio", "warmup_fraction", "warmup_proportion"),  # of all updates
    "max_seq_length": ("max_seq_length", "max_seq_len"),
    "seed": ("seed", "random_seed"),
    "optimizer": ("optimizer", "optim", "optimizer_name", "optimizer_type"),
}  # fmt: skip
_KINDS = ("adamw", "adam", "sgd", "adafactor", "lion", "muon", "rmsprop", "adagrad", "adadelta", "adamax")
# what only a model's configuration, an adapter's saved one, or a schedule beside the rate has
_OTHERS = (
    "hidden_size", "n_layers", "num_hidden_layers", "vocab_size", "model_type", "peft_type", "lr_schedule",
)  # fmt: skip
_NUMBERS = 64  # numbers of one holder that may be factors of its rate

_seen: set[str] = set()


def note(space: dict[str, Any], owner: Any = None) -> None:
    """Write what `space` declares: the fields of `owner`, or a dict of its own."""
    named = {name.lower(): value for name, value in space.items() if isinstance(name, str)}
    if any(named.get(name) is not None for name in _OTHERS):
        return
    chosen = _chosen(owner)
    for key, names in _NAMES.items():
        for name in names:
            value = _value(key, named.get(name)) if chosen is None or name in chosen else None
            if value is not None:
                _write(key, value)
                if key == "learning_rate":
                    for number in _numbers(named):
                        _write("number", number)


def unread(settings: dict[str, Any], options: dict[str, Any]) -> None:
    """Write the keys of a command's settings that are none of its options, but another name of one.

    Its file may hold any key; of those that it does not know it takes nothing.
    """
    for option, names in _NAMES.items():
        for name in names:
            if option in options and name not in options and name in settings:
                _write("unread", {"key": name, "value": settings[name], "option": option})
    within = options.get("lora_parameters")
    for name in (*(within if isinstance(within, dict) else ()), "keys"):
        if name not in options and name in settings:
            _write("unread", {"key": name, "value": settings[name], "option": f"lora_parameters.{name}"})


def _chosen(owner: Any) -> set[str] | None:
    """Of a library's own class of settings, the fields that are not at their default; None: all count."""
    cls = type(owner)
    fields = getattr(cls, "__dataclass_fields__", None)
    if owner is None or fields is None or is_users(_file(cls)):
        return None
    return {
        name.lower()
        for name, field in fields.items()
        if field.default is dataclasses.MISSING or getattr(owner, name, None) != field.default
    }


def _file(cls: type) -> str:
    return str(getattr(sys.modules.get(cls.__module__), "__file__", ""))


def _value(key: str, value: Any) -> Any:
    if key == "optimizer":
        kind = value.lower().partition("_")[0] if isinstance(value, str) else None
        return kind if kind in _KINDS else None
    if isinstance(value, str) and key == "learning_rate":  # YAML reads 1e-4 as text
        try:
            value = float(value)
        except ValueError:
            return None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _numbers(named: dict[str, Any]) -> list[float]:
    numbers = {
        float(value)
        for value in named.values()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
    }
    return sorted(numbers)[:_NUMBERS]


def _write(key: str, value: Any) -> None:
    text = json.dumps(value)
    if (mark := f"{key} {text}") not in _seen:
        _seen.add(mark)
        watch.row("configs", kind="program", key=f"declared.{key}", value=text)
