"""One repeat of a recorded run.

It is laid out in a folder of its own, started guarded, sealed aside, and its harm counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from forensics.capture import seal
from forensics.capture.command import environment, write_options
from forensics.capture.frames import Facts
from forensics.capture.spool import Spool, read_lines
from forensics.environment import inherited
from forensics.files import temporary
from forensics.judge.resolver import Opened, opened
from forensics.prove import kernels, process, scratch
from forensics.prove.launch import Launch, NotRepeatable, moved
from forensics.store import answers as remembered
from forensics.store.store import Store
from forensics.watch import protocol

NAME = "repeat"
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
_measuring = threading.Lock()
_LINES = 5  # last lines of what the program said that are kept


@dataclass(frozen=True, slots=True)
class Request:
    """What is run again and how.

    Args:
        options: of the recorded capture, as options.json has them: prompts, max_tokens, expect.
        written: files that the recorded run wrote.
        store: where the recorded run lies, which no repeat sees.
        patience: seconds after which a repeat is ended.
        steps: updates after which its training ends; None where the program says.
        at: updates after which it is captured.
        steady: the recorded model answered alike whenever it was asked again, so that one look tells.
    """

    launch: Launch
    options: protocol.Options
    written: tuple[Path, ...]
    store: Path
    patience: float
    steps: int | None = None
    at: tuple[int, ...] = ()
    steady: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """What came of one repeat.

    `harm` is amount by what is harmed; `acted` what each cure says that it did; `facts` what cures of later
    repeats are told; `settings` what `run-differences` compares, as (subject, value). `refused` are lines
    {"kind", "what"} of the guard; `decisions` are those of `protocol.Decision`.
    """

    status: int
    seconds: float
    harm: Mapping[str, int] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    losses: Sequence[float] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    acted: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    refused: Sequence[Mapping[str, str]] = ()
    decisions: Sequence[Mapping[str, Any]] = ()
    output: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def run(asked: Request, cures: Sequence[str], shift: int, facts: Mapping[str, Any]) -> Repeat:
    """Run it once: with these cures put in, every seed shifted by `shift`, and these facts told to the cures.

    Raises:
        NotRepeatable: it cannot be laid out.
        KeyboardInterrupt: the program is ended and the folder removed.
    """
    with _ended(asked, cures, shift, facts) as ended:
        with _measuring:  # programs run side by side; what they left is read one after the other
            measured = _measured(ended)
        return Repeat(ended.status, ended.seconds, refused=ended.refused, output=ended.output, **measured)


@contextlib.contextmanager
def captured(asked: Request, why: Callable[[Repeat], str]) -> Iterator[Store]:
    """A store that holds the run again as it was, captured where `asked.at` says, while the block lasts.

    Args:
        why: says of a repeat why it failed.

    Raises:
        NotRepeatable: it did not come to its end.
    """
    with _ended(asked, (), 0, {}) as ended:
        store, _ = _sealed(ended)
        failed = Repeat(ended.status, ended.seconds, refused=ended.refused, output=ended.output)
        if ended.status or not store.holds(NAME):
            raise NotRepeatable(
                f"It cannot be repeated: {why(failed)}.",
                where=str(asked.launch.cwd),
                hint="Run the command by hand in a copy of its folder, and see what it lacks.",
            )
        yield store


@dataclass(frozen=True, slots=True)
class _Ended:
    """A program that ended, and its folder."""

    folder: Path
    work: Path
    words: Sequence[str]
    status: int
    seconds: float
    refused: Sequence[Mapping[str, str]]
    output: Sequence[str]


@contextlib.contextmanager
def _ended(asked: Request, cures: Sequence[str], shift: int, facts: Mapping[str, Any]) -> Iterator[_Ended]:
    with temporary("prove") as folder:
        outputs, inside = folder / "outputs", folder / "temporary"
        work = _laid_out(asked, folder)
        outputs.mkdir()
        inside.mkdir()
        kernels.lend(inside)
        spool = folder / "spool" / NAME
        options: protocol.Options = {
            **asked.options,
            "version": protocol.VERSION,
            "run": NAME,
            "tensors": "none" if asked.at else "nothing",
            "selftest": "off",
            "known": None,
            "answers": str(remembered.directory(asked.store)),
            "moments": bool(asked.at),
            **({"looks": 1} if asked.steady else {}),
            "started": time.time(),
            "at": asked.at,
            "repeat": {"cures": list(cures), "facts": dict(facts), "steps": asked.steps},
        }
        write_options(spool, options)
        homes = _homes(asked, work, outputs)
        words = [asked.launch.executable, *moved(asked.launch.argv[1:], homes)]
        began = time.monotonic()
        status = process.ran(words, work, _variables(folder, spool, shift), folder / "said", asked.patience)
        seconds = time.monotonic() - began
        if status >= 0:  # not ended by a signal, while a compiler was writing
            kernels.give_back(inside)
        home = f"{work.relative_to(folder / 'work')}{os.sep}"
        refused = [
            {**row, "what": str(row["what"]).removeprefix(home)} if row.get("kind") == "changes" else row
            for row in read_lines(folder / "refused.jsonl")
        ]
        said = (folder / "said").read_text("utf-8", "replace").splitlines()[-_LINES:]
        yield _Ended(folder, work, words, status, seconds, refused, said)


def _laid_out(asked: Request, folder: Path) -> Path:
    """The copy of the folder in which it ran; the guard is told which of its folders are missing there."""
    launch = asked.launch
    work = scratch.surround(folder / "work", launch.cwd, asked.written)
    missing = scratch.lay_out(launch.cwd, work, asked.written, launch.began, asked.store)
    (folder / "missing.json").write_text(json.dumps(missing))
    return work


def _homes(asked: Request, work: Path, outputs: Path) -> dict[str, str]:
    """Where paths of the command lie now.

    Below the folder's copy, or, where the recorded run wrote there, among the outputs.
    """
    launch = asked.launch
    homes = {str(launch.cwd): str(work)}
    for number, word in enumerate(launch.argv[1:]):
        value = word.partition("=")[2] if word.startswith("-") else word
        if not Path(value).is_absolute() or Path(value).is_relative_to(launch.cwd):
            continue
        if any(path.is_relative_to(value) for path in asked.written):
            homes[value] = str(outputs / str(number))
    return homes


def _variables(folder: Path, spool: Path, shift: int) -> dict[str, str]:
    held = {name: value for name, value in inherited().items() if not name.startswith("FORENSICS_")}
    return environment(spool, held) | dict.fromkeys(_OFFLINE, "1") | {
        "FORENSICS_SCRATCH": str(folder), "FORENSICS_SHIFT": str(shift), "PYTHONHASHSEED": str(shift),
        "PYTHONDONTWRITEBYTECODE": "1", "TOKENIZERS_PARALLELISM": "false",
        "TMPDIR": str(folder / "temporary"), "MPLCONFIGDIR": str(folder / "temporary"),
    }  # fmt: skip


def _sealed(ended: _Ended) -> tuple[Store, Mapping[str, Facts]]:
    """Its store, and the facts of each model's tokenizer."""
    store, spool = Store(ended.folder / "store"), Spool(ended.folder / "spool" / NAME)
    facts = seal.tokenizers(spool.captures)
    plan = seal.Plan(command=tuple(ended.words), status=ended.status, seconds=ended.seconds, tensors="none")
    seal.seal(store, spool, plan)
    return store, facts


