"""What adapter the program says it wants: LoRA settings it passed, wrote, read, or holds.

Adapter classes it imports.

Everything is read off objects and files, by the field's own names; nothing of the program is called.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import cells
from ..originals import getframe, json
from ..places import is_users, where
from ..run import watch
from . import trainingspec

_NAMES = {
    "rank": ("lora_rank", "rank", "lora_r", "r"),
    "alpha": ("lora_alpha", "alpha"),
    "scale": ("lora_scale", "scale"),
    "dropout": ("lora_dropout", "dropout"),
    "num_layers": ("lora_layers", "num_layers", "num_lora_layers"),
    "keys": ("target_modules", "keys", "lora_keys", "lora_target_modules"),
}
_GATHERED = (
    "gradient_accumulation_steps", "grad_accumulation_steps", "gradient_accumulation", "grad_accumulation",
    "accumulation_steps", "grad_accum_steps", "accum_steps", "grad_accum", "accumulate_steps",
)  # fmt: skip
_NESTED = ("lora_parameters", "lora_config", "lora", "peft_config", "peft", "adapter", "adapter_config")
_KINDS = ("fine_tune_type", "train_type", "finetune_type", "finetuning_type", "tuning_type", "training_type")
_SWITCHES = (
    "enabled",
    "enable",
    "use_lora",
    "use_adapter",
    "use_peft",
    "lora",
)  # false: what stands beside them is not meant
_IMPORTS = (
    "linear_to_lora_layers",
    "LoRALinear",
    "DoRALinear",
    "LoRAEmbedding",
    "LoraConfig",
    "LoRAConfig",
    "get_peft_model",
)
_LIBRARIES = ("mlx_lm", "peft", "mlx", "mlx_tune", "mlx_vlm")
_LIMIT = 2000  # objects looked at

_seen: set[str] = set()


def settings(config: Any, via: str, place: str | None, *, certain: bool = False) -> bool:
    """Write an `adapters` row where `config` holds LoRA settings; `certain` where the call itself says so.

    True if it does.
    """
    if not isinstance(config, dict):
        return False
    inner: dict[str, Any] = next((config[key] for key in _NESTED if isinstance(config.get(key), dict)), {})
    flat = {**config, **inner}
    row = {field: _pick(flat, names) for field, names in _NAMES.items()}
    row["scale"] = _rooted(flat, row) or row["scale"]
    row["layers"] = _blocks(flat.get("layers_to_transform"))
    kind = _kind(config, flat)
    if kind == "full":
        row = dict.fromkeys(row, None)
    elif not (certain or _adapterlike(flat, row)) or (certain and row["rank"] is None):
        return False
    elif _switched_off(flat):
        kind, row = "other", dict.fromkeys(row, None)
    _write(via, kind, row, "strong", place)
    return True


def _blocks(named: Any) -> list[int] | None:
    """The blocks that `layers_to_transform` names, one or several."""
    blocks = [named] if isinstance(named, int) else named
    if not isinstance(blocks, (list, tuple, range)) or not all(type(block) is int for block in blocks):
        return None
    return sorted(blocks) or None


def _rooted(flat: dict[str, Any], row: dict[str, Any]) -> float | None:
    """The scale of rank-stabilised LoRA, alpha over the root of the rank, if the settings mean it."""
    alpha, rank = row["alpha"], row["rank"]
    if flat.get("use_rslora") is not True or not isinstance(alpha, (int, float)) or not isinstance(rank, int):
        return None
    return float(alpha / rank**0.5) if rank > 0 else None


def _switched_off(flat: dict[str, Any]) -> bool:
    """Do the settings say themselves that they are not in force?"""
    named = [flat[key] for key in ("type", "peft_type", "method", "mode") if isinstance(flat.get(key), str)]
    return any(flat.get(key) is False for key in _SWITCHES) or any(
        name.lower() in ("none", "off", "full") for name in named
    )


def _pick(flat: dict[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        value = flat.get(name)
        if isinstance(value, (set, frozenset, tuple, list)):
            return [str(item) for item in value]
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            return value
    return None


def _kind(config: dict[str, Any], flat: dict[str, Any]) -> str:
    named = str(next((config[key] for key in _KINDS if isinstance(config.get(key), str)), "")).lower()
    if named in ("full", "dora", "lora"):
        return named
    return "dora" if flat.get("use_dora") is True else "lora"


def _adapterlike(flat: dict[str, Any], row: dict[str, Any]) -> bool:
    """A rank, and one more setting that only an adapter has.

    `rank` beside `scale` alone could be anything.
    """
    rank = row["rank"]
    if not isinstance(rank, int) or not 0 < rank <= 4096:
        return False
    own = any(key.startswith("lora_") or key == "target_modules" for key in flat if isinstance(key, str))
    return own or sum(row[key] is not None for key in ("alpha", "scale", "dropout", "keys")) >= 2


def _write(via: str, kind: str, row: dict[str, Any], strength: str, place: str | None) -> None:
    numbers = {
        key: row[key] if isinstance(row[key], (int, float)) else None
        for key in ("rank", "scale", "alpha", "dropout", "num_layers")
    }
    keys = (
        row["keys"]
        if isinstance(row["keys"], list)
        else [row["keys"]]
        if isinstance(row["keys"], str)
        else None
    )
    adapter: dict[str, Any] = {
        "origin": "declared",
        "via": via,
        "kind": kind,
        **numbers,
        "keys": keys,
        "layers": row.get("layers"),
        "strength": strength,
    }
    mark = json.dumps(adapter, sort_keys=True)
    if mark not in _seen:
        _seen.add(mark)
        watch.row("adapters", **adapter, place=place)


# -- what the program holds ----------------------------------------------------------------------------------


def look() -> None:
    """Look through the user's frames and modules for settings and imports: once, at the first update."""
    with watch.looking("declared adapters"):
        for space, place in list(spaces()):
            left = [_LIMIT]
            _gathered(space)
            settings(
                {name.lower(): value for name, value in space.items() if name.lower().startswith("lora_")},
                "argument",
                place,
            )
            for name, value in space.items():
                if not name.startswith("__"):
                    _search(value, place, left)
            _imports(space, place)


