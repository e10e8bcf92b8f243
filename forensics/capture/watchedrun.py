"""Around a run: name it, start it watched, seal what it left, and say in one line what there is."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics import files
from forensics.capture import command as runs
from forensics.capture import scores, seal
from forensics.capture.beside import STEPS, Beside
from forensics.capture.prompts import Prompt
from forensics.capture.spool import Spool
from forensics.errors import ForensicsError, UsageError
from forensics.records import Scalar
from forensics.store import answers, unsealed
from forensics.store.store import Store
from forensics.units import size
from forensics.watch import protocol

Say = Callable[[str], None]
_ROOM = 2 << 20  # bytes at most of the file that is given up when the run is sealed
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of `forensics capture -- COMMAND`, as its `--help` explains them."""

    name: str | None = None
    every: int | None = None
    max_tokens: int = 48
    tensors: str = "all"
    prompts: Sequence[Prompt] | None = None
    scorers: Sequence[str] = ()
    expect: str | None = None
    reload: bool = True
    selftest: str = "quick"
    stop_on: str | None = None
    tell: str | None = None

    @property
    def beside(self) -> bool:
        """Is the run judged while it goes on?"""
        return bool(self.stop_on or self.tell)


@dataclass(frozen=True, slots=True)
class Watched:
    """A command that was run.

    `run` is None where nothing was recorded of it, or where sealing is left to the next command.

    `exit_code` is the command's own, and 1 where it was stopped for a finding.
    """

    exit_code: int
    run: str | None


def watch_run(
    store: Store, words: Sequence[str], settings: Settings, say: Say, warn: Say, pass_by: Say = lambda _: None
) -> Watched:
    """Run `words` watched and seal the run.

    `say` gets the plan and the summary, `warn` what went wrong, `pass_by` what is shown only while it lasts.

    A failure of ours after the command started is one warning line and leaves the spool for a later
    `forensics` to seal.

    Raises:
        ForensicsError: before the command starts (no such command, a name that is none).
    """
    spool = make_spool(store, words, settings, warn)
    if spool is None:
        return Watched(runs.watched(words, None).exit_code, None)
    aside = _beside(spool, settings, warn)
    try:
        tick = aside.tick if aside else None
        ended = runs.watched(words, spool, lambda plan: say(plan_line(plan, settings.reload)), tick)
    except ForensicsError:
        shutil.rmtree(spool, ignore_errors=True)
        raise
    if aside:
        aside.end()
        if line := aside.line():
            warn(line)
    with contextlib.suppress(KeyboardInterrupt):
        recover(store, warn)  # after the command, which is not to wait for us
    pass_by(f"forensics: sealing {spool.name}; Ctrl-C leaves that to the next command.")
    sealed = seal_spool(store, spool, words, ended, settings, say, warn)
    return Watched(1 if aside and aside.stopped else ended.exit_code, sealed)


def _beside(spool: Path, settings: Settings, warn: Say) -> Beside | None:
    """What judges the run while it goes on, where that is asked for."""
    if not settings.beside:
        return None
    beside = Beside(settings.stop_on or "error", settings.stop_on is not None, settings.tell, warn)
    beside.begin(spool)
    return beside


def make_spool(
    store: Store, words: Sequence[str], settings: Settings, warn: Say, parent: int | None = None
) -> Path | None:
    """The spool of a run under a name of its own.

    None where nothing can be recorded, which is said and stops no command.

    `parent` is the process that watches, where that is not this one.

    Raises:
        UsageError: not a name.
    """
    wanted = settings.name or default_name(words)
    spool: Path | None = None
    try:
        name = store.free_name(wanted)
        spool = store.spool / name
        _prepare(store, spool, words, settings, parent or os.getpid())
    except (ForensicsError, OSError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, UsageError):
            raise
        why = cause.strerror if isinstance(cause, OSError) else cause
        warn(f"forensics: nothing can be recorded: {why} ({store.root}); the command runs unwatched.")
        if spool is not None:
            shutil.rmtree(spool, ignore_errors=True)
        return None
    if name != wanted:
        store.name_again(wanted, name)
        warn(f"forensics: the name {wanted} is taken; this run is {name}, which {wanted} means from now on.")
    return spool


