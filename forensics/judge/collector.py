"""Gathers the material of a report from a session.

Everything is bounded, whatever the size of the run; what was left out is counted, and the report says so.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from forensics.judge.declarations import declared
from forensics.judge.library import Sql
from forensics.judge.material import Answer, Exchange, Material, Step, Token, TrainingRow
from forensics.judge.pair import Session
from forensics.judge.picture import heat
from forensics.judge.proofs import Document
from forensics.records import Comparison, Diagnosis, Scalar, TwoRuns
from forensics.typed import whole

MAX_STEPS = 400
MAX_ROWS = 4  # training rows
MAX_TOKENS = 384  # of one row
MAX_PROBES, MAX_OBSERVED = 12, 6  # answered prompts
MAX_ANSWER = 192  # tokens of one answer
ROLES = ("prompt", "answer", "end", "pad")


def gather(
    session: Session,
    diagnosis: Diagnosis | TwoRuns,
    comparison: Comparison,
    *,
    title: str = "",
    proof: Document | None = None,
) -> Material:
    """The material of a report on a comparison, of which the table `settings_compared` is filled."""
    a, b = comparison.a, comparison.b
    run = next(iter(session.rows("SELECT * FROM runs WHERE run = run_of(?)", [b])), {})
    shown, more = exchanges(session, comparison)
    return Material(
        title=title or f"{a} → {b}",
        diagnosis=diagnosis,
        comparison=comparison,
        heat=heat(session, a, b),
        steps=steps(session, b),
        points=tuple((str(r["point"]), whole(r["updates"])) for r in session.rows(_POINTS, [b, b])),
        validation=tuple(
            (whole(r["updates"]), float(str(r["loss"]))) for r in session.rows(_VALIDATION, [b, b])
        ),
        shares=shares(session, b),
        rows=training_rows(session, b),
        exchanges=shown,
        more_exchanges=more,
        declared=declared(session),
        environment=environment(session, b),
        proof=proof or {},
        run={k: v for k, v in run.items() if isinstance(v, (str, int, float, bool, type(None)))},
    )


_VALIDATION = """
    SELECT (detail->>'updates')::BIGINT AS updates, (detail->>'loss')::DOUBLE AS loss FROM events
    WHERE run = run_of(?) AND model = model_of(?) AND kind = 'evaluate'
        AND detail->>'updates' IS NOT NULL AND detail->>'loss' IS NOT NULL
    ORDER BY sequence
"""
_POINTS = """SELECT point, max(updates) AS updates FROM captures
WHERE run = run_of(?) AND model = model_of(?) AND updates IS NOT NULL
GROUP BY point ORDER BY min(sequence)"""
_ENVIRONMENT = """SELECT key, any_value(value) AS value FROM environment
WHERE capture IN (run_of(?), capture_of(?))
GROUP BY key ORDER BY min(rowid)"""


def environment(session: Sql, b: str) -> dict[str, str]:
    """Versions and device of b's run, by name."""
    return {str(r["key"]): str(r["value"]) for r in session.rows(_ENVIRONMENT, [b, b])}


_SHARES = ("pad", "prompt", "answer", "end")

# -- the run -------------------------------------------------------------------------------------------------


def steps(session: Sql, b: str) -> tuple[Step, ...]:
    """The steps of the model that `b` means; evenly thinned out beyond MAX_STEPS, first and last kept."""
    rows = session.rows(
        "SELECT * FROM steps WHERE run = run_of(?) AND model = model_of(?) ORDER BY process, step", [b, b]
    )
    if len(rows) > MAX_STEPS:
        rows = [rows[round(i * (len(rows) - 1) / (MAX_STEPS - 1))] for i in range(MAX_STEPS)]
    keys = ("loss", "learning_rate", "gradient_norm", "update_norm", *(f"weight_{role}" for role in _SHARES))
    return tuple(Step(whole(r["step"]), *(_float(r[k]) for k in keys)) for r in rows)


def shares(session: Sql, b: str) -> dict[str, float]:
    """Where the loss's weight went over all steps: role to its share of the absolute weight.

    Empty where it was not seen.
    """
    sums = ", ".join(f"sum(abs(weight_{role})) AS {role}" for role in ROLES)
    row = session.rows(f"SELECT {sums} FROM steps WHERE run = run_of(?) AND model = model_of(?)", [b, b])[0]
    total = sum(_float(row[role]) or 0.0 for role in ROLES)
    return {role: (_float(row[role]) or 0.0) / total for role in ROLES} if 0 < total < float("inf") else {}


def training_rows(session: Sql, b: str) -> tuple[TrainingRow, ...]:
    """The first rows that the loss saw: each token that it could teach, with its weight.

    Evidence of an older version has no text of tokens without weight: there it is read off the row's next
    input, where that id is known.
    """
    positions = session.rows(
        """WITH first AS (
            SELECT step, row, dense_rank() OVER (ORDER BY step, row) AS n FROM loss_tokens
            WHERE run = run_of(?) AND model = model_of(?) AND forward = 0 GROUP BY step, row QUALIFY n <= ?)
        SELECT t.step, t.row, coalesce(t.token, t.next_token) AS token, t.role, t.weight,
            lead(t.input_id) OVER (PARTITION BY t.step, t.row ORDER BY t.position) AS next_id
        FROM loss_tokens t JOIN first f ON f.step = t.step AND f.row = t.row
        WHERE t.run = run_of(?) AND t.model = model_of(?) AND t.forward = 0 AND t.role IS NOT NULL
        ORDER BY t.step, t.row, t.position""",
        [b, b, MAX_ROWS, b, b],
    )
    words = (
        _words(session, b) if any(r["token"] is None and r["next_id"] is not None for r in positions) else {}
    )
    rows: dict[tuple[int, int], list[Token]] = defaultdict(list)
    for r in positions:
        targets = (
            r["token"]
            if r["token"] is not None
            else words.get(whole(r["next_id"]))
            if r["next_id"] is not None
            else None
        )
        rows[whole(r["step"]), whole(r["row"])].append(
            Token(_text(targets), str(r["role"]), _float(r["weight"]))
        )
    return tuple(
        TrainingRow(s, n, tuple(t[:MAX_TOKENS]), max(0, len(t) - MAX_TOKENS)) for (s, n), t in rows.items()
    )