def _measured(ended: _Ended) -> dict[str, Any]:
    spool = Spool(ended.folder / "spool" / NAME)
    acted = {str(row["id"]): str(row["what"]) for row in spool.table("cures")}
    home = str(ended.work.resolve()) + os.sep
    decisions = [
        {**row, "place": str(row["place"] or "").removeprefix(home)} for row in spool.table("decisions")
    ]
    store, facts = _sealed(ended)
    evidence = opened(store, (NAME,))
    if evidence.empty is not None:
        return {}
    main = evidence.session.rows("SELECT model_of(?) AS model", [evidence.b])[0]["model"]
    found = {**measure(evidence), "acted": acted, "decisions": decisions}
    return {**found, "facts": cure_facts(evidence, facts.get(str(main), Facts()))}


def measure(evidence: Opened) -> dict[str, Any]:
    """The harm of one run, and what tells whether two runs are alike."""
    session, a, b = evidence.session, evidence.a, evidence.b
    evidence.library.install_queries(session, [evidence.library.get("harm")])
    rows = session.rows("SELECT * FROM harm(?, ?)", [a, b])
    steps = session.rows(_LOSSES, [b, b])
    return {
        "harm": {str(row["what"]): int(row["amount"]) for row in rows},
        "units": {str(row["what"]): str(row["unit"]) for row in rows},
        "losses": [float(row["loss"]) for row in steps],
        "answers": dict(_answers(evidence)),
        "settings": dict(_settings(evidence)),
    }


