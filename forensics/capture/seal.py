"""From what a watched run left in its spool to sealed captures and one run in the store.

Names first, then each capture's rows, then what two captures say together, then the run's own tables.
Captures are sealed one by one, the run last: an interruption leaves whole captures and a spool from which all
can be sealed again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from forensics.capture import answers as transcripts
from forensics.capture import checkpoints, counts, lines, ranks, retention, runtables, scores
from forensics.capture import reload as reloading
from forensics.capture.checkpoints import Disk
from forensics.capture.frames import Facts
from forensics.capture.fusepoints import Fused
from forensics.capture.loss import learned
from forensics.capture.observation import Observed, from_spool
from forensics.capture.pairs import Between
from forensics.capture.pointnames import Named, Point, main_model, name_points
from forensics.capture.rows import Record, Scene, record, run_head
from forensics.capture.sources import Sources, earlier
from forensics.capture.spool import Captured, Process, Spool, read_object
from forensics.records import Row
from forensics.store import answers
from forensics.store.capture import write
from forensics.store.keyed import Keyed
from forensics.store.store import Store, size_of


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run was asked for and how it ended.

    `status` is as subprocess has it, None where nobody saw it end.
    """

    command: tuple[str, ...]
    status: int | None
    seconds: float | None
    expect: str | None = None
    tensors: str = "all"
    scorers: tuple[str, ...] = ()
    reload: bool = True


@dataclass(frozen=True, slots=True)
class Summary:
    """What was sealed.

    The points of the run in order, the bytes that it takes in the store, and what is missing:
    {"what", "why"}.
    """

    run: str
    points: tuple[str, ...]
    complete: bool
    nbytes: int
    missing: tuple[Mapping[str, str], ...] = ()


UNUSED = {
    "what": "every capture",
    "why": "the command never used a model of mlx in a Python that could be watched",
    "kind": "all",
}
"""What is missing of a run where nothing else says why nothing was captured."""


@dataclass
class _Run:
    """A run under way: what is known of all of it, and its captures."""

    store: Store
    spool: Spool
    plan: Plan
    scene: Scene
    sources: Sources
    keyed: Keyed
    main: str
    facts: dict[str, Facts]
    disk: Disk = field(default_factory=Disk)
    records: list[Record] = field(default_factory=list)
    tables: dict[str, list[Row]] = field(default_factory=dict)
    missing: list[dict[str, str]] = field(default_factory=list)

    def ref(self, process: int, number: Any) -> str | None:
        return next((r.ref for r in self.records if r.named.key == (process, number)), None)


def seal(store: Store, spool: Spool, plan: Plan) -> Summary:
    """Seal what `spool` holds as one run, named as its options say.

    Raises:
        OSError: the disk is full; the spool is whole, and can be sealed again.
    """
    store.make()
    before = store.packs.nbytes()
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as executor:
        run = _begin(store, *_reloaded(spool, plan), plan, executor)
    _captures(run)
    _run_tables(run)
    fused = Fused(runtables.events(spool, 0.0, None), _directories(spool))
    Between(run.sources).fill(run.records, fused, run.main)
    if plan.tensors != "none":
        run.sources.refer()
    for each in run.records:
        write(store.captures, each.named.directory, "capture", each.head, each.tables)
    missing = [m for m in run.missing if not _foreign(m)]
    missing += [m for r in run.records for m in json.loads(str(r.head["missing"] or "[]"))]
    complete = not missing
    directory = _write_run(run, complete)
    _keep_answers(run)
    nbytes = (
        store.packs.nbytes()
        - before
        + sum(size_of(store.captures / r.named.directory) for r in run.records)
        + size_of(directory)
    )
    return Summary(
        spool.run, tuple(r.ref.partition("@")[2] for r in run.records), complete, nbytes, tuple(missing)
    )


def _foreign(missing: Mapping[str, str]) -> bool:
    """Is this gap a fact about the program, not about what was recorded?

    So is what the program saved and nobody could load.
    """
    return missing.get("kind") == "reloaded"


def _reloaded(spool: Spool, plan: Plan) -> tuple[Spool, str | None]:
    """The spool after a fresh process loaded what was saved, and why that failed, if it did."""
    wanted = reloading.items(spool) if plan.reload else []
    if not wanted:
        return spool, None
    why = reloading.reload(spool, wanted)
    return Spool(spool.path), why


def _begin(store: Store, spool: Spool, why: str | None, plan: Plan, executor: Executor) -> _Run:
    sources = Sources(
        store.packs, retention.wanted(spool.captures, plan.tensors), earlier(store.captures, store.brought)
    )
    for captured in spool.captures:
        sources.take(captured.tensors_file, executor)
        sources.take(captured.logits_file, executor)
    first = spool.processes[0] if spool.processes else None
    keyed = Keyed.of(store.root)
    scene = Scene(spool.run, first.facts.get("cwd") if first else None, keyed)
    run = _Run(store, spool, plan, scene, sources, keyed, _main(spool), tokenizers(spool.captures))
    if why is not None:
        run.missing.append({"what": "the reload of what was saved", "why": why, "kind": "reload"})
    return run