def _words(session: Sql, b: str) -> dict[int, str]:
    """Token ids to text, as far as the run's evidence tells."""
    rows = session.rows(
        """SELECT DISTINCT target_id AS id, token AS text FROM loss_tokens
        WHERE run = run_of(?) AND model = model_of(?) AND token IS NOT NULL
        UNION SELECT DISTINCT token_id, token FROM tokens t
        JOIN captures c USING (capture) WHERE c.run = run_of(?) AND token IS NOT NULL""",
        [b, b, b],
    )
    words = {whole(r["id"]): str(r["text"]) for r in rows}
    for r in session.rows(
        "SELECT key, value FROM configs WHERE kind = 'tokenizer' AND key LIKE 'names.%'"
        " AND capture = capture_of(?)",
        [b],
    ):
        name = str(r["key"]).rpartition(".")[2]
        if name.isdigit():
            words.setdefault(int(name), str(json.loads(str(r["value"]))))
    return words


# -- what it says --------------------------------------------------------------------------------------------


def exchanges(session: Sql, c: Comparison) -> tuple[tuple[Exchange, ...], int]:
    """Probes at both captures, then what the program generated, and how many were left out.

    Probes whose answers differ stand first.
    """
    probes: dict[tuple[str, str], dict[str, Mapping[str, object]]] = defaultdict(dict)
    own: dict[tuple[str, str], dict[str, Mapping[str, object]]] = defaultdict(dict)
    for ref in dict.fromkeys((c.a, c.b)):
        for r in session.rows(_PROBES, [ref]):
            probes[_order(r)][ref] = r
        for r in session.rows(_OBSERVED, [ref]):
            own[_order(r)][str(r["capture"])] = r
    telling = sorted(
        probes.items(), key=lambda item: len({str(r["output_digest"]) for r in item[1].values()}) < 2
    )
    shown = [*telling[:MAX_PROBES], *list(own.items())[:MAX_OBSERVED]]
    first_differences = {str(t["prompt_id"]): t["first_difference"] for t in c.transcripts}
    return tuple(_exchange(session, answers, first_differences) for _, answers in shown), len(probes) + len(
        own
    ) - len(shown)


def _order(r: Mapping[str, object]) -> tuple[str, str]:
    """Answers to one prompt stand side by side, of two runs as well."""
    return str(r["prompt_id"]), str(r["prompt"] if r["prompt"] is not None else r["prompt_digest"])


_PROBES = "SELECT * FROM transcripts WHERE capture = probes_at(?) AND source = 'probe' ORDER BY prompt_id"
_OBSERVED = """SELECT t.* FROM transcripts t JOIN captures c USING (capture)
WHERE c.run = run_of(?) AND t.source = 'observed' ORDER BY c.sequence, t.prompt_id"""


def _exchange(
    session: Sql, transcript: Mapping[str, Mapping[str, object]], first_differences: Mapping[str, Scalar]
) -> Exchange:
    answers = []
    for ref, r in transcript.items():
        rows = session.rows(
            "SELECT token, class, logprob FROM tokens WHERE capture = ? AND prompt_id = ?"
            " ORDER BY position LIMIT ?",
            [r["capture"], r["prompt_id"], MAX_ANSWER],
        )
        tokens = tuple(Token(_text(t["token"]), str(t["class"]), _float(t["logprob"])) for t in rows)
        more = max(0, whole(r["output_tokens"]) - len(tokens)) if tokens else 0
        answers.append(
            Answer(ref, str(r["finish_reason"]), _text(r["output"]), tokens, whole(r["output_tokens"]), more)
        )
    first = next(iter(transcript.values()))
    name, source = str(first["prompt_id"]), str(first["source"])
    same = len({str(r["output_digest"]) for r in transcript.values()}) == 1 if len(transcript) == 2 else None
    measured = first_differences.get(name) if source == "probe" and same is False else None
    differs = int(measured) if isinstance(measured, (int, float)) else _parting(answers)
    return Exchange(name, _text(first["prompt"]), source, tuple(answers), differs, same)


def _parting(answers: Sequence[Answer]) -> int | None:
    """The first position at which two answers part; None where they do not, or where that cannot be told."""
    if len(answers) != 2 or not all(a.tokens and None not in [t.text for t in a.tokens] for a in answers):
        return None
    x, y = ([(t.text, t.kind) for t in answer.tokens] for answer in answers)
    first = next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), min(len(x), len(y)))
    return None if first == len(x) == len(y) else first


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _text(value: object | Scalar) -> str | None:
    return None if value is None else str(value)