def seal_spool(
    store: Store,
    spool: Path,
    words: Sequence[str],
    ended: runs.Ended,
    settings: Settings,
    say: Say,
    warn: Say,
) -> str | None:
    """Seal what a watch left.

    The name of the run that is now in the store, None where there is none or sealing failed.
    """
    plan = seal.Plan(
        command=tuple(words),
        status=ended.status,
        seconds=ended.seconds,
        expect=settings.expect,
        tensors=settings.tensors,
        scorers=tuple(settings.scorers),
        reload=settings.reload,
    )
    try:
        (spool / protocol.RESERVE).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (spool / unsealed.SEALING).touch()
        children = _children()
        summary = seal.seal(store, Spool(spool), plan)
        # this process is ours from its start on, and so are its children while it seals
        spent = sum(p.exit.get("spent") or 0.0 for p in Spool(spool).processes)
        spent += time.process_time() + _children() - children
    except KeyboardInterrupt:
        warn(f"forensics: interrupted; what was recorded lies in {spool}, and the next `forensics` seals it.")
    except Exception as error:  # noqa: BLE001 - the command's exit status must stand whatever happens to us
        if os.environ.get("FORENSICS_DEBUG"):
            raise
        why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        warn(
            f"forensics: the capture could not be sealed ({why}); what was recorded lies in {spool}, and the"
            " next `forensics` seals it."
        )
    else:
        shutil.rmtree(spool, ignore_errors=True)
        if ended.status and summary.missing == (seal.UNUSED,):
            store.remove(store.directories(summary.run))
            say(
                f"forensics: {summary.run}: the command failed before it used a model of mlx;"
                " nothing is kept of it."
            )
            return None
        for line in scores.warnings(summary.missing):
            warn(line)
        (say if summary.points else warn)(summary_line(summary, spent))
        return summary.run
    return None


def recover(store: Store, warn: Say) -> None:
    """Seal what an earlier capture left unsealed because it was killed or the disk was full.

    One whose command still runs is left.
    """
    for options in sorted(store.spool.glob(f"*/{protocol.OPTIONS}")) if store.spool.is_dir() else []:
        with contextlib.suppress(Exception), files.locked(options.parent / "lock", exclusive=True) as mine:
            spool = Spool(options.parent)
            if not mine or unsealed.running(spool.path):
                continue
            plan = seal.Plan(
                command=tuple(spool.options.get("command") or ()),
                status=None,
                seconds=None,
                expect=spool.options.get("expect"),
                tensors=str(spool.options.get("tensors") or "all"),
                reload=False,
            )
            (spool.path / protocol.RESERVE).unlink(missing_ok=True)
            summary = seal.seal(store, spool, plan)
            shutil.rmtree(spool.path, ignore_errors=True)
            gaps = f" It is incomplete: {_reasons(summary.missing)}." if summary.missing else ""
            warn(f"forensics: sealed {summary.run}, which an interrupted capture left behind.{gaps}")


