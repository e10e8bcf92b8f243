"""`forensics prove`: a run again as it was, with each cause taken away, with all of them.

What went away is said.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics import __version__
from forensics.errors import no_such_finding
from forensics.judge.diagnose import diagnose_opened
from forensics.prove import ahead, failure, length
from forensics.prove import cures as cured
from forensics.prove.agreement import agreement, changed, steering
from forensics.prove.launch import NotRepeatable, check_versions
from forensics.prove.outcome import Effect, Verdict, effects, judge
from forensics.prove.patch import patch
from forensics.prove.process import patience
from forensics.prove.record import Record
from forensics.prove.repeat import Repeat, Request, run
from forensics.records import Diagnosis
from forensics.store import proofs
from forensics.store.store import Run, Store
from forensics.watch import protocol

SHIFT = 1_000
"""By so much the seeds of each further repeat are shifted; few programs seed two things so far apart."""
_BESIDE = 3.0  # seconds that a repeat takes beside the program: its folder, its seal, its reload
UNSTEADY = "answers of a model that answers otherwise when asked again"
"""The harm, as `forensics query harm` names it, that is looked for at each generation."""
_SHOWN = 0.5  # share of the recorded harm that must be there where a repeat ends early


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to be run.

    Args:
        groups: findings cured together, `()` for as it was, each `repeats` times.
        seconds: expected, of all of it.
        steps: updates after which each repeat ends; None where it goes on to its end.
        at_once: repeats that run side by side.
    """

    groups: tuple[tuple[str, ...], ...]
    repeats: int
    seconds: float
    steps: int | None = None
    at_once: int = 1

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


Tell = Callable[[str], None]


