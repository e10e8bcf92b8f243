"""`forensics prove`: a run again as it was, with each cause taken away, with all of them.

What went away is said.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from forensics import __version__
from forensics.errors import UsageError, near
from forensics.judge.diagnose import diagnose_opened
from forensics.judge.opened import opened
from forensics.prove import cures as cured
from forensics.prove.launch import NotRepeatable, check_versions, recorded
from forensics.prove.outcome import Effect, Verdict, effects, judge
from forensics.prove.patch import patch
from forensics.prove.repeat import Asked, Repeat, measure, run
from forensics.records import Diagnosis
from forensics.store import proofs
from forensics.store.store import Run, Store
from forensics.watch import protocol

SHIFT = 1_000
"""By so much the seeds of each further repeat are shifted; few programs seed two things so far apart."""
_PATIENCE = 5.0  # a repeat may take so many times as long as the recorded run, and two minutes more
_CLOSE = 1e-3  # relative difference of losses within which a repeat agrees with the record


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to be run: `groups` of findings cured together, `()` for as it was, each so many
    times.
    """

    groups: tuple[tuple[str, ...], ...]
    repeats: int
    seconds: float  # expected, of all of it

    @property
    def runs(self) -> int:
        return len(self.groups) * self.repeats if len(self.groups) > 1 else 0


@dataclass(frozen=True, slots=True)
class Cure:
    """What came of one cure, or of several at once."""

    ids: tuple[str, ...]
    outcome: Verdict
    why: str
    effects: tuple[Effect, ...] = ()
    did: Mapping[str, str] = field(default_factory=dict)
    also_changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """The whole: `as_recorded` and `as_it_was` are amounts by what is harmed."""

    run: str
    repeats: int
    steps: int | None
    repeatable: bool
    agreement: str
    units: Mapping[str, str]
    as_recorded: Mapping[str, int]
    as_it_was: tuple[Mapping[str, int], ...]
    cures: tuple[Cure, ...]
    patch: str = ""

    @property
    def proved(self) -> list[Cure]:
        return [each for each in self.cures if each.outcome == "proved"]


Tell = Callable[[str], None]


