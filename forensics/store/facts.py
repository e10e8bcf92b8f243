"""What one capture or run holds, in short: what `show` says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from forensics.store import proofs, unsealed
from forensics.store.loader import lost_capture, open_session
from forensics.store.session import Session
from forensics.store.store import Capture, Run
from forensics.watch.protocol import RESIDUAL_MOST

Facts = dict[str, Any]

_MODELS = """
SELECT m.model, m.class, m.updates, m.gradients, m.generations, m.saves, m.parameters,
    m.copied_from, m.rank, m.ranks, m.model = r.main_model AS main
FROM models m LEFT JOIN runs r USING (run) WHERE m.run = $1 ORDER BY length(m.model), m.model
"""
# A packed weight has as many parameters as codes, and what scales them is none, as mlx-lm counts.
_COUNTED = """
SELECT p.capture, p.role, p.trainable, p.error, t.*,
    CASE WHEN m.bits > 0 AND t.dtype = 'U32' THEN t.size * 32 // m.bits ELSE t.size END AS many,
    m.bits > 0 AND p.role IN ('scales', 'biases') AS packing
FROM placements p LEFT JOIN tensors t USING (digest)
LEFT JOIN (
    SELECT capture, module, TRY_CAST(TRY(attributes->>'bits') AS INTEGER) AS bits FROM modules
) m USING (capture, module)
WHERE p.shared_with IS NULL
"""
_CAPTURES = f"""
WITH held AS (
    SELECT capture, count(*) AS tensors,
        sum(many) FILTER (WHERE NOT coalesce(packing, false))::BIGINT AS parameters,
        coalesce(sum(many) FILTER (WHERE trainable), 0)::BIGINT AS trainable, sum(nbytes)::BIGINT AS nbytes
    FROM ({_COUNTED}) WHERE role IS DISTINCT FROM 'optimizer' GROUP BY capture
)
SELECT c.capture, c.point, c.model, c.source, c.updates, c.whole, c.complete, c.probes_of, c.place,
    coalesce(held.tensors, 0) AS tensors, held.parameters, held.trainable, held.nbytes
FROM captures c LEFT JOIN held USING (capture)
WHERE c.run = $1 AND ($2 IS NULL OR c.capture = $2) ORDER BY c.sequence
"""
_ADAPTER = """
SELECT origin, via, kind, rank, scale, alpha, dropout, num_layers, keys, modules, capture, place FROM adapters
WHERE run = $1 AND ($2 IS NULL OR capture IS NULL OR capture = $2)
ORDER BY origin, capture IS NULL DESC, rowid
"""
_OPTIMIZERS = """
SELECT o.capture, o.class, o.step, o.learning_rate, o.scheduled, o.settings,
    o.state_tensors, o.state_l2, o.state_evaluated
FROM optimizers o JOIN captures c USING (capture)
WHERE c.run = $1 AND ($2 IS NULL OR capture = $2) ORDER BY c.sequence, o.optimizer
"""
_STEPS = """
SELECT model, count(*) AS steps, arg_min(loss, step) FILTER (WHERE loss IS NOT NULL) AS loss_first,
    arg_max(loss, step) FILTER (WHERE loss IS NOT NULL) AS loss_last,
    list(loss ORDER BY process, step) AS loss,
    arg_max(learning_rate, step) AS learning_rate, sum(seconds) AS seconds
FROM steps WHERE run = $1 GROUP BY model ORDER BY model
"""
_ROLES = f"""
SELECT model, role, sum(abs(weight)) AS weight FROM loss_tokens
WHERE run = $1 AND weight <> 0 AND residual <= {RESIDUAL_MOST}
GROUP BY model, role ORDER BY model, weight DESC
"""
_ANSWERS = """
SELECT t.capture, t.prompt_id, t.source, t.prompt, t.output, t.finish_reason,
    t.output_tokens, t.special_tokens, t.loop_share
FROM transcripts t JOIN captures c USING (capture) WHERE c.run = $1 AND ($2 IS NULL OR t.capture = $2)
ORDER BY c.sequence, t.source DESC, t.prompt_id
"""
_SCORES = """
SELECT s.scorer, s.key, s.capture, t.source, avg(s.value) AS mean, count(s.value) AS scored,
    count(s.error) AS failed, any_value(s.error) AS error
FROM scores s JOIN captures c USING (capture) JOIN transcripts t USING (capture, prompt_id)
WHERE c.run = $1 AND ($2 IS NULL OR s.capture = $2) GROUP BY s.scorer, s.key, s.capture, t.source, c.sequence
ORDER BY contains(s.scorer, ':'), s.scorer, s.key, c.sequence, t.source
"""
_ROLES_OF = f"""
SELECT role, count(*) AS tensors, sum(many)::BIGINT AS parameters,
    string_agg(DISTINCT dtype, ', ' ORDER BY dtype) AS dtypes, sum(nans)::BIGINT AS nans,
    sum(infs)::BIGINT AS infs, count(*) FILTER (WHERE error IS NOT NULL) AS unreadable
FROM ({_COUNTED}) WHERE capture = $1 GROUP BY role ORDER BY role = 'optimizer', parameters DESC NULLS LAST
"""
_CONFIGS = "SELECT kind, key, value FROM configs WHERE capture = $1 ORDER BY kind, key"
_SAVES = """
SELECT file, count(name) AS tensors, any_value(model) AS model, any_value(updates) AS updates,
    any_value(place) AS place, bool_or(digest_on_disk IS NULL) AS gone
