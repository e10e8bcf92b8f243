"""Fault operators: what each changes in a program, what must be named then, and how plain mlx proves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.exam.grammar import Program

Edit = Callable[[Program], Program | None]
Proof = Callable[[dict[str, Any], dict[str, Any]], bool]


@dataclass(frozen=True)
class Operator:
    """One mechanism of one fault.

    Attributes:
        name: `id/mechanism`, the id being the one of the finding that must be the first cause.
        edit: the faulty program, or None where the mechanism does not fit.
        proof: given the facts of the faulty run and those of the sound twin, whether the fault is really there.
        also: ids that are as right as the first, where the field has two words for what was done.
        crashes: the program ends with an error of its own.
        mild: a fault that ought to be a warning: it must not be called healthy, and need not be an error.
        alone: nothing else is put into the same program.
        half: `known`, which detectors may be developed on, or `measured`.
    """

    name: str
    edit: Edit
    proof: Proof
    also: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    bars: tuple[str, ...] = ()
    crashes: bool = False
    mild: bool = False
    alone: bool = False
    half: str = "known"

    @property
    def id(self) -> str:
        return self.name.split("/")[0]

    def fits(self, program: Program) -> bool:
        return set(self.needs) <= program.tags and not set(self.bars) & program.tags


def edits(slot: str, old: str, new: str) -> Edit:
    return lambda program: program.edited(slot, old, new)


def swaps(slot: str, pattern: str, new: str) -> Edit:
    return lambda program: program.substituted(slot, pattern, new)


def first_of(*options: Edit) -> Edit:
    """The first edit that fits."""

    def one(program: Program) -> Program | None:
        return next((made for made in (edit(program) for edit in options) if made is not None), None)

    return one


def all_of(*options: Edit) -> Edit:
    """Each edit in turn; None where one does not fit."""

    def one(program: Program) -> Program | None:
        made: Program | None = program
        for edit in options:
            made = edit(made) if made is not None else None
        return made

    return one


def after(slot: str, text: str) -> Edit:
    return lambda program: program.after(slot, text) if slot in program.pieces else None


def before(slot: str, text: str) -> Edit:
    return lambda program: program.before(slot, text) if slot in program.pieces else None