def _main(spool: Spool) -> str:
    """The model that RUN@POINT means; see `naming.main_model`."""
    events = [
        (float(_n(e.get("time"))), int(_n(e["process"])), str(e.get("model")), e.get("kind"))
        for e in spool.table("events")
    ]
    updates = [(t, p, m) for t, p, m, kind in events if kind in ("update", "write")]
    updates += [(c.time, c.process, c.model) for c in spool.captures if c.point == "end"]
    generations = [(t, p, m) for t, p, m, kind in events if kind == "generate" and m != "None"]
    return main_model(counts.models(spool), updates, generations)


def tokenizers(captures: Sequence[Captured]) -> dict[str, Facts]:
    """Each model's tokenizer, the last that was told; a model that has none takes the only one of its run."""
    facts = {c.model: Facts.read(c.head["tokenizer"]) for c in captures if c.head.get("tokenizer")}
    alone = next(iter(facts.values())) if facts and len(set(map(_identity, facts.values()))) == 1 else Facts()
    return {c.model: facts.get(c.model, alone) for c in captures}


def _identity(facts: Facts) -> object:
    return facts.head, facts.middle, facts.ends, facts.special


def _captures(run: _Run) -> None:
    """The live captures, then those of saved files, then what was loaded from these.

    Files are read as they lie after the run.
    """
    rows = run.spool.table("saved_tensors")
    ran, loaded = (_split(run.spool.captures, again) for again in (False, True))
    parameters = {
        c.model: {str(p["name"]) for p in c.rows("placements") if p.get("role") != "optimizer"}
        for c in _last(ran)
    }
    files = checkpoints.artifacts(rows, parameters, {c.model: c.time for c in reversed(ran)})
    points = [Point(c.key, c.point, c.model, c.process, c.time) for c in ran]
    points += [Point(a.path, "saved", a.model, a.process, a.time) for a in files]
    points += [Point(c.key, c.point, c.model, c.process, c.time) for c in loaded]
    named = {n.key: n for n in name_points(run.spool.run, points, run.main)}
    last: dict[str, Observed] = {}
    for captured in ran:
        last[captured.model] = _live(run, captured, named)
    for artifact in files:
        keep = run.plan.tensors == "all"
        observed = checkpoints.observed(run.sources, artifact, last.get(artifact.model), run.disk, keep)
        facts = run.facts.get(artifact.model)
        run.records.append(record(observed, run.scene, named[artifact.path], facts))
    for captured in loaded:
        _live(run, captured, named)
    canonical = {t.name: t.at.canonical for observed in last.values() for t in observed.tensors}
    rows, gaps = checkpoints.whole(rows, run.spool.table("events"), run.disk)
    run.missing += gaps
    run.tables["saved_tensors"] = list(checkpoints.saved_tensors(rows, run.disk, canonical, run.scene.cwd))


def _split(captures: Sequence[Captured], again: bool) -> list[Captured]:
    return [c for c in captures if (c.point == "reloaded") == again]


def _live(run: _Run, captured: Captured, named: Mapping[Any, Named]) -> Observed:
    """One capture of a live model, put among the records of its run."""
    probes = captured.head.get("probes_of")
    of = named.get((captured.process, probes)) if probes is not None else None
    observed = from_spool(captured, run.sources)
    facts = run.facts[captured.model]
    run.records.append(record(observed, run.scene, named[captured.key], facts, of.ref if of else None))
    return observed


def _last(captures: Sequence[Captured]) -> Iterable[Captured]:
    return {c.model: c for c in captures}.values()


def _run_tables(run: _Run) -> None:
    spool, cwd = run.spool, run.scene.cwd
    started = float(_n(spool.options.get("started")))
    run.tables["events"] = runtables.events(spool, started, cwd)
    run.tables.update(runtables.plain(spool, cwd))
    run.tables["adapters"] = list(runtables.declared(spool, run.plan.expect, cwd))
    run.tables["configs"] = [*runtables.configs(spool), *runtables.settings(spool)]
    run.tables["environment"] = list(runtables.environment(spool, _program_of(run)))
    tables, rows = learned(spool, run.facts, run.keyed)
    run.tables.update(
        {table: [runtables.placed(row, cwd) for row in rows_] for table, rows_ in tables.items()}
    )
    generations = list(runtables.generations(spool, run.ref, cwd))
    run.tables["generations"] = [
        rows.generation(row, run.facts.get(str(row.get("model")), Facts())) for row in generations
    ]
    _observed(run, generations)
    _scores(run)
    run.missing += _orphaned(run)
    run.missing += [
        *runtables.missing(spool, run.plan.status, run.sources),
        *ranks.Ranks(spool.latest("models", "model")).missing(),
    ]
    if not run.records and not run.missing:
        run.missing.append(UNUSED)