class Proving:
    """One proof under way; each repeat that is done is kept, so that the next call goes on from there."""

    def __init__(
        self, store: Store, named: Run, *, repeats: int, again: bool = False, steps: int | None = None
    ) -> None:
        """
        Args:
            again: do not take repeats that an earlier call kept.
            steps: updates after which a repeat ends; None: found where the run is long, else all.

        Raises:
            ForensicsError: the run cannot be run again.
        """
        self.store, self.named, self.repeats, self._again = store, named, repeats, again
        self.source = Record(store, named)
        self.launch, self.record = self.source.launch, self.source.outcome
        judged = diagnose_opened(self.source.evidence)
        assert isinstance(judged, Diagnosis)
        self.diagnosis = judged
        self._asked, self._steps = steps, steps
        self._facts: Mapping[str, Any] = {}

    # -- what to run -----------------------------------------------------------------------------------------

    def chosen(self, ids: Sequence[str]) -> list[str]:
        """The findings to cure: those that are named, else every cause that was found.

        Raises:
            UsageError: no such finding.
        """
        names = [detector.name for detector in self.source.evidence.library.detectors]
        for finding_id in ids:
            if finding_id not in names:
                raise no_such_finding(finding_id, names, "forensics prove", 1)
        causes = [f.id for f in self.diagnosis.findings if f.role == "cause" and f.severity != "info"]
        return list(dict.fromkeys(ids or causes))

    def plan(self, ids: Sequence[str]) -> Plan:
        """What is going to be run for these findings."""
        curable = [finding_id for finding_id in ids if finding_id in cured.curable_ids()]
        groups: list[tuple[str, ...]] = [(), *((each,) for each in curable)]
        if len(curable) > 1:
            groups.append(tuple(curable))
        runs = len(groups) * self.repeats if curable else 0
        updates = len(self.record.losses)
        whole = self.record.seconds
        steps = self._asked
        if steps is None and runs * (whole + _BESIDE) > length.LONG:
            steps = length.enough(self.record.losses)
        if steps is not None and steps >= updates:
            steps = None
        one = whole if steps is None else whole * steps / max(updates, 1)
        side = ahead.at_once(self.source.model_bytes())
        seconds = math.ceil(runs / side) * (one + _BESIDE)
        return Plan(tuple(groups), self.repeats, seconds, steps, side)

    # -- running ---------------------------------------------------------------------------------------------

    def prove(self, ids: Sequence[str], tell: Tell) -> Proof:
        """Run the plan and judge it; `tell` gets a line before each run.

        Raises:
            NotRepeatable: it cannot be repeated at all, with why.
        """
        plan = self.plan(ids)
        named, record = self.named.name, self.record
        if len(plan.groups) == 1:  # nothing to hold a repeat against
            how = "not run: no cure is known"
            return Proof(named, 0, None, True, how, record.units, record.harm, (), self._unknown(ids))
        check_versions(self.launch, self.source.versions())
        self._steps = plan.steps
        first = self._baseline(plan, tell)
        self._facts = first.facts
        numbers = range(plan.repeats)
        with ahead.Ahead(self._repeat, plan.at_once) as runs:
            runs.begin((group, number) for group in plan.groups for number in numbers if group or number)
            rows = [first]
            for number in numbers[1:]:
                tell(f"as it was, {number + 1} of {plan.repeats}{self._early()}")
                rows.append(self._alike(runs.take((), number)))
            found = [self._cured(group, rows, runs, tell) for group in plan.groups[1:]]
        found += self._unknown(ids)
        units = {name: unit for item in (record, *rows) for name, unit in item.units.items()}
        agrees, how = agreement(record, rows[0], self._steps)
        sure = [item.ids[0] for item in found if item.outcome == "proved" and len(item.ids) == 1]
        places = {item.id: item.where for item in self.diagnosis.findings if item.where}
        edit = patch(self.launch.cwd, self.source.files(), sure, self._facts, places)
        harms = tuple(row.harm for row in rows)
        steps = self._steps or len(record.losses) or None
        return Proof(
            named, self.repeats, steps, agrees, how, units, record.harm, harms, tuple(_ordered(found)), edit
        )

    @staticmethod
    def _unknown(ids: Sequence[str]) -> tuple[Cure, ...]:
        known = cured.curable_ids()
        return tuple(
            Cure((finding_id,), "impossible", cured.uncured(finding_id))
            for finding_id in ids
            if finding_id not in known
        )

    def _baseline(self, plan: Plan, tell: Tell) -> Repeat:
        """As it was, with the recorded seeds; where repeats end early, once it shows the recorded harm."""
        tell(f"as it was, 1 of {plan.repeats}{self._early()}")
        first = self._alike(self._repeat((), 0))
        while self._steps is not None and not self._shows(first):
            if self._asked is not None:
                raise NotRepeatable(
                    f"After {self._steps} of {len(self.record.losses)} steps the harm is not there yet.",
                    where=self.named.name,
                    hint=f"Give it more: forensics prove {self.named.name} --steps {2 * self._steps}",
                )
            twice = 2 * self._steps
            self._steps = twice if twice < len(self.record.losses) else None
            tell(f"as it was{self._early()}")
            first = self._alike(self._repeat((), 0))
        return first

    def _early(self) -> str:
        return "" if self._steps is None else f", {self._steps} of {len(self.record.losses)} steps"

    def _alike(self, done: Repeat) -> Repeat:
        """The repeat itself.

        Raises:
            NotRepeatable: it ended otherwise than the recorded run.
        """
        if done.status != self.record.status or not done.harm:
            raise NotRepeatable(
                f"Run {self.named.name} cannot be repeated: {failure.why(done)}.",
                where=str(self.launch.cwd),
                hint=failure.hint(done),
            )
        return done

    def _shows(self, done: Repeat) -> bool:
        """Is the worst harm of the record there, half of it at least?"""
        worst = next(((what, amount) for what, amount in self.record.harm.items() if amount), None)
        return worst is None or done.harm.get(worst[0], 0) >= _SHOWN * worst[1]

    def _cured(self, group: tuple[str, ...], rows: Sequence[Repeat], runs: ahead.Ahead, tell: Tell) -> Cure:
        """Pairs of one cure; where the first pair differs in nothing, no further one is run."""
        done: list[Repeat] = []
        for number in range(len(rows)):
            tell(f"without {' and '.join(group)}, {number + 1} of {len(rows)}{self._early()}")
            made = runs.take(group, number)
            if made.status not in (0, self.record.status) or not made.harm:
                runs.leave(group)
                return Cure(group, "impossible", failure.why(made))
            done.append(made)
            impossible = _impossible(group, rows[number], made)
            if impossible is not None:
                runs.leave(group)
                return Cure(group, "impossible", impossible, did=made.acted)
            if number == 0 and made.harm == rows[0].harm and made.answers == rows[0].answers:
                runs.leave(group)
                break
        units = {name: unit for item in done for name, unit in item.units.items()}
        found = effects([row.harm for row in rows], [item.harm for item in done], units)
        verdict, why = judge(found)
        return Cure(group, verdict, why, tuple(found), done[0].acted, tuple(changed(rows[0], done[0])))

    def _repeat(self, group: tuple[str, ...], number: int) -> Repeat:
        key = self._key(group, number)
        kept = None if self._again else proofs.recall_repeat(self.store, self.named.name, key)
        if kept is not None:
            return Repeat(**kept)
        options, written = self._recorded
        asked = Request(
            self.launch,
            options,
            written,
            self.store.root,
            patience(self.record.seconds),
            self._steps,
            steady=not self.record.harm.get(UNSTEADY),
        )
        done = run(asked, group, number * SHIFT, self._facts)
        proofs.remember_repeat(self.store, self.named.name, key, done.as_json())
        return done

    @functools.cached_property
    def _recorded(self) -> tuple[protocol.Options, tuple[Path, ...]]:
        """Options and written files of the record, which has one reader while repeats run side by side."""
        return self.source.options(), tuple(self.source.written())

    def _key(self, group: tuple[str, ...], number: int) -> str:
        said = [
            __version__,
            list(group),
            number,
            self._steps,
            self.launch.argv,
            self.launch.began,
            *map(_print_of, self._sources()),
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]

    def _sources(self) -> Iterator[Path]:
        """The program's own files in its folder.

        They tell whether repeats that were kept are of this program.
        """
        yield from sorted(self.launch.cwd.glob("*.py"))
        yield from (cured.FOLDER / f"{name.replace('-', '_')}.py" for name in cured.curable_ids())


def _print_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _impossible(group: tuple[str, ...], was: Repeat, made: Repeat) -> str | None:
    """Why nothing can be said of this cure, None where it can."""
    if not any(item in made.acted for item in group):
        return "the program never reaches what the cure would change, or says nowhere what was meant"
    if protocol.AT_THE_LOSS in made.acted.values():
        alone = all(what == protocol.AT_THE_LOSS for what in made.acted.values())
        return steering(was, made, alone=alone)
    return None


def _ordered(found: Sequence[Cure]) -> list[Cure]:
    """Proved causes first, the one that takes most away at the head; a single one before several together."""
    order = ("proved", "partly", "no-effect", "impossible")

    def left(each: Cure) -> float:
        return (
            sum(each.effects[0].cured) / max(1, sum(each.effects[0].as_it_was)) if each.effects else math.inf
        )

    return sorted(found, key=lambda each: (len(each.ids) > 1, order.index(each.outcome), left(each)))
