"""forensics prove --transplant A B: the smallest part of B that makes A answer as B does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensics.errors import UsageError

if TYPE_CHECKING:
    from forensics.judge.bench import Transplant
    from forensics.store.store import Store

_SHOWN = 20
"""Names that are listed on a terminal; --json has them all."""


def transplanted(
    store: Store,
    words: Sequence[str],
    adapter: Path | None,
    prompts: Path | None,
    seconds: float | None,
    as_json: bool,
) -> int:
    """Search, say what was found, and return the exit status.

    A model alone with an adapter is the model without it and with it.
    """
    from forensics.capture.prompts import read_prompts
    from forensics.cli.progress import spinner
    from forensics.cli.screen import emit
    from forensics.judge.bench import transplant

    given = (words[0], words[0]) if adapter is not None and len(words) == 1 else tuple(words)
    if len(given) != 2:
        raise UsageError(
            "--transplant takes two models or captures.",
            where=" ".join(words),
            hint="forensics prove --transplant ./good ./bad",
        )
    questions = read_prompts(prompts) if prompts else None
    with spinner(" -> ".join(given)) as step:
        result = transplant(
            store, given[0], given[1], adapter=adapter, prompts=questions, seconds=seconds, on_step=step
        )
    if as_json:
        emit(result.document())
    else:
        _show(result)
    if result.same or result.smallest:
        return 0
    return 1 if result.complete else 4


def _show(result: Transplant) -> None:
    click.echo(result.sentence)
    for name in result.smallest[:_SHOWN]:
        click.echo(f"  {name}")
    if len(result.smallest) > _SHOWN:
        click.echo(f"  and {len(result.smallest) - _SHOWN} more (--json has them all)")
    if not result.same:
        differ = f"{result.questions - result.equal} of {result.questions} answers differ"
        click.echo(
            f"{differ}; {result.parts} parts differ; {result.tried} sets were tried"
            f"{'' if result.complete else ', then the time was spent; call it again to go on'}."
        )