def _prepare(store: Store, spool: Path, words: Sequence[str], settings: Settings, parent: int) -> None:
    """Make the spool: its options, and the digests that need not be written again.

    The tables get room of their own, in case the disk fills up.

    Raises:
        OSError: the disk is full.
        DamagedEvidence: a pack cannot be read.
    """
    known = spool / "known"
    spool.mkdir(parents=True, exist_ok=True)
    known.write_text("".join(f"{digest}\n" for digest in store.packs.digests()), encoding="ascii")
    runs.write_options(
        spool,
        {
            "version": protocol.VERSION,
            "run": spool.name,
            "command": list(words),
            "every": settings.every,
            "max_tokens": settings.max_tokens,
            "tensors": settings.tensors,
            "prompts": [p.as_json() for p in settings.prompts] if settings.prompts else None,
            "known": str(known.resolve()),
            "answers": str(answers.directory(store.root).resolve()),
            "expect": settings.expect,
            "reload": settings.reload,
            "selftest": settings.selftest,
            "scorers": list(settings.scorers),
            "started": time.time(),
            "parent": parent,
            **({"judged_at": STEPS} if settings.beside else {}),
        },
    )
    room = min(_ROOM, shutil.disk_usage(spool).free // 2)
    with contextlib.suppress(OSError), (spool / protocol.RESERVE).open("wb") as file:
        file.write(bytes(room))


def default_name(words: Sequence[str]) -> str:
    """The script's stem, the module after -m, or the command's name; only letters that a name may hold."""
    script = next((w for w in words if w.endswith(".py")), None)
    if script is not None:
        stem = Path(script).stem
    elif "-m" in words[:-1]:
        stem = words[words.index("-m") + 1]
    else:
        stem = Path(words[0]).name
    return _NAME.sub("-", stem).strip("-.")[:64] or "run"


# times the first capture with its probes, for later ones and the self-test; seconds of start and sealing
_OTHERS, _ONCE = 3.6, 0.9
_RELOAD = 0.9, 0.5  # the same of the fresh process for the reload
_WRITTEN = 0.4e9  # bytes a second that are hashed and written
# seconds a step, and for each trained tensor of it: see benchmarks.blocks
_STEP, _LEAF = 0.002, 14e-6


def _children() -> float:
    """Seconds of processor of children that ended."""
    return sum(os.times()[2:4])


def plan_line(plan: Mapping[str, Scalar], reload: bool = True) -> str:
    """What the capture will need, said while the run begins."""
    total, moving = _number(plan.get("nbytes")), _number(plan.get("trainable_nbytes"))
    keeps = {"all": total + 4 * moving, "new": 4 * moving, "trainable": 4 * moving, "none": 0.0}[
        str(plan.get("tensors") or "all")
    ]
    seconds = _OTHERS * _number(plan.get("seconds")) + _ONCE + keeps / _WRITTEN
    if reload:
        seconds += _RELOAD[0] * _number(plan.get("seconds")) + _RELOAD[1]
    step = _STEP + _LEAF * _number(plan.get("leaves"))
    free = size(_number(plan.get("free")))
    line = f"forensics: watching a model of {size(total)}; keeps up to {size(keeps)} on disk ({free} free), "
    line += f"costs about {seconds:.0f} s of processor and {1000 * step:.0f} ms a step."
    degraded = plan.get("degraded_from")
    return line + (
        f" Too little space for --tensors {degraded}: going on as {plan.get('tensors')}." if degraded else ""
    )


def summary_line(summary: seal.Summary, seconds: float | None = None) -> str:
    """One line: the run, its points, its size, what watching it took, and the next command."""
    if summary.missing == (seal.UNUSED,):
        return f"forensics: {summary.run}: {seal.UNUSED['why']}, so nothing was captured."
    if not summary.points:
        return f"forensics: {summary.run}: nothing could be captured: {_reasons(summary.missing)}."
    points = ", ".join(summary.points[:8]) + (
        f", and {len(summary.points) - 8} more" if len(summary.points) > 8 else ""
    )
    took = "" if seconds is None else f"; cost {seconds:.0f} s of processor"
    state = "" if summary.complete else f" (incomplete: {_reasons(summary.missing)})"
    return (
        f"forensics: {summary.run}{state}: {points}; {size(summary.nbytes)}{took}."
        f" Next: forensics diagnose {summary.run}"
    )


def _reasons(missing: Sequence[Mapping[str, str]]) -> str:
    """What is missing first and why, in a few words."""
    if not missing:
        return "see forensics show"
    first = f"{missing[0]['what']}, {missing[0]['why']}"
    return (first if len(first) <= 100 else first[:99] + "…") + (
        f"; {len(missing) - 1} more" if len(missing) > 1 else ""
    )


def _number(value: Scalar) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