class Proving:
    """One proof under way; each repeat that is done is kept, so that the next call goes on from there."""

    def __init__(self, store: Store, named: Run, *, repeats: int, again: bool = False) -> None:
        """`again`: do not take repeats that an earlier call kept.

        Raises:
            ForensicsError: the run cannot be run again.
        """
        self.store, self.named, self.repeats, self._again = store, named, repeats, again
        self.launch = recorded(named)
        self.evidence = opened(store, (named.name,))
        if self.evidence.empty is not None:
            raise NotRepeatable(
                f"Run {named.name} holds no capture.",
                where=named.name,
                hint="`forensics show` says what is missing, and why.",
            )
        judged = diagnose_opened(self.evidence)
        assert isinstance(judged, Diagnosis)
        self.diagnosis = judged
        self.record = Repeat(
            int(named.head.get("exit_status") or 0),
            float(named.head.get("seconds") or 0.0),
            **measure(self.evidence),
        )
        self._facts: Mapping[str, Any] = {}

    # -- what to run -----------------------------------------------------------------------------------------

    def chosen(self, ids: Sequence[str]) -> list[str]:
        """The findings to cure: those that are named, else every cause that was found.

        Raises:
            UsageError: no such finding.
        """
        names = [detector.name for detector in self.evidence.library.detectors]
        for each in ids:
            if each not in names:
                close = near(each, names, 1)
                hint = f"Did you mean {close[0]}?" if close else "`forensics query` lists them."
                raise UsageError(f"There is no finding {each!r}.", where="forensics prove", hint=hint)
        causes = [f.id for f in self.diagnosis.findings if f.role == "cause" and f.severity != "info"]
        return list(dict.fromkeys(ids or causes))

    def plan(self, ids: Sequence[str]) -> Plan:
        """What is going to be run for these findings."""
        curable = [each for each in ids if each in cured.known()]
        groups: list[tuple[str, ...]] = [(), *((each,) for each in curable)]
        if len(curable) > 1:
            groups.append(tuple(curable))
        runs = len(groups) * self.repeats if curable else 0
        return Plan(tuple(groups), self.repeats, runs * (self.record.seconds + 3.0))

    # -- running ---------------------------------------------------------------------------------------------

    def prove(self, ids: Sequence[str], tell: Tell) -> Proof:
        """Run the plan and judge it; `tell` gets a line before each run.

        Raises:
            NotRepeatable: it cannot be repeated at all, with why.
        """
        plan = self.plan(ids)
        if len(plan.groups) == 1:  # nothing to hold a repeat against
            return Proof(
                self.named.name,
                0,
                None,
                True,
                "not run: no cure is known",
                self.record.units,
                self.record.harm,
                (),
                self._unknown(ids),
            )
        check_versions(self.launch, self._versions())
        rows = self._baseline(plan, tell)
        self._facts = rows[0].facts
        found = [self._cured(group, rows, plan, tell) for group in plan.groups[1:]]
        found += self._unknown(ids)
        units = {name: unit for each in (self.record, *rows) for name, unit in each.units.items()}
        agrees, how = agreement(self.record, rows[0])
        sure = [each.ids[0] for each in found if each.outcome == "proved" and len(each.ids) == 1]
        return Proof(
            self.named.name, self.repeats, len(self.record.losses) or None, agrees, how, units, self.record.harm,
            tuple(each.harm for each in rows), tuple(_ordered(found)), patch(self.launch.cwd, self._files(), sure, self._facts),
        )  # fmt: skip

    @staticmethod
    def _unknown(ids: Sequence[str]) -> tuple[Cure, ...]:
        known = cured.known()
        return tuple(
            Cure((each,), "impossible", "no cure is known for it") for each in ids if each not in known
        )

    def _baseline(self, plan: Plan, tell: Tell) -> list[Repeat]:
        rows = []
        for number in range(plan.repeats):
            tell(f"as it was, {number + 1} of {plan.repeats}")
            done = self._repeat((), number)
            if done.status != self.record.status or not done.harm:
                raise self._failed(done)
            rows.append(done)
        return rows

    def _cured(self, group: tuple[str, ...], rows: Sequence[Repeat], plan: Plan, tell: Tell) -> Cure:
        """Pairs of one cure; where the first pair differs in nothing, no further one is run."""
        done: list[Repeat] = []
        for number in range(plan.repeats):
            tell(f"without {' and '.join(group)}, {number + 1} of {plan.repeats}")
            made = self._repeat(group, number)
            if made.status not in (0, self.record.status) or not made.harm:
                return Cure(group, "impossible", _why_failed(made))
            done.append(made)
            if not any(each in made.acted for each in group):
                return Cure(
                    group,
                    "impossible",
                    "the program never reaches what the cure would change, or says nowhere what was meant",
                    did=made.acted,
                )
            if number == 0 and made.harm == rows[0].harm and made.answers == rows[0].answers:
                break
        units = {name: unit for each in done for name, unit in each.units.items()}
        found = effects([each.harm for each in rows], [each.harm for each in done], units)
        verdict, why = judge(found)
        return Cure(group, verdict, why, tuple(found), done[0].acted, tuple(_changed(rows[0], done[0])))

    def _repeat(self, group: tuple[str, ...], number: int) -> Repeat:
        key = self._key(group, number)
        kept = None if self._again else proofs.recall_repeat(self.store, self.named.name, key)
        if kept is not None:
            return Repeat(**kept)
        asked = Asked(
            self.launch,
            self._options(),
            tuple(self._written()),
            self.store.root,
            _PATIENCE * self.record.seconds + 120.0,
        )
        done = run(asked, group, number * SHIFT, self._facts)
        proofs.remember_repeat(self.store, self.named.name, key, done.as_json())
        return done

    def _key(self, group: tuple[str, ...], number: int) -> str:
        said = [
            __version__,
            list(group),
            number,
            self.launch.argv,
            self.launch.began,
            *map(_print_of, self._sources()),
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]

    def _sources(self) -> Iterator[Path]:
        """The program's own files in its folder, so that what was kept of another program is not taken for
        this one's.
        """
        yield from sorted(self.launch.cwd.glob("*.py"))
        yield from (cured.FOLDER / f"{each.replace('-', '_')}.py" for each in cured.known())

    def _failed(self, done: Repeat) -> NotRepeatable:
        return NotRepeatable(
            f"Run {self.named.name} cannot be repeated: {_why_failed(done)}.",
            where=str(self.launch.cwd),
            hint=_hint(done),
        )

    # -- the record ------------------------------------------------------------------------------------------

    def _options(self) -> protocol.Options:
        """What the recorded capture was asked for, and its probes as token ids."""
        session, b = self.evidence.session, self.evidence.b
        rows = session.rows(
            "SELECT prompt_id, prompt_ids FROM transcripts WHERE capture = probes_at(?) AND source = 'probe'"
            " AND prompt_ids IS NOT NULL",
            [b],
        )
        settings = session.rows(
            "SELECT key, value FROM configs WHERE capture = run_of(?) AND key LIKE 'forensics.%'", [b]
        )
        told = {str(row["key"]).removeprefix("forensics."): json.loads(str(row["value"])) for row in settings}
        prompts = [
            protocol.Prompt(id=str(row["prompt_id"]), ids=json.loads(str(row["prompt_ids"]))) for row in rows
        ]
        return {
            "prompts": prompts or None,
            "max_tokens": told.get("max_tokens"),
            "expect": told.get("expect"),
            "every": None,
            "reload": True,
        }

    def _written(self) -> Iterator[Path]:
        for row in self.evidence.session.rows(
            "SELECT DISTINCT path FROM saved_tensors WHERE run = run_of(?)", [self.evidence.b]
        ):
            if row["path"]:
                yield self.launch.cwd / str(row["path"])

    def _files(self) -> list[str]:
        """Files of the program in its own folder that the record names, by places in it."""
        rows = self.evidence.session.rows(
            "SELECT DISTINCT place FROM events WHERE run = run_of(?) AND place IS NOT NULL ORDER BY place",
            [self.evidence.b],
        )
        names = (str(row["place"]).rpartition(":")[0] for row in rows)
        return [name for name in names if name.endswith(".py") and not Path(name).is_absolute()]

    def _versions(self) -> dict[str, str]:
        rows = self.evidence.session.rows(
            "SELECT key, value FROM environment WHERE capture = run_of(?)", [self.evidence.b]
        )
        return {str(row["key"]): str(row["value"]) for row in rows}


