"""What of a row may leave the machine.

An allow-list by column and form; everything else becomes a stable token or nothing.

A token stands for the same text wherever it stands, so that equality survives; which text, only the map at
home says. Numbers, classes, digests and names of modules stay. Private columns of schema.sql go, unless text
was asked for; command lines, secrets, paths, user and host go always.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import re
import socket
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from forensics import schema
from forensics.bundle import named, secrets
from forensics.records import Row, Scalar
from forensics.store.keyed import Keyed

_WORD = re.compile(r"[\w.:@+|<>\[\]#-]{1,200}", re.ASCII)
_SPECIAL = re.compile(r"[<\[|][\w|/:.▁<>\[\]-]{1,48}")
_VERSION = re.compile(
    r"v?\d[\w.+~-]{0,40}|(macOS|Linux|Darwin|Windows|Device)[\w .+~():,-]{0,100}"
    r"|arm64|aarch64|x86_64|AMD64|i686|ppc64le|riscv64"
)
_PROBE = re.compile(r"[pgq]\d{1,6}")
_ERROR = re.compile(r"\s*([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Warning|Exit|Failure))\b.*", re.DOTALL)
_PATH = re.compile(r"(?<![\w.])(?:~|[A-Za-z]:\\|\\\\|/)[^\s'\"<>|;,()\[\]{}]*[^\s'\"<>|;,()\[\]{}.:]")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_FILES = re.compile(
    r"(\d+_)?(adapters|adapter_model|model|weights|optimizer)(-\d{5}-of-\d{5})?\.(safetensors|npz|gguf|bin)"
    r"|(adapter_|generation_|tokenizer_|preprocessor_)?config\.json|tokenizer\.(json|model)|(train|valid|test)\.jsonl"
)
_PLACE = re.compile(r"(?P<path>.*?)(?P<line>:\d+)?", re.DOTALL)
_CELL = re.compile(r"In\[\d{1,9}\]:\d{1,9}")  # a notebook's name of a cell, and its line
_CONFIG_WORDS = {
    "model_type", "architectures", "torch_dtype", "dtype", "hidden_act", "activation", "activation_function",
    "hidden_activation", "type", "rope_type", "fine_tune_type", "optimizer", "peft_type", "task_type", "bias",
    "mode", "quant_method", "tokenizer_class", "class", "layer_types", "target_modules", "keys",
    "general.architecture", "general.type", "general.size_label", "kind", "tensors", "expect",
    "transformers_version", "adapter_kind", "use_dora",
}  # fmt: skip
_ENVIRONMENT = re.compile(
    r"(forensics|python|platform|machine|device|mlx|mlx-lm|transformers|tokenizers|safetensors|numpy|datasets|peft|torch)"
    r"( \(process \d+\))?"
)
_PROSE = {("runs", "missing"), ("captures", "missing"), ("placements", "error"), ("scores", "error")}
_FILE = {("saved_tensors", "file"), ("datasets", "file")}
_TOGETHER = {"configs": ("key", "value")}  # what a value may be hangs on its key
_ATTRIBUTES = {"modules": ("attributes",), "optimizers": ("settings",)}  # of the user's own classes as well
_DROPPED_KEYS = {"path", "message", "prompt", "text", "output", "traceback"}
# a column, or a key of an event: a password among its words has no form by which it is known
_COMMAND = {"command", "argv"}
_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}")
_REMEMBERED = 100_000  # texts of a column
_FOUR = re.compile(r"\d{1,3}(\.\d{1,3}){3}")  # an address as part of a dotted key
_MOST_IDS = 8  # a longer list of numbers may be a text, token by token


class Redactor:
    """Redacts rows of one bundle.

    `map` is what each token stands for, `counts` how often a column was redacted, `leaving` each text that
    stays, by column. `personal` counts phone numbers, IBANs and the like in texts that were asked for; they
    stay only with `people`.
    """

    def __init__(self, keyed: Keyed, *, text: bool, people: bool = False) -> None:
        self._keyed, self._text, self._numbers = keyed, text, people
        self.personal: Counter[str] = Counter()
        self.map: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.leaving: dict[str, set[str]] = {}
        self._words: dict[str, str] = {}
        self._known: dict[tuple[str, str], dict[str, str | None]] = {}
        self._private = schema.marked("private")
        self._json = schema.marked("JSON")
        self._people = _people()

    def row(self, table: str, row: Mapping[str, Any]) -> Row:
        """The row as it may leave."""
        columns = schema.tables()[table]
        made: dict[str, Scalar] = {}
        together = _TOGETHER.get(table, ())
        for column, value in row.items():
            if column not in columns or value is None or column in together:
                continue
            if isinstance(value, str):
                kept = (
                    value
                    if "digest" in column and _DIGEST.fullmatch(value)
                    else self._text_cell(table, column, value)
                )
            else:
                kept = None if self._stays(table, column) else value
            if kept is not value and kept != value:
                self.counts[f"{table}.{column}"] += 1
            if kept is not None:
                made[column] = kept
        return made | self._config(row) if together else made

    def _text_cell(self, table: str, column: str, value: str) -> str | None:
        """As `_cell`; a text that came before in this column has the same answer."""
        known = self._known.setdefault((table, column), {})
        if value not in known:
            kept = self._cell(table, column, value)
            if len(known) < _REMEMBERED:
                known[value] = kept
            if kept is not None:
                self.leaving.setdefault(f"{table}.{column}", set()).add(kept)
            return kept
        return known[value]

    def _cell(self, table: str, column: str, value: str) -> str | None:
        where = table, column
        if self._stays(table, column):
            return None
        if column in self._private[table]:
            # text that was asked for: what is secret, or says who and where, is taken out all the same
            return self.marks(value)
        if table == "environment" and column == "value":
            return (
                value
                if _VERSION.fullmatch(value) and not secrets.any_in(value)
                else self.token("text", value)
            )
        if column == "place":
            return self.place(value)
        if where in _FILE:
            return self.file(value)
        if where in _PROSE:
            return self._listed(value) if column in self._json[table] else self.prose(value)
        if column in self._json[table]:
            return self._document(value, table == "events", strict=column in _ATTRIBUTES.get(table, ()))
        if column == "prompt_id":
            return value if _PROBE.fullmatch(value) else self.token("prompt", value)
        return self.word(value)

    def _stays(self, table: str, column: str) -> bool:
        """Does a column stay at home: a private one without text, a command line always?"""
        return column in self._private[table] and (not self._text or column in _COMMAND)

    # -- forms -----------------------------------------------------------------------------------------------

    def token(self, kind: str, value: str) -> str:
        """What stands for a text: `path-9c31-1f0c2a9b3d4e`, the same in all bundles of this store.

        In the middle stands which store that is: under another key the same text has another token
        (queries/lib/tokens.sql).
        """
        token = f"{kind}-{self._keyed.name}-{self._keyed.text(value)[:12]}"
        self.map[token] = value
        return token

    def word(self, value: str) -> str:
        """A name of a module, class, option or capture.

        What has another form, or looks like a secret, becomes a token.
        """
        if value not in self._words:
            plain = not value or (_WORD.fullmatch(value) is not None and not secrets.any_in(value))
            kept = value if plain else self.token("text", value)
            if len(self._words) >= _REMEMBERED:
                return kept
            self._words[value] = kept
        return self._words[value]

    def file(self, value: str) -> str:
        """A file's name, where half the world has one of that name; else a token with its ending."""
        if _FILES.fullmatch(value):
            return value
        suffix = PurePosixPath(value).suffix
        if self._text and _WORD.fullmatch(value) and not secrets.any_in(value):
            return value
        return self.token("file", value) + (suffix if re.fullmatch(r"\.[a-z0-9]{1,12}", suffix) else "")

    def place(self, value: str) -> str:
        """file:line of a program: what follows site-packages stays, and a name of the field's own.

        All else is tokens.
        """
        if _CELL.fullmatch(value):
            return value
        match = _PLACE.fullmatch(value)
        path, line = (match["path"], match["line"] or "") if match else (value, "")
        _, inside, library = path.rpartition("site-packages/")
        if inside and _WORD.fullmatch(library.replace("/", ".")):
            return library + line
        directory, _, name = path.replace("\\", "/").rpartition("/")
        stem, dot, ending = name.rpartition(".")
        if (
            not _WORD.fullmatch(name)
            or secrets.any_in(name)
            or not (self._text or named.of_the_field(stem or name))
        ):
            name = self.token("file", name) + (
                f".{ending}" if dot and re.fullmatch(r"[a-z0-9]{1,8}", ending) else ""
            )
        return (f"{self.token('dir', directory)}/" if directory else "") + name + line

    def prose(self, value: str) -> str:
        """A sentence of ours: what it quotes, and what an exception said, is left out."""
        error = _ERROR.fullmatch(value)
        if error and not self._text:
            return f"{error[1]} (its text was left out)"
        return self.marks(value if self._text else _QUOTED.sub(lambda m: self.token("text", m[0]), value))[
            :300
        ]

    def marks(self, value: str) -> str:
        """A text without secrets, addresses, paths, user and host."""
        if self._text:
            masked, found = secrets.personal(value)
            self.personal.update(found)
            value = value if self._numbers else masked
        value = _URL.sub(lambda m: self.token("url", m[0]), secrets.clean(value))
        value = _PATH.sub(lambda m: self.token("path", m[0]), value)
        return self._people.sub(lambda m: self.token("name", m[0].lower()), value) if self._people else value

    # -- documents -------------------------------------------------------------------------------------------

    def _document(self, value: str, event: bool, *, strict: bool) -> str | None:
        try:
            found = json.loads(value)
        except ValueError:
            return None
        kept = self._tree(found, event, strict=strict)
        return value if kept == found else json.dumps(kept, ensure_ascii=False)

    def _tree(self, value: Any, event: bool = False, *, strict: bool = False, key: str = "") -> Any:
        """A JSON value: numbers stay, strings as words, long lists of numbers as a token.

        Of events, paths and messages go.

        `strict`: strings are known options, or nothing but a token and a length. What a key calls a secret is
        one, with all below it.
        """
        if (
            named.secret(key, value)
            and not (isinstance(value, str) and _SPECIAL.fullmatch(value))
            and value is not None
        ):
            return self.token("secret", json.dumps(value)) if value != {} and value != [] else value
        if isinstance(value, dict):
            kept = {
                k: v
                for k, v in value.items()
                if not (event and (k in _COMMAND or (k in _DROPPED_KEYS and not self._text)))
            }
            strict = strict or (event and key == "declared")
            return {
                self.word(str(k)): self._tree(v, event, strict=strict, key=str(k)) for k, v in kept.items()
            }
        if isinstance(value, list):
            if len(value) > _MOST_IDS and all(isinstance(v, int) for v in value):
                return self.token("ids", json.dumps(value))
            return [self._tree(v, event, strict=strict) for v in value]
        if not isinstance(value, str):
            return value
        if strict and not self._text and not self._option(key, value):
            return self.sized(value)
        return self.marks(value) if self._text and not _WORD.fullmatch(value) else self.word(value)

    def _option(self, key: str, value: str) -> bool:
        return (
            value.lower() in named.OPTIONS
            or bool(key in _CONFIG_WORDS and _WORD.fullmatch(value))
            or value == ""
        )

    def sized(self, value: str) -> str:
        """A free text as a token and its length: `text-9c31-1f0c2a9b3d4e:42`."""
        return f"{self.token('text', value)}:{len(value)}"

    def _listed(self, value: str) -> str | None:
        """A JSON list of {"what", "why"}."""
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            found = json.loads(value)
            kept = [
                {k: self.prose(str(v)) for k, v in each.items() if k in ("what", "why")} for each in found
            ]
            return value if kept == found else json.dumps(kept, ensure_ascii=False)
        return None

    def _config(self, row: Mapping[str, Any]) -> dict[str, Scalar]:
        """Key and value of a setting.

        Numbers and words that are known options stay; template texts and names of users' tokens do not.
        """
        kind, key = str(row.get("kind")), str(row.get("key"))
        try:
            value = json.loads(str(row.get("value")))
        except ValueError:
            value = None
        kept, name = self._setting(kind, key, value), self._key(kind, key)
        found: dict[str, Scalar] = {"key": name, "value": json.dumps(kept, ensure_ascii=False)}
        for column, changed in (("key", name != key), ("value", kept != value)):
            self.counts[f"configs.{column}"] += changed
            self.leaving.setdefault(f"configs.{column}", set()).add(str(found[column]))
        return found

    def _key(self, kind: str, key: str) -> str:
        head, dot, token = key.partition(".")
        if kind == "tokenizer" and head in ("added_tokens", "names") and dot:
            return f"{head}.{token}" if token.isdigit() else f"{head}.{self._special(token)}"
        if secrets.any_in(key) or _FOUR.search(key):
            return self.token("text", key)
        return ".".join(self.word(part) if part else part for part in key.split("."))

    def _setting(self, kind: str, key: str, value: Any) -> Any:
        last = key.rpartition(".")[2]
        if (
            named.secret(key, value)
            and value is not None
            and not (isinstance(value, str) and _SPECIAL.fullmatch(value))
        ):
            return self.token("secret", json.dumps(value))
        if kind == "template" and key == "text":
            return self.marks(value) if self._text and isinstance(value, str) else None
        if kind == "tokenizer" and key.startswith("frame."):
            return self.token("ids", json.dumps(value)) if value is not None else None
        if kind == "tokenizer" and key.startswith("names.") and isinstance(value, str):
            return self._special(value)
        if kind == "tokenizer" and last in ("special_ids", "eos_ids", "end_ids"):
            return value
        if isinstance(value, str) and last in ("digest", "template_digest") and _DIGEST.fullmatch(value):
            return value
        if isinstance(value, str):
            return self.word(value) if last in _CONFIG_WORDS or key in _CONFIG_WORDS else self._free(value)
        if isinstance(value, list):
            known = last in _CONFIG_WORDS or last in ("eos_token_id", "rope_scaling")
            return (
                self._tree(value)
                if known or self._text or not _texts(value)
                else self.token("text", json.dumps(value))
            )
        return self._tree(value) if isinstance(value, dict) else value

    def _free(self, value: str) -> str:
        return self.marks(value) if self._text else self.token("text", value)

    def _special(self, token: str) -> str:
        """A token of the tokenizer: <|im_end|> and its like stay."""
        return token if _SPECIAL.fullmatch(token) and not secrets.any_in(token) else self.token("text", token)


def environment(row: Row) -> bool:
    """May this row of `environment` leave: a version, the platform, the device?"""
    return _ENVIRONMENT.fullmatch(str(row.get("key"))) is not None


def _texts(value: list[Any]) -> bool:
    return any(not isinstance(v, (int, float, bool, type(None))) for v in value)


def _people() -> re.Pattern[str] | None:
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