def spaces() -> Iterator[tuple[dict[str, Any], str]]:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and is_users(file):
            yield dict(vars(module)), file
    if cells.shell() is not None and (main := sys.modules.get("__main__")) is not None:
        named = {n: value for n, value in list(vars(main).items()) if n[:1] != "_" and n not in ("In", "Out")}
        yield named, where() or "notebook"
    frame: Any = getframe(1)
    while frame is not None:
        code = frame.f_code
        if is_users(code.co_filename) and code.co_name != "<module>":
            namespace = frame.f_locals
            yield dict(namespace), f"{code.co_filename}:{frame.f_lineno}"
            if sys.version_info < (3, 13):
                namespace.clear()  # a snapshot that the frame would keep, and with it every value alive
        frame = frame.f_back


def held(value: Any) -> dict[str, Any] | None:
    """The values of a dict by name, or the fields of an object of the program's own; None of others."""
    if isinstance(value, dict):
        return None if _is_mlx(value) else value
    return dict(vars(value)) if _holds_fields(value) else None


def _search(value: Any, place: str, left: list[int], depth: int = 0, owner: Any = None) -> None:
    left[0] -= 1
    if left[0] < 0 or depth > 2:
        return
    if isinstance(value, dict) and not _is_mlx(value):
        _gathered(value)
        trainingspec.note(value, owner)
        if not settings(value, "argument", place):
            for item in list(value.values())[:200]:
                _search(item, place, left, depth + 1)
    elif _holds_fields(value):
        _search(dict(vars(value)), place, left, depth, value)


def _gathered(space: dict[str, Any]) -> None:
    """Over how many batches the program says that it gathers gradients before an update."""
    for name, value in space.items():
        plain = isinstance(name, str) and isinstance(value, int) and not isinstance(value, bool)
        if plain and name.lower() in _GATHERED and (mark := f"gathered {value}") not in _seen:
            _seen.add(mark)
            watch.row("configs", kind="program", key="gradient_accumulation_steps", value=json.dumps(value))


def _holds_fields(value: Any) -> bool:
    """An object of the user's own classes, a dataclass, or a namespace."""
    cls = type(value)
    if isinstance(value, type) or not hasattr(value, "__dict__") or _is_mlx(value):
        return False
    if cls.__name__ in ("Namespace", "SimpleNamespace") or hasattr(cls, "__dataclass_fields__"):
        return True
    home = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return isinstance(home, str) and is_users(home)


def _is_mlx(value: Any) -> bool:
    return any(str(cls.__module__).partition(".")[0] == "mlx" for cls in type(value).__mro__)


def _imports(space: dict[str, Any], place: str) -> None:
    for name in _IMPORTS:
        value = space.get(name)
        if value is not None and str(getattr(value, "__module__", "")).partition(".")[0] in _LIBRARIES:
            _write(
                "import", "dora" if name.startswith("DoRA") else "lora", dict.fromkeys(_NAMES), "weak", place
            )


# -- files ---------------------------------------------------------------------------------------------------


def file(path: Path, written: bool) -> None:
    """Read a JSON or YAML file that the program read or wrote."""
    with contextlib.suppress(OSError, ValueError, UnicodeDecodeError):
        if path.stat().st_size > 1_000_000:
            return
        text = path.read_text(encoding="utf-8")
        content: Any = None
        if path.suffix == ".json":
            content = json.loads(text)
        elif "yaml" in sys.modules:
            with contextlib.suppress(Exception):
                content = sys.modules["yaml"].safe_load(text)
        saved = path.name == "adapter_config.json"
        settings(content, "saved-config" if written else "config-file", None, certain=saved)