_LOSSES = """
SELECT loss FROM steps WHERE run = run_of(?) AND model = model_of(?) AND loss IS NOT NULL
ORDER BY process, step
"""


def _answers(evidence: Opened) -> Iterator[tuple[str, str]]:
    select = """
        SELECT t.source || ' ' || t.prompt_id AS name, coalesce(t.output_ids, t.output_digest) AS said
        FROM transcripts t JOIN captures c USING (capture)
        WHERE c.run = run_of($1) AND (t.source = 'observed' OR t.capture = probes_at($1)) ORDER BY name"""
    for row in evidence.session.rows(select, [evidence.b]):
        yield str(row["name"]), str(row["said"])


_SETTINGS = """
SELECT 'rows of the first step' AS subject,
    md5(string_agg(CAST(input_id AS VARCHAR), ' ' ORDER BY forward, row, position)) AS value
FROM loss_tokens WHERE run = run_of($1) AND model = model_of($1) AND step = 1
UNION ALL
SELECT 'trainable tensors',
    count(*) || ' (' || coalesce(string_agg(DISTINCT role, ', ' ORDER BY role), 'none') || ')' FROM placements
WHERE capture = at_point($1, 'start') AND trainable AND shared_with IS NULL
UNION ALL
SELECT 'tensors before training', md5(string_agg(canonical || digest, ' ' ORDER BY canonical)) FROM placements
WHERE capture = at_point($1, 'start') AND NOT adapter_role(role) AND role <> 'optimizer'
UNION ALL
SELECT 'optimizer', string_agg(DISTINCT class || ' ' || coalesce(settings, ''), '; ') FROM optimizers
WHERE capture = capture_of($1)
UNION ALL
SELECT 'learning rate of the first step', CAST(min_by(learning_rate, step)::FLOAT AS VARCHAR) FROM steps
WHERE run = run_of($1) AND model = model_of($1)
UNION ALL
SELECT 'updates', CAST(max(updates) AS VARCHAR) FROM models WHERE run = run_of($1) AND model = model_of($1)
"""


def _settings(evidence: Opened) -> Iterator[tuple[str, str]]:
    for row in evidence.session.rows(_SETTINGS, [evidence.b]):
        if row["value"] is not None:
            yield str(row["subject"]), str(row["value"])


# -- what cures are told -------------------------------------------------------------------------------------


_PADS = """
SELECT DISTINCT target_id AS id FROM loss_tokens
WHERE run = run_of($1) AND role = 'pad' AND target_id IS NOT NULL AND relation = 'next'
UNION
SELECT DISTINCT id FROM (
    SELECT lead(input_id) OVER (PARTITION BY process, model, step, forward, row ORDER BY position) AS id, role
    FROM loss_tokens WHERE run = run_of($1))
WHERE role = 'pad' AND id IS NOT NULL ORDER BY id
"""
_DECLARED = """
SELECT kind, rank, coalesce(scale, alpha / nullif(rank, 0)) AS scale, dropout, num_layers, keys, layers
FROM adapters
WHERE run = run_of($1) AND origin = 'declared' AND kind IN ('lora', 'dora')
ORDER BY strength = 'strong' DESC, rank IS NULL, via = 'call' DESC LIMIT 1
"""


