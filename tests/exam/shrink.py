"""A miss made small: optional pieces are replaced by the plainest that fit, while it still misses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.exam import draw
from tests.exam.draw import Draw
from tests.exam.run import Result, examine

KEPT = ("trained", "data", "save")  # what a miss is most about


def smaller(each: Draw) -> list[Draw]:
    """The draw with one thing less, each way that the operators still fit."""
    by_name = {one.name: one for one in draw.pieces()}
    made = []
    changes: list[Callable[[Draw], Draw | None]] = []
    for slot, name in draw.PLAINEST.items():
        if slot not in KEPT and each.twin.pieces[slot].name != name:
            changes.append(lambda one, name=name: _with(one, by_name[name]))
    if each.program.structure != "script":
        changes.append(lambda one: _again(one, replace(one.twin, structure="script")))
    if each.program.configuration != "constants" or each.program.names:
        changes.append(lambda one: _again(one, replace(one.twin, configuration="constants", names=0)))
    for change in changes:
        candidate = change(each)
        if candidate is not None:
            made.append(candidate)
    return made


def _with(each: Draw, piece: draw.Piece) -> Draw | None:
    twin = each.twin.with_piece(piece)
    tags: set[str] = {twin.base}
    for slot in draw.SLOTS:
        if not draw.fits(twin.pieces[slot], tags):
            return None
        tags |= set(twin.pieces[slot].gives)
    return _again(each, twin)


def _again(each: Draw, twin: draw.Program) -> Draw | None:
    if not each.operators:
        return replace(each, twin=twin, program=twin)
    made = draw.apply(twin, each.operators)
    return replace(each, twin=twin, program=made[0]) if made else None


def shrink(result: Result, tries: int = 12) -> Result:
    """The smallest program found that is still valid and says the same wrong first thing."""
    best = result
    for _ in range(3):
        for candidate in smaller(best.draw):
            tries -= 1
            if tries < 0:
                return best
            found = examine(candidate)
            if (
                found.thrown is None
                and found.missed
                and found.first == result.first
                and found.verdict == result.verdict
            ):
                best = found
                break
        else:
            break
    return best
