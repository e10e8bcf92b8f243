"""One file of queries/: its header, its SELECT, and what both say.

A file is a header of `-- ` lines and one SELECT. The header begins with the title, a blank `--` line, and
then `-- key: value` lines; a line that begins `--   ` carries the value on. HEADER says what each key means.
The macro is named as the file, hyphens as underscores.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast, get_args

from forensics.errors import QueryError, near
from forensics.records import Confidence, Role, Severity

HEADER = {
    "params": (
        "parameters of the macro: a, b (capture refs as text), then numbers with a default (floor = 0.02),"
        " which may be a number of queries/lib/limits.sql (floor = logit_noise())"
    ),
    "numbers": (
        "what each number among the parameters stands for and why it has this value: `floor - reason`, with"
        " semicolons between them; no other number but 0 and 1 stands in a SELECT of ours (tested)"
    ),
    "long": (
        "why a SELECT of more than some 60 lines or a dozen SELECTs is not cut into tables of the pair"
        " (tested)"
    ),
    "example": "one line of how to ask it on the command line (questions only)",
    "severity": (
        "error, warning or info; a row's column `severity` overrides it (this key makes a file a detector)"
    ),
    "role": "cause, consequence or symptom; what a present finding explains is never a cause",
    "confidence": (
        "certain (two facts that cannot both hold), strong (ten times over the noise), probable (one"
        " alternative left), possible"
    ),
    "explains": (
        "ids of findings that follow from this one, folded under it where both are present; `id when column`:"
        " only where that column is true in a faulty row"
    ),
    "claim": (
        "one sentence; {column} of the first faulty row, {n} faulty rows, {looked} rows in all; {n:row"
        " is|rows are}: with words"
    ),
    "clean": (
        "the phrase quoted under `ruled out` of other findings where this detector was evaluated and clean;"
        " {column} of the first row"
    ),
    "early": (
        "why no later step can take a certain faulty row back: such a detector is asked while a run goes on"
        " (capture --stop-on); a column `early` restricts it to the rows in which it is true"
    ),
    "begins": (
        "of a question about a run: the point at which its comparison begins,"
        " where the run has it; else its first capture"
    ),
    "beside": (
        "of a question of one run: columns that tell its rows apart, where several runs stand side by side"
    ),
    "rules out": "ids of detectors whose clean outcome speaks for this finding",
    "reads": "tables of queries/pair that the SELECT reads, by name: FROM moves",
    "needs": "facts that must have been captured: names of macros need_<name>(a, b) in queries/lib",
    "nothing": "what to say where there is nothing of its kind to look at and the query gives no row",
    "capture": "how to capture something of its kind, where that is worth saying",
    "fix": "what to do, short, in the words of the user's program; may hold {column}",
    "setting": (
        "keys of a configuration, or options of the command, that decide it: the line of the first that was"
        " given is named where the program has no line of its own"
    ),
    "harmless": "when the same picture is in order",
    "fires on": "snapshots/NAME or zoo/NAME that must give faulty rows (tested)",
    "silent on": "snapshots/NAME or zoo/NAME that must be evaluated and clean (tested)",
    "references": "public issues of this fault: REPOSITORY#NUMBER",
}
"""Keys of a header and what they mean. docs/queries.md is made from this."""

QUESTION_KEYS = ("params", "numbers", "long", "example", "reads", "begins", "beside")
COLUMNS = ("subject", "observed", "expected", "fault")
"""Columns that every detector gives.

`severity`, `confidence` and `place` override the header by row, others serve texts.
"""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a macro; `default` is SQL text, None where an argument must be given."""

    name: str
    default: str | None = None