def _orphaned(run: _Run) -> list[dict[str, str]]:
    """What nobody could record because the capture around the command was killed.

    --no-reload and no --scorer ask for less.
    """
    if run.plan.status is not None:
        return []
    why = "the capture that watched the command was killed"
    gaps = [{"what": "the exit status of the command", "why": why, "kind": "exit"}]
    if run.spool.options.get("reload", True) and not run.plan.reload and reloading.items(run.spool):
        gaps.append({"what": "the reload of what was saved", "why": why, "kind": "reload"})
    return gaps + [
        {**gap, "kind": "scores"} for gap in scores.missing(run.spool.options.get("scorers") or (), why)
    ]


def _observed(run: _Run, generations: Sequence[Mapping[str, Any]]) -> None:
    """The program's own generations, as transcripts of the capture of the model that gave them."""
    by_ref = {each.ref: each for each in run.records}
    for row in generations:
        of = by_ref.get(str(row.get("capture")))
        if of is None:
            continue
        transcript = {**row, "prompt_id": f"g{row.get('generation')}", "source": "observed"}
        of.rows("transcripts").append(transcripts.transcript(transcript, of.ref, of.facts, run.keyed))
        of.rows("tokens").extend(transcripts.observed_tokens(transcript, of.ref, of.facts))


def _scores(run: _Run) -> None:
    """The built-in scores of every answer, and the user's own."""
    references = {
        str(p.get("id")): str(p["reference"])
        for p in run.spool.options.get("prompts") or ()
        if p.get("reference")
    }
    run.missing += scores.fill(run.spool, run.records, run.plan.scorers, references)


def _directories(spool: Spool) -> dict[int, str]:
    """Where each process was started: what its relative paths stand for."""
    return {p.number: str(p.facts.get("cwd") or "") for p in spool.processes}


def _keep_answers(run: _Run) -> None:
    """What this run's models said is not asked again by a later run of the same store."""
    for captured in run.spool.captures:
        probes, ref = captured.head.get("probes"), run.ref(captured.process, captured.number)
        if isinstance(probes, Mapping) and ref is not None and not probes.get("remembered"):
            with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
                answers.keep(
                    run.store.root,
                    probes.get("key"),
                    ref,
                    captured.rows("transcripts"),
                    captured.rows("tokens"),
                )


def _program_of(run: _Run) -> int:
    """The process of the program that had the main model last; what loads saved files afterwards is ours."""
    of_program = (
        r for r in reversed(run.records) if r.named.model == run.main and r.head.get("source") == "live"
    )
    return next((r.named.process for r in of_program), 0)


def _write_run(run: _Run, complete: bool) -> Any:
    spool, plan = run.spool, run.plan
    started = float(_n(spool.options.get("started")))
    head = run_head(
        spool.run,
        "watched",
        started,
        main_model=run.main if run.records else None,
        tensors=_final_setting(spool.processes, plan.tensors),
        captures=[r.named.directory.partition("@")[2] for r in run.records],
        missing=run.missing,
        complete=complete,
    )
    launch = runtables.launch(spool, _program_of(run))
    head |= {
        "command": list(plan.command),
        "exit_status": plan.status,
        "seconds": plan.seconds,
        "expect": plan.expect,
        "launch": launch,
        **_trained(run),
        "lines": lines.texts(
            run.tables.values(),
            run.scene.cwd,
            started,
            {str(row.get("cell")): str(row.get("text")) for row in spool.rows("cells")},
            lines.of_settings(
                [str(word) for word in (launch or {}).get("argv") or plan.command], run.scene.cwd, started
            ),
        ),
    }
    return write(run.store.runs, spool.run, "run", head, run.tables)


def _trained(run: _Run) -> dict[str, Any]:
    """Steps and last loss of the main model, which `list` shows."""
    rows = [row for row in run.tables.get("steps", ()) if row.get("model") == run.main]
    losses = [row["loss"] for row in rows if row.get("loss") is not None]
    return {"steps": len(rows), "last_loss": losses[-1] if losses else None}


def _final_setting(processes: Sequence[Process], wanted: str) -> str:
    """What was kept in the end: the watcher may have gone on with less where the disk was too full."""
    order = ("all", "new", "trainable", "none")
    settings = [str(read_object(p.directory / "plan.json").get("tensors") or wanted) for p in processes]
    return max([wanted, *(t for t in settings if t in order)], key=order.index)


def _n(value: Any) -> float:
    return value if isinstance(value, (int, float)) else 0
