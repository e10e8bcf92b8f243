"""Drawing programs: which pieces stand together, which fault goes in; everything follows from the seed."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tests.exam import bases, grammar
from tests.exam.grammar import SLOTS, Piece, Program
from tests.exam.operators import Operator
from tests.exam.operators.measured import READ
from tests.exam.pieces.measured import READ as READ_PIECES

PLAINEST = {
    "model": "model/load",
    "trained": "trained/lora",
    "data": "data/chat-template",
    "batching": "batching/longest",
    "loss": "loss/masked-mean",
    "optimizer": "optimizer/adam",
    "loop": "loop/plain",
    "evaluation": "evaluation/none",
    "save": "save/trainable-only",
    "reload": "reload/none",
    "fuse": "fuse/none",
    "generation": "generation/none",
}
COMMAND = "command"  # the tag of programs that let mlx_lm.lora's command line train
CLOSED = ("class", "functions")  # structures whose parts share no names but the shared ones


@dataclass(frozen=True)
class Draw:
    """A program, its sound twin, and what was put in."""

    number: int
    seed: str
    program: Program
    twin: Program
    operators: tuple[Operator, ...]

    @property
    def expected(self) -> list[str]:
        return [operator.id for operator in self.operators]

    @property
    def kind(self) -> str:
        if self.operators:
            return "faulty"
        return "habit" if self.program.habits else "healthy"


def _modules(room: str) -> Iterable[tuple[str, object]]:
    for half in ("known", "measured"):
        package = importlib.import_module(f"tests.exam.{room}.{half}")
        for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
            yield half, importlib.import_module(f"{package.__name__}.{found.name}")


@functools.cache
def pieces() -> tuple[Piece, ...]:
    """All pieces, each with the half of the file it stands in, but for those that were read."""
    return tuple(
        replace(each, half="known" if each.name in READ_PIECES else half)
        for half, module in _modules("pieces")
        for each in getattr(module, "PIECES", ())
    )


@functools.cache
def operators() -> tuple[Operator, ...]:
    """All operators, each with the half of the file it stands in, but for those that were read."""
    return tuple(
        replace(each, half="known" if each.name in READ else half)
        for half, module in _modules("operators")
        for each in getattr(module, "OPERATORS", ())
    )


def fits(each: Piece, tags: Iterable[str]) -> bool:
    tags = set(tags)
    return set(each.needs) <= tags and not set(each.bars) & tags


@functools.cache
def _of(slot: str) -> tuple[tuple[Piece, frozenset[str], frozenset[str]], ...]:
    return tuple(
        (each, frozenset(each.needs), frozenset(each.bars)) for each in pieces() if each.slot == slot
    )


def standing(slot: str, tags: set[str]) -> list[Piece]:
    """The pieces that can stand in a slot; a command line does itself what lies between model and save."""
    options = [each for each, needs, bars in _of(slot) if needs <= tags and not bars & tags]
    if COMMAND in tags and slot in (*grammar.SETUP, "loop", "save"):
        options = [each for each in options if COMMAND in each.needs]
    return options


def recalled(faults: Iterable[str], named: Iterable[str], base: str = "qwen2") -> Draw:
    """The draw of these operators and pieces, the rest of its slots at their plainest.

    Raises:
        LookupError: a name is not known, a piece cannot stand there, or an operator does not fit.
    """
    by_name = {each.name: each for each in pieces()}
    wanted = {name.split("/")[0]: name for name in named}
    tags, chosen = {base}, {}
    for slot in SLOTS:
        each = by_name[wanted.get(slot, PLAINEST[slot])]
        if not fits(each, tags):
            raise LookupError(f"{each.name} cannot stand beside {sorted(tags)}")
        chosen[slot] = each
        tags |= set(each.gives)
    twin = Program(chosen, "script", "constants", 0, base, settings={"seed": 1})
    operators_of = {each.name: each for each in operators()}
    put_in = [operators_of[name] for name in faults]
    made = apply(twin, put_in) if put_in else (twin, ())
    if made is None:
        raise LookupError(f"{', '.join(faults)} does not fit")
    return Draw(0, "mended", made[0], twin, made[1])


def weights(options: Iterable[Piece], *, habits: bool) -> list[float]:
    """How often each piece is picked beside the others; habits are favoured where one is wanted."""
    return [each.weight * (6 if habits and each.habit else 1) for each in options]


def compose(draw: random.Random, *, half: str | None, habits: bool) -> Program | None:
    """Pieces for all slots, in order; None where the last choices left a slot without any that fits."""
    base = draw.choice(list(bases.BASES))
    chosen: dict[str, Piece] = {}
    tags: set[str] = {base}
    for slot in SLOTS:
        options = [each for each in standing(slot, tags) if habits or not each.habit]
        if half == "known":
            options = [each for each in options if each.half == "known"]
        if not options:
            return None
        picked = draw.choices(options, weights(options, habits=habits))[0]
        chosen[slot] = picked
        tags |= set(picked.gives)
    if half == "measured" and not any(each.half == "measured" for each in chosen.values()):
        return None
    structure = draw.choice(
        [name for name in grammar.STRUCTURES if not (name in CLOSED and "closure" in tags)]
    )
    return Program(chosen, structure, draw.choice(grammar.CONFIGURATIONS), draw.randrange(1, 10**6), base)


def one(seed: int, number: int, half: str | None = None) -> Draw:
    """Draw `number` of `seed`.

    Of ten, six have one fault, one has two, three have none (half of those a habit).
    """
    draw = random.Random(f"{seed}/{number}/{half}")
    kind = draw.choices(("one", "two", "none", "habit"), (6, 1, 1.5, 1.5))[0]
    ids = sorted({operator.id for operator in operators() if half in (None, operator.half)})
    for _ in range(4000):
        program = compose(draw, half=half, habits=kind == "habit")
        if program is None or (kind == "habit" and not program.habits):
            continue
        program = replace(program, settings={"seed": draw.randrange(1, 1000)})
        named = f"{seed}/{number}" + (f"/{half}" if half else "")
        if kind in ("none", "habit"):
            return Draw(number, named, program, program, ())
        wanted = draw.choice(ids)
        fitting = [each for each in operators() if each.id == wanted and half in (None, each.half)]
        draw.shuffle(fitting)
        made = apply(program, fitting[:1])
        if made is None:
            continue
        if kind == "two":
            others = [
                each
                for each in operators()
                if each.id != wanted and not each.alone and half in (None, each.half)
            ]
            draw.shuffle(others)
            both = next(
                (found for other in others[:12] if (found := apply(program, [fitting[0], other]))), None
            )
            if both is None or fitting[0].alone:
                continue
            made = both
        return Draw(number, named, made[0], program, made[1])
    raise LookupError(f"no program fits draw {number} of seed {seed}")


def apply(program: Program, chosen: Iterable[Operator]) -> tuple[Program, tuple[Operator, ...]] | None:
    """The program with all the faults, or None where one does not fit."""
    done: list[Operator] = []
    made = program
    for operator in chosen:
        changed = operator.edit(made) if operator.fits(program) else None
        if changed is None:
            return None
        made = changed
        done.append(operator)
    return (replace(made, faults=tuple(each.name for each in done)), tuple(done)) if done else None


def shares(count: int, *, habits: bool) -> dict[str, float]:
    """How often each piece is picked where it can stand, over `count` compositions.

    With `habits` only of those that are habits, among programs that have some.
    """
    chance: Counter[str] = Counter()
    could: Counter[str] = Counter()
    for number in range(count):
        program = compose(random.Random(number), half=None, habits=habits)
        tags = {program.base} if program is not None else set()
        for slot in SLOTS if program is not None else ():
            options = [each for each in standing(slot, tags) if habits or not each.habit]
            favoured = weights(options, habits=habits)
            for each, weight in zip(options, favoured, strict=True):
                chance[each.name] += weight / sum(favoured)
                could[each.name] += 1
            tags |= set(program.pieces[slot].gives)
    wanted = {each.name for each in pieces() if each.habit == habits}
    return {name: chance[name] / could[name] for name in could if name in wanted}
