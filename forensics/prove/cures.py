"""Which findings have a cure: each is a file of the watcher, named as the finding's id."""

from __future__ import annotations

from pathlib import Path

from forensics.capture.command import WATCH

FOLDER = WATCH / "cures"
UNCURED = {
    "advantage-zero": "the rewards are the program's own, and none says what another should have been",
    "advantages-mixed": "which rows belong to one prompt is laid out by the program's own code",
    "best-not-kept": "the best state was never kept, so nothing holds it",
    "compile-number-frozen": "what the function should have been handed is the program's own code",
    "evaluated-on-training-data": "a number that is printed is wrong; the model is not",
    "fields-swapped": "the rows themselves are built the other way round, before anything that is hooked",
    "mask-of-another-row": "which mask a row was meant to have is the program's own code",
    "not-log-probabilities": "what the loss is handed is made by the program's own code",
    "padding-read": "what a head reads of a row is the program's own code",
    "preference-swapped": "which of two answers was meant to be preferred is said in the data alone",
    "ranks-diverged": "a repeat is one process of one machine",
    "records-dropped": "records that no row came of were never encoded",
    "records-grow": "how a record was when the program began is not kept by it",
    "reference-is-policy": "the reference would need the parameters of the beginning within each forward",
    "rows-not-independent": "what mixes the rows is a layer of the program's own",
    "same-batch-repeated": "which batch should have come next is the program's own order",
    "sampler-differs": "two answers were asked for differently, and neither is said to be the wrong one",
    "schedule-in-wrong-unit": "a schedule is a function of one number; what it should count is not in it",
    "setting-not-in-force": "which of the two was meant, the setting or what was done, nothing says",
    "term-detached": "a term that left the graph as a Python number cannot be brought back into it",
    "weights-not-restored": "whether training was meant to go on from the others is what the warning asks",
}
"""Causes without a cure, and why: docs/proof.md has them as a table."""


def curable_ids() -> list[str]:
    """The ids that have a cure."""
    return sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.py") if path.stem != "__init__")


def uncured(name: str) -> str:
    """Why a finding has no cure, in a line."""
    why = UNCURED.get(name)
    return f"no cure is known for it: {why}" if why else "no cure is known for it"


def about(name: str) -> str:
    """The first line of a cure's docstring: what it changes."""
    import ast  # import time

    path: Path = FOLDER / f"{name.replace('-', '_')}.py"
    return (
        (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0].rstrip(".")
    )
