"""What lies beside the weights, read from the files alone.

Configurations, an adapter's settings, facts of a tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forensics.errors import UnreadableModel
from forensics.model.regular import regular
from forensics.model.remote import Remote
from forensics.watch.captured import vocabulary_digest

MAX_PAGE = 64 << 20
"""Bytes of a JSON file: tokenizer.json of a large vocabulary has 33 MB, an index of 200,000 tensors 20."""
MAX_PARSED = 600 << 20
"""Bytes that a JSON file's values may take in memory, at most; `[],[],[],` takes thirty times its length."""
_COSTS = ((b"{", 240), (b"[", 72), (b",", 90))  # of a dictionary, a list, a value in CPython
MAX_TEMPLATE = 4 << 20
MAX_LAYERS = 10_000
_EXPRESSION = re.compile(r"[^\w.-]|\.[*+?]")  # a path has letters, digits, dots, _ and -
_OWN = "Check that it is the model's own."
LAYERS = {"num_hidden_layers", "num_layers", "n_layers", "n_layer"}
_NAMED = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_CONTROL, _USER_DEFINED = 3, 4  # token types of GGUF


def page(path: Path, *, required: bool = False) -> dict[str, Any]:
    """A JSON object from a file; empty where there is no such file, unless it is required.

    Raises:
        UnreadableModel: it cannot be read, is no regular file, is above 64 MB or 600 MB when parsed, or is no
        JSON object.
    """
    try:
        data = small(path, MAX_PAGE)
        if sum(data.count(sign) * cost for sign, cost in _COSTS) > MAX_PARSED:
            raise UnreadableModel("The file holds too many values.", where=str(path), hint=_OWN)
        document = json.loads(data.decode("utf-8"))
    except FileNotFoundError:
        if required:
            raise UnreadableModel("There is no such file.", where=str(path), hint="Check the path.") from None
        return {}
    except OSError as error:
        raise UnreadableModel(
            f"The file cannot be read: {error.strerror}.", where=str(path), hint="Check its permissions."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UnreadableModel(
            "The file is no JSON.", where=str(path), hint="Copy or download it again."
        ) from error
    if not isinstance(document, dict):
        raise UnreadableModel(
            "The file holds no JSON object.", where=str(path), hint="Copy or download it again."
        )
    return document


def small(path: Path, most: int) -> bytes:
    """The bytes of a file that is read whole.

    Raises:
        UnreadableModel: it is no regular file, or holds more than `most` bytes.
        OSError: it is not there, or cannot be read.
    """
    if regular(path).st_size > most:
        raise UnreadableModel(f"The file is above {most >> 20} MB.", where=str(path), hint=_OWN)
    if isinstance(path, Remote):
        return path.read_bytes()
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise UnreadableModel(f"The file is above {most >> 20} MB.", where=str(path), hint=_OWN)
    return data


def plausible(config: Mapping[str, Any], path: Path) -> None:
    """Refuse a configuration that no model has: whoever built it would not end.

    Raises:
        UnreadableModel: it declares more than 10,000 layers.
    """
    for key, value in flat(config):
        if key.rpartition(".")[2] in LAYERS and isinstance(value, int) and value > MAX_LAYERS:
            why = f"The configuration declares {key} = {value:,}."
            raise UnreadableModel(
                why, where=str(path), hint="Check that it is the model's own; no model has so many."
            )


def flat(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of each leaf of a nested configuration; lists stay whole."""
    waiting = [(prefix, config)]  # no recursion: a stranger's file may be as deep as its reader bears
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, Mapping) and value:
            waiting += [
                (f"{key}.{name}" if key else str(name), each) for name, each in reversed([*value.items()])
            ]
        elif key:
            yield key, value


# -- adapters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AdapterSettings:
    """What an adapter's own configuration says.

    Attributes:
        kind: lora | dora | full | other.
        scale: the multiplier on A B; of PEFT lora_alpha / r, or lora_alpha / sqrt(r) where it says rslora.
        num_layers: blocks counted from the end that are converted; 0, -1 and None: all.
        keys: the modules as declared: paths inside a block, or PEFT's target modules.
        exceptions: of PEFT, (pattern, scale) for modules with a rank or alpha of their own.
        ranks: of PEFT, (pattern, rank) likewise.
    """

    kind: str
    rank: int | None
    scale: float | None
    alpha: float | None
    dropout: float | None
    num_layers: int | None
    keys: tuple[str, ...] | None
    exceptions: tuple[tuple[str, float], ...] = ()
    ranks: tuple[tuple[str, float], ...] = ()

    def scale_of(self, module: str) -> float | None:
        """The multiplier declared for one module."""
        return next((scale for pattern, scale in self.exceptions if _answers(module, pattern)), self.scale)

    def rank_of(self, module: str) -> float | None:
        """The rank that PEFT is told to give one module; None where an expression may say another."""
        if any(_EXPRESSION.search(pattern) for pattern, _ in self.ranks):
            return None
        return next((rank for pattern, rank in self.ranks if _answers(module, pattern)), self.rank)


def _answers(module: str, pattern: str) -> bool:
    """Does PEFT mean the module by this key of rank_pattern or alpha_pattern?

    A path, its end, or either between ^ and $; another expression of a stranger is not tried.
    """
    path = pattern.removesuffix("$").replace(r"\.", ".")
    if path.startswith("^"):
        return module == path[1:]
    return module == path or module.endswith(f".{path}")


def adapter_settings(config: Mapping[str, Any]) -> AdapterSettings | None:
    """The settings in an adapter_config.json of mlx-lm or PEFT; None where it is empty."""
    if not config:
        return None
    return _peft(config) if "peft_type" in config or "lora_alpha" in config else _mlx(config)


def _mlx(config: Mapping[str, Any]) -> AdapterSettings:
    parameters = config.get("lora_parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    kind = str(config.get("fine_tune_type", "lora"))
    keys = parameters.get("keys")
    return AdapterSettings(
        kind=kind if kind in ("lora", "dora", "full") else "other",
        rank=_int(parameters.get("rank")),
        scale=_float(parameters.get("scale")),
        alpha=_float(parameters.get("alpha")),
        dropout=_float(parameters.get("dropout")),
        num_layers=_int(config.get("num_layers", config.get("lora_layers"))),
        keys=tuple(map(str, keys)) if isinstance(keys, list) else None,
    )


def _peft(config: Mapping[str, Any]) -> AdapterSettings:
    rank, alpha = _int(config.get("r")), _float(config.get("lora_alpha"))
    rooted = config.get("use_rslora") is True
    ranks, alphas = (_patterns(config.get(name)) for name in ("rank_pattern", "alpha_pattern"))
    own = ((p, _scale(alphas.get(p, alpha), ranks.get(p, rank), rooted)) for p in {**ranks, **alphas})
    return AdapterSettings(
        kind=("dora" if config.get("use_dora") is True else "lora")
        if config.get("peft_type", "LORA") == "LORA"
        else "other",
        rank=rank,
        scale=_scale(alpha, rank, rooted),
        alpha=alpha,
        dropout=_float(config.get("lora_dropout")),
        num_layers=None,
        keys=_targets(config),
        exceptions=tuple((pattern, scale) for pattern, scale in own if scale is not None),
        ranks=tuple(ranks.items()),
    )


def _targets(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The modules that PEFT was told to convert, by their names; None where an expression says them."""
    targets, excluded = config.get("target_modules"), config.get("exclude_modules")
    if isinstance(targets, str):
        return None if _EXPRESSION.search(targets) else (targets,)
    if not isinstance(targets, list) or isinstance(excluded, str):
        return None
    left_out = set(excluded) if isinstance(excluded, list) else set()
    return tuple(str(name) for name in targets if name not in left_out)


def _patterns(value: Any) -> dict[str, float]:
    return (
        {str(k): float(v) for k, v in value.items() if isinstance(v, (int, float))}
        if isinstance(value, dict)
        else {}
    )


def _scale(alpha: float | None, rank: float | None, rooted: bool) -> float | None:
    if alpha is None or not rank or rank < 0:
        return None
    return alpha / (math.sqrt(rank) if rooted else rank)


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


# -- tokenizers ----------------------------------------------------------------------------------------------


def template(directory: Path) -> str | None:
    """The chat template's text: its own file first, as transformers reads it.

    Several named ones as one JSON text.
    """
    path = directory / "chat_template.jinja"
    if path.exists():
        return small(path, MAX_TEMPLATE).decode("utf-8", "replace")
    for name in ("chat_template.json", "tokenizer_config.json"):
        text = page(directory / name).get("chat_template")
        if isinstance(text, str):
            return text
        if isinstance(text, list):
            named = {str(t.get("name")): t.get("template") for t in text if isinstance(t, dict)}
            return json.dumps(named)
    return None


def tokenizer_facts(directory: Path) -> dict[str, Any]:
    """Facts of a directory's tokenizer as a watched run has them, as far as its files say them.

    Empty without one.
    """
    path = directory / "tokenizer.json"
    settings, document = page(directory / "tokenizer_config.json"), page(path)
    if not settings and not document:
        return {}
    vocabulary = _vocabulary(document)
    added = _added(document, settings)
    ids = {**vocabulary, **added}
    named = {
        name: _token(
            settings.get(f"{name}_token", page(directory / "special_tokens_map.json").get(f"{name}_token"))
        )
        for name in _NAMED
    }
    special = [ids[t] for t in [*named.values(), *_more(settings)] if t is not None and t in ids]
    stop = {*_ends(directory), *([ids[named["eos"]]] if named["eos"] in ids else [])}
    text = template(directory)
    names = {index: token for token, index in ids.items() if index in {*special, *added.values(), *stop}}
    return {
        "vocab_size": len(ids) or None,
        "vocabulary_digest": _digest(ids),
        **{f"{name}_id": ids.get(named[name] or "") for name in ("bos", "eos", "pad", "unk")},
        "eos_ids": sorted(stop),
        "special_ids": list(dict.fromkeys(special)),
        "added_tokens": added,
        "end_ids": sorted(stop),
        "template_digest": None
        if text is None
        else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        "digest": hashlib.sha256(small(path, MAX_PAGE)).hexdigest() if path.is_file() else None,
        "names": {str(index): names[index] for index in sorted(names)},
    }


def _digest(ids: Mapping[str, int]) -> str | None:
    texts = {index: token for token, index in ids.items()}
    return vocabulary_digest(len(texts), lambda drawn: [texts.get(index) for index in drawn])


def _vocabulary(document: Mapping[str, Any]) -> dict[str, int]:
    """Token to id: BPE and WordPiece have an object, Unigram a list of (token, score)."""
    model = document.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        return {token: index for token, index in vocabulary.items() if isinstance(index, int)}
    if isinstance(vocabulary, list):
        return {
            pair[0]: i
            for i, pair in enumerate(vocabulary)
            if isinstance(pair, list) and pair and isinstance(pair[0], str)
        }
    return {}


def _added(document: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, int]:
    listed = document.get("added_tokens")
    tokens = {
        t["content"]: t["id"]
        for t in (listed if isinstance(listed, list) else [])
        if isinstance(t, dict) and isinstance(t.get("content"), str) and isinstance(t.get("id"), int)
    }
    later = settings.get("added_tokens_decoder")
    for index, token in later.items() if isinstance(later, dict) else ():
        text = _token(token)
        if text is not None and str(index).isdigit():
            tokens.setdefault(text, int(index))
    return tokens


def _more(settings: Mapping[str, Any]) -> list[str]:
    tokens = settings.get("extra_special_tokens") or settings.get("additional_special_tokens")
    listed = tokens.values() if isinstance(tokens, dict) else tokens if isinstance(tokens, list) else []
    return [text for token in listed if (text := _token(token)) is not None]


def _token(value: Any) -> str | None:
    """A token's text: as it stands, or in the object that describes it."""
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else None


def _ends(directory: Path) -> list[int]:
    """The ids at which mlx-lm stops: generation_config's, where it has some, instead of config's."""
    for name in ("generation_config.json", "config.json"):
        ids = page(directory / name).get("eos_token_id")
        names_or_ids = [
            i
            for i in (ids if isinstance(ids, list) else [ids])
            if isinstance(i, int) and not isinstance(i, bool)
        ]
        if names_or_ids:
            return names_or_ids
    return []


def gguf_facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The same facts from a GGUF file's metadata; empty where it holds no vocabulary."""
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens:
        return {}
    kinds = metadata.get("tokenizer.ggml.token_type")
    kinds = kinds if isinstance(kinds, list) and len(kinds) == len(tokens) else [1] * len(tokens)
    special = [i for i, kind in enumerate(kinds) if kind == _CONTROL]
    keys = {
        "bos": "bos_token_id",
        "eos": "eos_token_id",
        "pad": "padding_token_id",
        "unk": "unknown_token_id",
    }
    ids = {f"{name}_id": _int(metadata.get(f"tokenizer.ggml.{key}")) for name, key in keys.items()}
    stop = sorted(
        {i for i in (ids["eos_id"], _int(metadata.get("tokenizer.ggml.eot_token_id"))) if i is not None}
    )
    text = metadata.get("tokenizer.chat_template")
    added = {str(tokens[i]): i for i, kind in enumerate(kinds) if kind in (_CONTROL, _USER_DEFINED)}
    return {
        "vocab_size": len(tokens),
        "vocabulary_digest": None,  # its tokens are not all spelled as tokenizer.json has them
        **ids,
        "eos_ids": stop,
        "special_ids": special,
        "added_tokens": added,
        "end_ids": stop,
        "template_digest": hashlib.sha256(text.encode()).hexdigest() if isinstance(text, str) else None,
        "digest": None,
        "names": {str(i): str(tokens[i]) for i in sorted({*added.values(), *stop}) if i < len(tokens)},
    }
