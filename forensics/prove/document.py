"""The JSON form of a proof: that of `prove --json`, of what the store keeps, and of what reports draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forensics.prove.proof import Cure, Proof


def document(proof: Proof) -> dict[str, Any]:
    """The whole; harms that neither the record nor a repeat shows are left out."""
    shown = [
        what for what in proof.units if any(item.get(what) for item in (proof.as_recorded, *proof.as_it_was))
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
                "as_it_was": [item.get(what) for item in proof.as_it_was],
            }
            for what in shown
        ],
        "cures": [_cure(cure) for cure in proof.cures],
        "patch": proof.patch,
    }


def _cure(cure: Cure) -> dict[str, Any]:
    return {
        "ids": list(cure.ids),
        "outcome": cure.outcome,
        "harm": [
            {
                "what": effect.what,
                "unit": effect.unit,
                "as_it_was": list(effect.as_it_was),
                "cured": list(effect.cured),
            }
            for effect in cure.effects
        ],
        "also_changed": list(cure.also_changed),
        "why": cure.why,
        "did": dict(cure.did),
    }


def nothing(named: str, repeats: int) -> dict[str, Any]:
    """That of a run in which there is nothing to prove."""
    return {
        "schema": 1,
        "run": named,
        "repeats": repeats,
        "steps": None,
        "repeatable": True,
        "harm": [],
        "cures": [],
        "patch": "",
    }
