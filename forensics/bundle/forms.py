"""Forms of words: which may leave in a bundle as they are, and which say who and where.

Allow-lists: a word is let out because it has the form of a name of the field, never because no rule calls it
a secret.
"""

from __future__ import annotations

import contextlib
import getpass
import re
import socket
from pathlib import Path

from forensics.records import Row

WORD = re.compile(r"[\w.:@+|<>\[\]#-]{1,200}", re.ASCII)
SPECIAL = re.compile(r"[<\[|][\w|/:.▁<>\[\]-]{1,48}")
VERSION = re.compile(
    r"v?\d[\w.+~-]{0,40}|(macOS|Linux|Darwin|Windows|Device)[\w .+~():,-]{0,100}"
    r"|arm64|aarch64|x86_64|AMD64|i686|ppc64le|riscv64"
)
PROBE = re.compile(r"[pgq]\d{1,6}")
ERROR = re.compile(r"\s*([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Warning|Exit|Failure))\b.*", re.DOTALL)
PATH = re.compile(r"(?<![\w.])(?:~|[A-Za-z]:\\|\\\\|/)[^\s'\"<>|;,()\[\]{}]*[^\s'\"<>|;,()\[\]{}.:]")
URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
FILES = re.compile(
    r"(\d+_)?(adapters|adapter_model|model|weights|optimizer)(-\d{5}-of-\d{5})?\.(safetensors|npz|gguf|bin)"
    r"|(adapter_|generation_|tokenizer_|preprocessor_)?config\.json|tokenizer\.(json|model)|(train|valid|test)\.jsonl"
)
PLACE = re.compile(r"(?P<path>.*?)(?P<line>:\d+)?", re.DOTALL)
CELL = re.compile(r"In\[\d{1,9}\]:\d{1,9}")  # a notebook's name of a cell, and its line
CONFIG_WORDS = {
    "model_type", "architectures", "torch_dtype", "dtype", "hidden_act", "activation", "activation_function",
    "hidden_activation", "type", "rope_type", "fine_tune_type", "optimizer", "peft_type", "task_type", "bias",
    "mode", "quant_method", "tokenizer_class", "class", "layer_types", "target_modules", "keys",
    "general.architecture", "general.type", "general.size_label", "kind", "tensors", "expect",
    "transformers_version", "adapter_kind", "use_dora",
}  # fmt: skip
ENVIRONMENT = re.compile(
    r"(forensics|python|platform|machine|device|mlx|mlx-lm|transformers|tokenizers|safetensors|numpy|datasets|peft|torch)"
    r"( \(process \d+\))?"
)
BETWEEN = re.compile(r"([.@:|<>\[\]#]+)")  # parts of a name
TOKEN = re.compile(r"[a-z]{2,6}-[0-9a-f]{4}-[0-9a-f]{12}")  # what stands for a text already
DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}")
FOUR = re.compile(r"\d{1,3}(\.\d{1,3}){3}")  # an address as part of a dotted key
MOST_IDS = 8  # a longer list of numbers may be a text, token by token


def environment(row: Row) -> bool:
    """May this row of `environment` leave: a version, the platform, the device?"""
    return ENVIRONMENT.fullmatch(str(row.get("key"))) is not None


def people() -> re.Pattern[str] | None:
    """The user's and the host's names, where they are no word that anybody may have."""
    found: set[str] = set()
    with contextlib.suppress(Exception):
        found.add(getpass.getuser())
    with contextlib.suppress(Exception):
        found.add(Path.home().name)
    with contextlib.suppress(Exception):
        host = socket.gethostname()
        found |= {host, host.partition(".")[0]}
    names = sorted(
        (n for n in found if len(n) > 2 and n.lower() not in ("root", "user", "localhost", "home", "admin")),
        key=len,
        reverse=True,
    )
    return (
        re.compile(rf"(?i)(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, names))})(?![A-Za-z0-9])")
        if names
        else None
    )