_FRAMED = """
SELECT count(*) FILTER (frame = 'template') * 2 > count(*) AS value FROM batch_rows
WHERE run = run_of($1) AND frame IS NOT NULL
"""
_RATE = """
WITH said AS (
    SELECT TRY_CAST(e.detail->>'$.declared.learning_rate' AS DOUBLE) AS rate FROM events e
    WHERE run = run_of($1) AND kind = 'train'
    UNION ALL
    SELECT TRY_CAST(value AS DOUBLE) FROM configs
    WHERE capture = run_of($1) AND regexp_matches(key, '(^|[._])(learning_rate|lr)$')
    UNION ALL
    SELECT TRY_CAST(j.value AS DOUBLE) FROM schedules s, json_each(s.arguments) j
    WHERE s.run = run_of($1) AND j.key IN ('init', 'end')
)
SELECT max(rate) FILTER (rate > 0 AND rate < 1) AS value FROM said
HAVING (SELECT count(*) > 0 AND max(learning_rate) = 0 FROM steps WHERE run = run_of($1))
"""
_STILL = """
SELECT count(*) > 0 AND max(learning_rate) = 0 AS value FROM steps WHERE run = run_of($1)
"""
_SUMMED = """
SELECT median(gradients)::INTEGER AS value FROM steps WHERE run = run_of($1) AND gradients > 1
HAVING median(accumulation) > 0.9
"""


_BASE = """
SELECT p.name FROM placements p
WHERE p.capture = at_point($1, 'start') AND p.trainable AND NOT adapter_role(p.role) AND p.role <> 'optimizer'
    AND has_adapter($1)
ORDER BY p.name
"""


_FROZEN_WRITTEN = """
SELECT count(*) > 0 AS value FROM events
WHERE run = run_of($1) AND model = model_of($1) AND kind = 'write'
    AND (detail->>'frozen_leaves')::INTEGER > 0 AND (detail->>'after_gradient')::BOOLEAN
    AND (detail->>'cast')::BOOLEAN IS NOT true
"""


def _value(evidence: Opened, select: str) -> Any:
    return next((row["value"] for row in evidence.session.rows(select, [evidence.b])), None)


def cure_facts(evidence: Opened, tokenizer: Facts) -> dict[str, Any]:
    """What the cures of this run may need: of its rows, its tokenizer and what it declared."""
    session, b = evidence.session, evidence.b
    marks = tokenizer.markers
    declared: dict[str, Any] = dict(next(iter(session.rows(_DECLARED, [b])), {}))
    for name in ("keys", "layers"):
        if declared.get(name):
            declared[name] = json.loads(str(declared[name]))
    opener = marks[0][0] if marks and marks[0] and marks[0][0] in tokenizer.special else None
    return {
        "pads": [row["id"] for row in session.rows(_PADS, [b])],
        "pad": tokenizer.pad,
        "ends": sorted(tokenizer.ends),
        "markers": [[opener, list(marks[0])], list(marks[1])] if marks else None,
        "adapter": declared or None,
        "base": [row["name"] for row in session.rows(_BASE, [b])],
        "bos": tokenizer.bos,
        "frozen_written": _value(evidence, _FROZEN_WRITTEN),
        "framed": _value(evidence, _FRAMED),
        "rate": _value(evidence, _RATE),
        "still": _value(evidence, _STILL),
        "summed": _value(evidence, _SUMMED),
        "updates": _value(evidence, "SELECT max(updates) AS value FROM models WHERE run = run_of($1)"),
    }