def _print_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _ordered(found: Sequence[Cure]) -> list[Cure]:
    """Proved causes first, the one that takes most away at the head; a single one before several together."""
    order = ("proved", "partly", "no-effect", "impossible")

    def left(each: Cure) -> float:
        return (
            sum(each.effects[0].cured) / max(1, sum(each.effects[0].as_it_was)) if each.effects else math.inf
        )

    return sorted(found, key=lambda each: (len(each.ids) > 1, order.index(each.outcome), left(each)))


def _changed(was: Repeat, now: Repeat) -> Iterator[str]:
    """What else a cure changed: settings, rows, tensors before training."""
    for subject in dict.fromkeys((*was.settings, *now.settings)):
        before, after = was.settings.get(subject), now.settings.get(subject)
        if before != after:
            plain = subject.startswith(("rows", "tensors before"))
            yield f"{subject}: other ones" if plain else f"{subject}: {before or 'none'} -> {after or 'none'}"


def agreement(record: Repeat, repeat: Repeat) -> tuple[bool, str]:
    """Does the repeat as it was agree with the record, and how far?"""
    steps = min(len(record.losses), len(repeat.losses))
    far = max(
        (
            abs(x - y) / max(abs(x), 1e-12)
            for x, y in zip(record.losses, repeat.losses, strict=False)
            if math.isfinite(x)
        ),
        default=0.0,
    )
    shared = [name for name in record.answers if name in repeat.answers]
    same = sum(record.answers[name] == repeat.answers[name] for name in shared)
    agrees = far <= _CLOSE and len(record.losses) == len(repeat.losses) and record.harm == repeat.harm
    losses = f"the losses of {steps} steps differ by {far:.2g} at most" if steps else "no losses were seen"
    return agrees, f"{losses}; {same} of {len(shared)} answers are the same"


