"""What of a row may leave the machine.

An allow-list by column and form; everything else becomes a stable token or nothing.

A token stands for the same text wherever it stands, so that equality survives; which text, only the map at
home says. Numbers, classes, digests and names of modules stay. Private columns of schema.sql go, unless text
was asked for; command lines, secrets, paths, user and host go always.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from forensics import schema
from forensics.bundle import forms, named, pieces, secrets
from forensics.records import Row, Scalar
from forensics.store.keyed import Keyed

_PROSE = {("runs", "missing"), ("captures", "missing"), ("placements", "error"), ("scores", "error")}
_FILE = {("saved_tensors", "file"), ("datasets", "file")}
_TOGETHER = {"configs": ("key", "value")}  # what a value may be hangs on its key
_ATTRIBUTES = {"modules": ("attributes",), "optimizers": ("settings",)}  # of the user's own classes as well
_DROPPED_KEYS = {"path", "message", "prompt", "text", "output", "traceback"}
# a column, or a key of an event: a password among its words has no form by which it is known
_COMMAND = {"command", "argv", "launch"}
# of a table: a text, and the ids that spell it
_SPELT = {"transcripts": (("prompt", "prompt_ids"), ("output", "output_ids"))}
_REMEMBERED = 100_000  # texts of a column


class Redactor:
    """Redacts rows of one bundle.

    `map` is what each token stands for, `counts` how often a column was redacted, `leaving` each text that
    stays, by column. `personal` counts phone numbers, IBANs and the like in texts that were asked for; they
    stay only with `people`. `names` are those of the bundle's runs and captures, which stay.
    """

    def __init__(
        self, keyed: Keyed, *, text: bool, people: bool = False, names: Container[str] = frozenset()
    ) -> None:
        self._keyed, self._text, self._numbers, self._names = keyed, text, people, names
        self.personal: Counter[str] = Counter()
        self.map: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.leaving: dict[str, set[str]] = {}
        self._words: dict[str, str] = {}
        self._known: dict[tuple[str, str], dict[str, str | None]] = {}
        self._private = schema.marked("private")
        self._json = schema.marked("JSON")
        self._people = forms.people()

    def rows(self, table: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
        """The rows as they may leave: of texts that stand in them token by token, without what is secret."""
        whole = pieces.without(table, rows, self.spans) if self._text else rows
        return (self.row(table, row) for row in whole)

    def row(self, table: str, row: Mapping[str, Any]) -> Row:
        """The row as it may leave."""
        columns = schema.tables()[table]
        cells: dict[str, Scalar] = {}
        together = _TOGETHER.get(table, ())
        for column, value in row.items():
            if column not in columns or value is None or column in together:
                continue
            if isinstance(value, str):
                cell = (
                    value
                    if "digest" in column and forms.DIGEST.fullmatch(value)
                    else self._text_cell(table, column, value)
                )
            else:
                cell = None if self._stays(table, column) else value
            if cell is not value and cell != value:
                self.counts[f"{table}.{column}"] += 1
            if cell is not None:
                cells[column] = cell
        for text, ids in _SPELT.get(table, ()):  # ids spell out what was taken out of their text
            if ids in cells and cells.get(text) != row.get(text):
                del cells[ids]
                self.counts[f"{table}.{ids}"] += 1
        return cells | self._config(row) if together else cells

    def _text_cell(self, table: str, column: str, value: str) -> str | None:
        """As `_cell`; a text that came before in this column has the same answer."""
        known = self._known.setdefault((table, column), {})
        if value not in known:
            redacted = self._cell(table, column, value)
            if len(known) < _REMEMBERED:
                known[value] = redacted
            if redacted is not None:
                self.leaving.setdefault(f"{table}.{column}", set()).add(redacted)
            return redacted
        return known[value]

    def _cell(self, table: str, column: str, value: str) -> str | None:
        where = table, column
        if self._stays(table, column):
            return None
        if column in self._private[table]:
            # text that was asked for: what is secret, or says who and where, is taken out all the same
            return self._marked(value) if column in self._json[table] else self.marks(value)
        if table == "environment" and column == "value":
            return (
                value
                if forms.VERSION.fullmatch(value) and not secrets.any_in(value)
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
            return value if forms.PROBE.fullmatch(value) else self.token("prompt", value)
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

        What has another form, or looks like a secret, becomes a token: as a whole, or the part between dots
        that is no name or is the user's or the host's.
        """
        if value in self._names:
            return value
        if value not in self._words:
            redacted = value
            if value:
                plain = forms.WORD.fullmatch(value) is not None
                redacted = "".join(map(self._part, forms.BETWEEN.split(value))) if plain else ""
                if not plain or secrets.any_in(redacted):  # a key may have dots
                    redacted = self.token("text", value)
            if len(self._words) >= _REMEMBERED:
                return redacted
            self._words[value] = redacted
        return self._words[value]

    def _part(self, part: str) -> str:
        if forms.TOKEN.fullmatch(part):
            return part
        plain = secrets.is_name(part) and not secrets.any_in(part) and not self._who(part)
        return part if plain else self.token("text", part)

    def _who(self, value: str) -> bool:
        """Does the user's or the host's name stand in it?"""
        return self._people is not None and self._people.search(value) is not None

    def file(self, value: str) -> str:
        """A file's name, where half the world has one of that name; else a token with its ending."""
        if forms.FILES.fullmatch(value):
            return value
        suffix = PurePosixPath(value).suffix
        if self._text and forms.WORD.fullmatch(value) and self.word(value) == value:
            return value
        return self.token("file", value) + (suffix if re.fullmatch(r"\.[a-z0-9]{1,12}", suffix) else "")

    def place(self, value: str) -> str:
        """file:line of a program: what follows site-packages stays, and a name of the field's own.

        All else is tokens.
        """
        if forms.CELL.fullmatch(value):
            return value
        match = forms.PLACE.fullmatch(value)
        path, line = (match["path"], match["line"] or "") if match else (value, "")
        _, inside, library = path.rpartition("site-packages/")
        if inside and forms.WORD.fullmatch(library.replace("/", ".")):
            return library + line
        directory, _, name = path.replace("\\", "/").rpartition("/")
        stem, dot, ending = name.rpartition(".")
        if (
            not forms.WORD.fullmatch(name)
            or self.word(name) != name
            or not (self._text or named.of_the_field(stem or name))
        ):
            name = self.token("file", name) + (
                f".{ending}" if dot and re.fullmatch(r"[a-z0-9]{1,8}", ending) else ""
            )
        return (f"{self.token('dir', directory)}/" if directory else "") + name + line

    def prose(self, value: str) -> str:
        """A sentence of ours: what it quotes, and what an exception said, is left out."""
        error = forms.ERROR.fullmatch(value)
        if error and not self._text:
            return f"{error[1]} (its text was left out)"
        return self.marks(
            value if self._text else forms.QUOTED.sub(lambda m: self.token("text", m[0]), value)
        )[:300]

    def marks(self, value: str) -> str:
        """A text without secrets, addresses, paths, user and host."""
        if self._text:
            masked, kinds = secrets.personal(value)
            self.personal.update(kinds)
            value = value if self._numbers else masked
        value = forms.URL.sub(lambda m: self.token("url", m[0]), secrets.clean(value))
        value = forms.PATH.sub(lambda m: self.token("path", m[0]), value)
        return self._people.sub(lambda m: self.token("name", m[0].lower()), value) if self._people else value

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in a text stands what `marks` takes out."""
        who = [self._people] if self._people else []
        found = [match.span() for form in (forms.URL, forms.PATH, *who) for match in form.finditer(text)]
        return found + secrets.spans(text) + ([] if self._numbers else secrets.people(text))

    def _marked(self, value: str) -> str | None:
        """A JSON value whose texts leave, without what `marks` takes out of each."""
        try:
            return json.dumps(self._texts(json.loads(value)), ensure_ascii=False)
        except ValueError:
            return None

    def _texts(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.marks(str(k)): self._texts(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._texts(v) for v in value]
        return self.marks(value) if isinstance(value, str) else value

    # -- documents -------------------------------------------------------------------------------------------

    def _document(self, value: str, event: bool, *, strict: bool) -> str | None:
        try:
            tree = json.loads(value)
        except ValueError:
            return None
        redacted = self._tree(tree, event, strict=strict)
        return value if redacted == tree else json.dumps(redacted, ensure_ascii=False)

    def _tree(self, value: Any, event: bool = False, *, strict: bool = False, key: str = "") -> Any:
        """A JSON value: numbers stay, strings as words, long lists of numbers as a token.

        Of events, paths and messages go.

        `strict`: strings are known options, or nothing but a token and a length. What a key calls a secret is
        one, with all below it.
        """
        if (
            named.secret(key, value)
            and not (isinstance(value, str) and forms.SPECIAL.fullmatch(value))
            and value is not None
        ):
            return self.token("secret", json.dumps(value)) if value != {} and value != [] else value
        if isinstance(value, dict):
            redacted = {
                k: v
                for k, v in value.items()
                if not (event and (k in _COMMAND or (k in _DROPPED_KEYS and not self._text)))
            }
            strict = strict or (event and key == "declared")
            return {
                self.word(str(k)): self._tree(v, event, strict=strict, key=str(k))
                for k, v in redacted.items()
            }
        if isinstance(value, list):
            if len(value) > forms.MOST_IDS and all(isinstance(v, int) for v in value):
                return self.token("ids", json.dumps(value))
            return [self._tree(v, event, strict=strict) for v in value]
        if not isinstance(value, str):
            return value
        if strict and not self._text and not self._option(key, value):
            return self.sized(value)
        return self.marks(value) if self._text and not forms.WORD.fullmatch(value) else self.word(value)

    def _option(self, key: str, value: str) -> bool:
        return (
            value.lower() in named.OPTIONS
            or bool(key in forms.CONFIG_WORDS and forms.WORD.fullmatch(value))
            or value == ""
        )

    def sized(self, value: str) -> str:
        """A free text as a token and its length: `text-9c31-1f0c2a9b3d4e:42`."""
        return f"{self.token('text', value)}:{len(value)}"

    def _listed(self, value: str) -> str | None:
        """A JSON list of {"what", "why"}."""
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            items = json.loads(value)
            redacted = [
                {k: self.prose(str(v)) for k, v in item.items() if k in ("what", "why")} for item in items
            ]
            return value if redacted == items else json.dumps(redacted, ensure_ascii=False)
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
        redacted, name = self._setting(kind, key, value), self._key(kind, key)
        setting: dict[str, Scalar] = {"key": name, "value": json.dumps(redacted, ensure_ascii=False)}
        for column, changed in (("key", name != key), ("value", redacted != value)):
            self.counts[f"configs.{column}"] += changed
            self.leaving.setdefault(f"configs.{column}", set()).add(str(setting[column]))
        return setting

    def _key(self, kind: str, key: str) -> str:
        head, dot, token = key.partition(".")
        if kind == "tokenizer" and head in ("added_tokens", "names") and dot:
            return f"{head}.{token}" if token.isdigit() else f"{head}.{self._special(token)}"
        if secrets.any_in(key) or forms.FOUR.search(key):
            return self.token("text", key)
        return ".".join(self.word(part) if part else part for part in key.split("."))

    def _setting(self, kind: str, key: str, value: Any) -> Any:
        last = key.rpartition(".")[2]
        if (
            named.secret(key, value)
            and value is not None
            and not (isinstance(value, str) and forms.SPECIAL.fullmatch(value))
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
        if isinstance(value, str) and last in ("digest", "template_digest") and forms.DIGEST.fullmatch(value):
            return value
        if isinstance(value, str):
            return (
                self.word(value)
                if last in forms.CONFIG_WORDS or key in forms.CONFIG_WORDS
                else self._free(value)
            )
        if isinstance(value, list):
            known = last in forms.CONFIG_WORDS or last in ("eos_token_id", "rope_scaling")
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
        return (
            token
            if forms.SPECIAL.fullmatch(token) and not secrets.any_in(token)
            else self.token("text", token)
        )


def _texts(value: list[Any]) -> bool:
    return any(not isinstance(v, (int, float, bool, type(None))) for v in value)