@dataclass(frozen=True)
class Query:
    """One question, as its file says it."""

    name: str
    path: Path
    title: str
    body: str
    header: Mapping[str, str]
    params: tuple[Parameter, ...]
    private: bool = False

    @property
    def macro(self) -> str:
        return self.name.replace("-", "_")

    @property
    def refs(self) -> int:
        """How many captures it is asked of: 0, 1 or 2."""
        return sum(p.default is None for p in self.params)

    @property
    def signature(self) -> str:
        words = (p.name if p.default is None else f"{p.name} := {p.default}" for p in self.params)
        return f"{self.macro}({', '.join(words)})"

    @property
    def begins(self) -> str | None:
        """The point at which a comparison of one run begins; None: its first capture."""
        return self.header.get("begins")

    @property
    def beside(self) -> tuple[str, ...]:
        """Columns by which the rows of several runs are put side by side."""
        return _names(self.header.get("beside", ""))

    @property
    def reads(self) -> tuple[str, ...]:
        """Tables of the pair that the SELECT reads."""
        return _names(self.header.get("reads", ""))

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why each number among the parameters has its value, as the key `numbers` says."""
        names = "|".join(p.name for p in self.params if p.default is not None)
        text = self.header.get("numbers", "")
        if not names or not text:
            return {}
        parts = re.split(rf"(?:^|; )((?:{names})(?:, (?:{names}))*) - ", text)[1:]
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return {name: reason.strip() for heads, reason in pairs for name in heads.split(", ")}


@dataclass(frozen=True)
class Detector(Query):
    """A query whose rows with `fault` true are evidence of one fault."""

    @property
    def severity(self) -> Severity:
        return cast(Severity, self.header["severity"])

    @property
    def role(self) -> Role:
        return cast(Role, self.header["role"])

    @property
    def confidence(self) -> Confidence:
        return cast(Confidence, self.header["confidence"])

    def names(self, key: str) -> tuple[str, ...]:
        """The value of a key that is a list of names.

        Such keys are explains, rules out, needs, setting, fires on, silent on, references.
        """
        return tuple(self.links) if key == "explains" else _names(self.header.get(key, ""))

    @cached_property
    def links(self) -> Mapping[str, str | None]:
        """Each finding that follows from this one, and the column on which that hangs, if any."""
        parts = [part.split() for part in self.header.get("explains", "").split(",")]
        return {part[0]: part[2] if len(part) == 3 and part[1] == "when" else None for part in parts if part}

    def text(self, key: str) -> str:
        return self.header.get(key, "")


def parse(path: Path, text: str, *, private: bool = False) -> Query:
    """One file to a Query, or a Detector where its header has a severity.

    Raises:
        QueryError: unknown, repeated or missing keys, values out of their range, parameters that are none.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", path.stem):
        raise QueryError(
            f"{path.stem!r} is no name for a query.", str(path), "Use small letters, digits and hyphens."
        )
    title, header, body = _split(path, text)
    detector = "severity" in header
    allowed = HEADER.keys() - (
        {"example", "begins", "beside"} if detector else HEADER.keys() - set(QUESTION_KEYS)
    )
    for key in header:
        if key not in allowed:
            kind = "a detector" if detector else "a question"
            close = near(key, allowed, 1)
            raise QueryError(
                f"{key!r} is no key of {kind}'s header.",
                str(path),
                f"Did you mean {close[0]}?" if close else f"Keys: {', '.join(sorted(allowed))}.",
            )
    params = tuple(_parameters(path, header.get("params", "a, b" if detector else "")))
    if not body:
        raise QueryError("There is no SELECT under the header.", str(path), "Write one.")
    if not detector:
        return Query(path.stem, path, title, body, header, params, private)
    _check_detector(path, header, params)
    return Detector(path.stem, path, title, body, header, params, private)


def _split(path: Path, text: str) -> tuple[str, dict[str, str], str]:
    """Title, keys and SELECT of a file."""
    lines = text.splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    comments = [line[2:] for line in lines[:end]]
    blank = next((i for i, line in enumerate(comments) if not line.strip()), len(comments))
    title = " ".join(line.strip() for line in comments[:blank])
    if not title:
        raise QueryError("The file does not begin with its title.", str(path), "First line: -- One sentence.")
    header: dict[str, str] = {}
    key = ""
    for line in filter(str.strip, comments[blank:]):
        name, colon, value = line.partition(":")
        if colon and re.fullmatch(r"\s*[a-z]+( [a-z]+)?", name):
            key = name.strip()
            if key in header:
                raise QueryError(f"The key {key!r} stands twice.", str(path), "Keep one.")
            header[key] = value.strip()
        elif key:
            header[key] = f"{header[key]} {line.strip()}".strip()
        else:
            raise QueryError(
                f"This line is no key of the header: --{line}", str(path), "Write `-- key: value`."
            )
    return title, header, "\n".join(lines[end:]).strip().rstrip(";").rstrip()


def _parameters(path: Path, text: str) -> Iterator[Parameter]:
    defaults = False
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, default = (piece.strip() for piece in part.partition("="))
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or (
            equals and not re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?|'[^']*'|true|false|[a-z_0-9]+\(\)", default)
        ):
            raise QueryError(f"{part!r} is no parameter.", str(path), "Write params: a, b, floor = 0.02")
        if defaults and not equals:
            raise QueryError(
                f"The parameter {name} has no default and stands after one that has.",
                str(path),
                "Put it first.",
            )
        if not equals and name not in ("a", "b"):
            raise QueryError(
                f"The parameter {name} has no default.",
                str(path),
                "Only a and b, the captures, are given; others have a default.",
            )
        defaults = bool(equals)
        yield Parameter(name, default if equals else None)


def _check_detector(path: Path, header: Mapping[str, str], params: tuple[Parameter, ...]) -> None:
    for part in filter(str.strip, header.get("explains", "").split(",")):
        if not re.fullmatch(r"[a-z0-9-]+(\s+when\s+[a-z_][a-z0-9_]*)?", part.strip()):
            raise QueryError(
                f"{part.strip()!r} is no link.", str(path), "Write explains: one-id, another-id when a_column"
            )
    for key, choices in (
        ("severity", get_args(Severity)),
        ("role", get_args(Role)),
        ("confidence", get_args(Confidence)),
    ):
        if header.get(key) not in choices:
            raise QueryError(
                f"{key} must be one of {', '.join(choices)}.", str(path), f"Write -- {key}: {choices[0]}"
            )
    for key in ("claim", "fix"):
        if not header.get(key) and not (key == "fix" and header["severity"] == "info"):
            raise QueryError(f"The header has no {key}.", str(path), f"{key}: {HEADER[key]}")
    if [p.name for p in params[:2]] != ["a", "b"]:
        raise QueryError("A detector's parameters begin with a, b.", str(path), "Write params: a, b")


def _names(text: str) -> tuple[str, ...]:
    return tuple(re.split(r"[,\s]+", text)) if text else ()