def _why_failed(done: Repeat) -> str:
    kinds = {str(each.get("kind")): str(each.get("what")) for each in reversed(done.refused)}
    if not done.status:
        return "nothing was captured of it"
    if "input" in kinds:
        return "it asks for input"
    if "network" in kinds:
        return f"it needs the network ({kinds['network']})"
    if "write" in kinds:
        return f"it writes to {kinds['write']}, outside of the folder that it is given"
    if "program" in kinds:
        return f"it starts another program ({kinds['program']})"
    if done.status == -24:
        return "it took more than five times as long as recorded"
    last = next((line.strip() for line in reversed(done.said) if line.strip()), "no output")
    return f"it ended with status {done.status}: {last[:200]}"


def _hint(done: Repeat) -> str:
    kinds = {str(each.get("kind")) for each in done.refused}
    if "input" in kinds:
        return "Give what it asks for by an option or a file, capture it so, and prove that run."
    if "network" in kinds:
        return "Fetch what it needs once, capture it offline (HF_HUB_OFFLINE=1), and prove that run."
    if "write" in kinds:
        return (
            "Let it write below the folder that it is started in, or give the place by an option; then"
            " capture it again."
        )
    if "program" in kinds:
        return "Capture the Python that trains by itself, without what starts other programs."
    return "Run the command by hand in a copy of its folder, and see what it lacks."


# -- JSON ----------------------------------------------------------------------------------------------------


def document(proof: Proof) -> dict[str, Any]:
    """The JSON form: CONTRACT of `prove --json`."""
    whats = [
        what
        for what in proof.units
        if proof.as_recorded.get(what) or any(each.get(what) for each in proof.as_it_was)
    ]
    return {
        "schema": 1,
        "run": proof.run,
        "repeats": proof.repeats,
        "steps": proof.steps,
        "repeatable": proof.repeatable,
        "agreement": proof.agreement,
        "harm": [
            {
                "what": what,
                "unit": proof.units[what],
                "as_recorded": proof.as_recorded.get(what),
                "as_it_was": [each.get(what) for each in proof.as_it_was],
            }
            for what in whats
        ],
        "cures": [_cure(each) for each in proof.cures],
        "patch": proof.patch,
    }


def _cure(cure: Cure) -> dict[str, Any]:
    return {
        "ids": list(cure.ids),
        "outcome": cure.outcome,
        "harm": [
            {
                "what": each.what,
                "unit": each.unit,
                "as_it_was": list(each.as_it_was),
                "cured": list(each.cured),
            }
            for each in cure.effects
        ],
        "also_changed": list(cure.also_changed),
        "why": cure.why,
        "did": dict(cure.did),
    }


def nothing(named: str, repeats: int) -> dict[str, Any]:
    """The document of a run in which there is nothing to prove."""
    empty: dict[str, Any] = asdict(Proof(named, repeats, None, True, "", {}, {}, (), ()))
    return {
        "schema": 1,
        **{k: empty[k] for k in ("run", "repeats", "steps", "repeatable")},
        "harm": [],
        "cures": [],
        "patch": "",
    }
