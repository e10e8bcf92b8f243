"""forensics prove: run it again, as it was and with a cause taken away: what goes away?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from forensics.cli.completion import complete_refs
from forensics.cli.options import json_option, store_option

if TYPE_CHECKING:
    from forensics.prove.proof import Proof, Proving

EXAMPLES = """\b
Examples:
  forensics prove night                        each cause that diagnose names, and all of them together
  forensics prove night padding-in-loss        this one alone
  forensics prove night --repeats 5            more pairs of runs
  forensics prove night --steps 40             each run ends after 40 updates
  forensics prove --transplant ./good ./bad    the smallest part of B that makes A answer as B

Exit status: 0 a cure was proved, or there is nothing to prove; 1 none was; 4 the run could not be repeated as
recorded. With --transplant: 0 a smallest part was found, or both answer alike; 1 not even all of B is enough;
4 it could not be tried.
"""


@click.command("prove", epilog=EXAMPLES)
@click.argument("run", shell_complete=complete_refs)
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option(
    "--repeats",
    type=click.IntRange(1, 20),
    default=3,
    show_default=True,
    help="Pairs of runs for each cure; below 2 nothing is proved.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    metavar="N",
    help=(
        "End the training of each repeat after N updates. Without it all are done, or, where that would take"
        " more than ten minutes, as many as the recorded loss needs for nine tenths of its way."
    ),
)
@click.option("--again", is_flag=True, help="Run everything anew, also what an earlier call has done.")
@click.option(
    "--transplant",
    is_flag=True,
    help=(
        "Of two models or captures A B: which tensors, settings, template,"
        " stop set or sampler of B make A answer as B."
    ),
)
@click.option(
    "--adapter", type=click.Path(path_type=Path), metavar="DIR", help="With --transplant: the adapter on B."
)
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --transplant: what both are asked, as in capture.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    metavar="N",
    help="With --transplant: end the search after so long, with the best so far.",
)
@json_option
@store_option
@click.pass_context
def command(
    ctx: click.Context,
    run: str,
    ids: tuple[str, ...],
    repeats: int,
    steps: int | None,
    again: bool,
    transplant: bool,
    adapter: Path | None,
    prompts: Path | None,
    seconds: float | None,
    as_json: bool,
    store: Path | None,
) -> None:
    """Run it again with the cause cured, and without: what goes away?

    The recorded command of an own run is started in folders of its own, with its inputs as they are: once as
    it was, once with each cause taken away by our hooks (your files are not edited), once with all of them,
    and each of these with shifted seeds too. Writes outside of these folders, the network, other programs and
    questions are refused. An interrupted proof goes on where it was.
    """
    from forensics import evidence
    from forensics.cli.screen import emit, show, width
    from forensics.errors import UsageError
    from forensics.prove import document, proof
    from forensics.report.terminal import proving as told
    from forensics.store import proofs
    from forensics.store.place import find
    from forensics.store.store import Run

    _fitting(ctx, run, transplant)
    place = find(store)
    if transplant:
        from forensics.cli.transplant import transplanted

        ctx.exit(transplanted(place, (run, *ids), adapter, prompts, seconds, as_json))
    named = evidence.run_or_capture(place, run)
    if not isinstance(named, Run):
        raise UsageError("One capture cannot be run again.", where=run, hint="Name a run.")
    under_way = proof.Proving(place, named, repeats=repeats, again=again, steps=steps)
    chosen = under_way.chosen(ids)
    if not chosen:
        if as_json:
            emit(document.nothing(named.name, repeats))
        else:
            click.echo(f"{named.name}: nothing to prove: no cause was found.")
        ctx.exit(0)
    answer = document.document(_proved(under_way, chosen))
    proofs.remember(place, named.name, answer)
    if as_json:
        emit(answer)
    else:
        show(told.proof(answer, width()))
    if any(cure["outcome"] == "proved" for cure in answer["cures"]):
        ctx.exit(0)
    ctx.exit(1 if answer["repeatable"] else 4)


def _fitting(ctx: click.Context, run: str, transplant: bool) -> None:
    """Refuse what has no meaning for what is asked.

    Raises:
        UsageError: an option of the one way to prove is given with the other.
    """
    from forensics.errors import UsageError

    foreign = ("repeats", "steps", "again") if transplant else ("adapter", "prompts", "seconds")
    for name in foreign:
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            fits, given = ("the run of a program", "--transplant") if transplant else ("--transplant", run)
            raise UsageError(
                f"--{name} goes with {fits}, not with {given}.", where=f"--{name}", hint="Leave it out."
            )


def _proved(under_way: Proving, chosen: list[str]) -> Proof:
    from forensics.cli.progress import spinner
    from forensics.cli.screen import note

    plan = under_way.plan(chosen)
    if plan.runs:
        early = "" if plan.steps is None else f" of {plan.steps} steps"
        side = "" if plan.at_once == 1 else ", two side by side"
        note(
            f"forensics: {plan.runs} runs{early} at most{side}, about {_time(plan.seconds)};"
            " Ctrl-C keeps what is done."
        )
    with spinner(under_way.named.name) as step:
        return under_way.prove(chosen, step)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
