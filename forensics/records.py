"""What passes between evidence, store, judge and report.

Frozen dataclasses, and rows typed by schema.sql.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = str | int | float | bool | None
Row = Mapping[str, Scalar]
"""One row of a table of `queries/schema.sql`: column name to value; JSON columns hold JSON text."""

Severity = Literal["error", "warning", "info"]
Role = Literal["cause", "consequence", "symptom"]
Confidence = Literal["proved", "certain", "strong", "probable", "possible"]
Verdict = Literal["faulty", "suspect", "healthy", "inconclusive"]
Unevaluated = Literal["unwatched", "absent", "unseen", "not-applicable", "crashed"]
"""Why a detector was not evaluated, in this order: files alone do not say it; it did not happen; it happened
and was not seen; it cannot
be here; it failed."""


@dataclass(frozen=True, slots=True)
class RawTensor:
    """A tensor as bytes, from a file or a live module; NumPy has no bfloat16, so bytes are the common form.

    `read(start, stop)` returns the bytes [start, stop) of the row-major, little-endian data.
    """

    name: str
    dtype: str  # as safetensors writes it: F32, F16, BF16, U32; a GGUF block type: Q4_1
    shape: tuple[int, ...]
    nbytes: int
    read: Callable[[int, int], bytes | memoryview]


@dataclass(frozen=True, slots=True)
class TensorStats:
    """Digest and statistics over the finite elements; None where the type cannot be decoded."""

    digest: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    nbytes: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    l2: float | None
    zeros: int | None
    nans: int | None
    infs: int | None


STATISTICS = ("mean", "std", "min", "max", "l2", "zeros", "nans", "infs")
"""Fields of `TensorStats` that are measured over a tensor's elements, as `tensors` has them."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Difference of two tensors of one shape, b against a. `relative` is l2 over the norm of a."""

    digest_a: str
    digest_b: str
    max_abs: float | None
    l2: float | None
    relative: float | None
    cosine: float | None
    changed_fraction: float | None

    def row(self) -> Row:
        """A row of `deltas`."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two facts about one subject that cannot both hold."""

    subject: str
    observed: str
    expected: str


@dataclass(frozen=True, slots=True)
class Difference(Evidence):
    """What differs between two runs. `kind`: cause, or as queries/ask/run-differences.sql has it."""

    kind: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A detector's rows, phrased. `judge.diagnose.document` gives the JSON form."""

    id: str
    severity: Severity
    role: Role
    confidence: Confidence
    title: str
    claim: str
    evidence: tuple[Evidence, ...] = ()
    ruled_out: tuple[str, ...] = ()
    fix: str = ""
    where: str | None = None
    check: str = ""
    explains: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    only_in: Literal["a", "b"] | None = None
    source: str | None = None  # the text of the line at `where`, as it was when the run was sealed
    proof: str = ""  # what went away, or did not, when `prove` took the cause away


@dataclass(frozen=True, slots=True)
class Allowed:
    """A finding that the user has accepted, and why: it is shown, and counts for nothing."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class NotEvaluated:
    """A detector that could not be asked, why, what it needs, and how to capture that."""

    id: str
    needs: str
    kind: Unevaluated = "absent"
    how: str = ""


@dataclass(frozen=True, slots=True)
class Cleared:
    """A detector that was evaluated and found nothing at fault, and what it says for itself."""

    id: str
    summary: str


@dataclass(frozen=True, slots=True)
class Example:
    """One question and its answers at both captures, to read; texts are None where they were redacted.

    No finding rests on it.
    """

    prompt: str | None
    before: str | None
    after: str | None
    finish: str | None  # of `after`: stop | length | error
    tokens: Mapping[str, str] = field(default_factory=dict)  # class of a token (pad, end) to its text


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `diagnose` says of one pair of captures."""

    a: str
    b: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    not_evaluated: tuple[NotEvaluated, ...] = ()
    notes: tuple[str, ...] = ()  # what stands against `healthy`
    clean: tuple[Cleared, ...] = ()
    example: Example | None = None
    allowed: tuple[Allowed, ...] = ()
    headline: str = ""
    watched: bool = True
    evaluation: str = ""  # what was not computed at which point, and what computing it changed


@dataclass(frozen=True, slots=True)
class TwoRuns:
    """What `diagnose` says of two runs: each for itself, then what the one does that the other does not."""

    a: str
    b: str
    verdict: Verdict
    runs: tuple[Diagnosis, Diagnosis]
    differences: tuple[Difference, ...] = ()
    findings: tuple[Finding, ...] = ()
    headline: str = ""


@dataclass(frozen=True, slots=True)
class Codes:
    """How far the packed codes of a quantized weight moved, beside its difference by value."""

    max_abs: float | None
    changed_fraction: float | None


@dataclass(frozen=True, slots=True)
class ChangedParameter:
    """A parameter whose digests differ. Numbers are None where not measured, never 0."""

    name: str
    name_b: str
    dtype: str
    shape: tuple[int, ...]
    max_abs: float | None
    l2: float | None
    relative: float | None
    cosine: float | None
    changed_fraction: float | None
    codes: Codes | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `diff` says of two captures. `judge.compare.document` gives the JSON form.

    `same` is None where there was nothing to compare.
    """

    a: str
    b: str
    same: bool | None
    parameters: Mapping[str, int]
    changed: tuple[ChangedParameter, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    modules: tuple[Row, ...] = ()
    adapter: Mapping[str, Row] = field(default_factory=dict)
    optimizer: Mapping[str, Row] = field(default_factory=dict)
    configs: tuple[Row, ...] = ()
    transcripts: tuple[Row, ...] = ()
    scores: tuple[Row, ...] = ()
    environment: tuple[Row, ...] = ()
    fusion: Row | None = None  # is b the base of a with a's adapter in it; see queries/ask/fused-replay.sql