FROM saved_tensors WHERE run = $1 GROUP BY save, file ORDER BY save
"""


def of_run(run: Run) -> Facts:
    """Facts of a run: its models, captures, adapter, optimizer, loss, answers, files."""
    with open_session(run.captures, [run]) as session:
        name, last = run.name, run.last().ref if run.captures else None
        return {
            "schema": 1,
            "kind": "run",
            "ref": run.name,
            **_head(
                run.head,
                (
                    "created_at",
                    "command",
                    "exit_status",
                    "seconds",
                    "complete",
                    "expect",
                    "tensors",
                    "main_model",
                ),
            ),
            "source": run.head.get("kind"),
            "missing": _missing(run.head, run.captures, _gaps(run)),
            "models": session.rows(_MODELS, [name]),
            "captures": session.rows(_CAPTURES, [name, None]),
            **_common(session, name, None),
            "training": _training(session, name),
            "answers": _answers(session, name, last),
            "scores": session.rows(_SCORES, [name, None]),
            "saves": session.rows(_SAVES, [name]),
            "environment": _environment(session, name, last),
            "proof": proofs.recall(run.store, name.removeprefix(run.prefix)) if run.store else None,
        }


def of_capture(capture: Capture, run: Run | None) -> Facts:
    """Facts of a capture: its parameters by role, modules, adapter, optimizer, settings, answers."""
    wanted = {
        c.ref: c
        for c in [capture, *(run.captures if run else [])]
        if c.ref in (capture.ref, capture.head.get("probes_of"))
    }
    with open_session(wanted.values(), [run] if run else []) as session:
        ref = capture.ref
        probes = session.rows(
            "SELECT coalesce(probes_of, capture) AS ref FROM captures WHERE capture = $1", [ref]
        )[0]["ref"]
        return {
            "schema": 1,
            "kind": "capture",
            **session.rows(_CAPTURES, [capture.run, ref])[0],
            **_head(capture.head, ("created_at", "format", "path")),
            "ref": ref,
            "missing": _missing(capture.head, [], []),
            "roles": session.rows(_ROLES_OF, [ref]),
            "modules": session.rows(
                "SELECT coalesce(class, kind) AS class, count(*) AS n FROM modules WHERE capture = $1 GROUP"
                " BY ALL ORDER BY n DESC, class",
                [ref],
            ),
            **_common(session, capture.run, ref),
            "configs": session.rows(_CONFIGS, [ref]),
            "answers": session.rows(_ANSWERS, [capture.run, probes]),
            "scores": session.rows(_SCORES, [capture.run, probes]),
            "environment": _environment(session, capture.run, ref),
        }


def _common(session: Session, run: str, capture: str | None) -> Facts:
    return {
        "adapters": [_parsed(row, "keys") for row in session.rows(_ADAPTER, [run, capture])],
        "optimizers": [_parsed(row, "settings") for row in session.rows(_OPTIMIZERS, [run, capture])],
    }


def _training(session: Session, run: str) -> list[Facts]:
    roles: dict[str, dict[str, float]] = {}
    for row in session.rows(_ROLES, [run]):
        roles.setdefault(str(row["model"]), {})[str(row["role"])] = row["weight"]
    lines = []
    for row in session.rows(_STEPS, [run]):
        weights = roles.get(str(row["model"]), {})
        whole = sum(weights.values())
        lines.append(
            {**row, "trains_on": {role: w / whole for role, w in weights.items()} if whole else None}
        )
    return lines


def _answers(session: Session, run: str, last: str | None) -> list[Facts]:
    """The probes of the first capture and of the last, and what the program itself generated."""
    rows = session.rows(_ANSWERS, [run, None])
    answered = list(dict.fromkeys(r["capture"] for r in rows if r["source"] == "probe"))
    at = (
        session.rows("SELECT coalesce(probes_of, capture) AS ref FROM captures WHERE capture = $1", [last])
        if last
        else []
    )
    wanted = {*answered[:1], *(r["ref"] for r in at)}
    return [r for r in rows if r["source"] != "probe" or r["capture"] in wanted]


def _environment(session: Session, run: str, capture: str | None) -> dict[str, Any]:
    rows = session.rows(
        "SELECT key, value FROM environment WHERE capture = $1 OR capture = $2 ORDER BY key", [run, capture]
    )
    return {row["key"]: row["value"] for row in rows}


def _head(head: Mapping[str, Any], keys: tuple[str, ...]) -> Facts:
    return {key: _json(head.get(key)) if key == "command" else head.get(key) for key in keys}


def _gaps(run: Run) -> list[Facts]:
    """What is missing because directories of the run are not there."""
    if run.path is None:
        return [dict(unsealed.gap(run.store.root if run.store else None, run.name.removeprefix(run.prefix)))]
    return [lost_capture(ref) for ref in run.lost()]


def _missing(head: Mapping[str, Any], captures: list[Capture], gaps: list[Facts]) -> list[Facts]:
    rows = list(gaps)
    for item in (head, *(c.head for c in captures)):
        missing = _json(item.get("missing"))
        rows += [m for m in missing if isinstance(m, dict)] if isinstance(missing, list) else []
    return [
        dict(pair)
        for pair in dict.fromkeys(tuple(sorted((str(k), str(v)) for k, v in m.items())) for m in rows)
    ]


def _parsed(row: Facts, key: str) -> Facts:
    return {**row, key: _json(row[key])}


def _json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
