"""forensics diff: two captures, models or runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.cli.completion import complete_refs
from forensics.cli.options import json_option, queries_option, store_option

EXAMPLES = """\b
Examples:
  forensics diff night                       a run's first capture and its end
  forensics diff night@start night@saved     two captures
  forensics diff broken fixed                the ends of two runs
  forensics diff ./base ./trained            two models on disk
  forensics diff ./base --adapter ./adapters a model without and with an adapter
  forensics diff ./base ./fused --adapter ./adapters    is the fused model base plus adapter?

Exit status: 0 the same; 1 differs; 2 no such thing, unreadable; 3 damaged; 4 nothing to compare.
"""


@click.command("diff", epilog=EXAMPLES)
@click.argument("refs", nargs=-1, metavar="[A [B]]", shell_complete=complete_refs)
@click.option(
    "--adapter",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="With a model on disk: the adapter on it.",
)
@click.option("--all", "everything", is_flag=True, help="Show every difference.")
@json_option
@queries_option
@store_option
@click.pass_context
def command(
    ctx: click.Context,
    refs: tuple[str, ...],
    adapter: Path | None,
    everything: bool,
    as_json: bool,
    queries: Path | None,
    store: Path | None,
) -> None:
    """Compare two captures, models or runs.

    Parameters are paired by canonical name, so that a layer that got an adapter is still the same layer;
    quantized weights are compared by value. Modules, adapters, optimizers, settings and answers are compared
    where both sides have them: what a file never says is no difference from a live model.
    """
    from forensics.judge.compare import compare, document
    from forensics.judge.resolver import opened
    from forensics.store.place import find

    evidence = opened(find(store), refs, adapter=adapter, queries=queries, light=True)
    result = compare(evidence.session, evidence.a, evidence.b)
    if as_json:
        from forensics.cli.screen import emit

        emit(document(result))
    else:
        from forensics.cli.screen import show, width
        from forensics.judge.picture import heat
        from forensics.report.terminal.difference import comparison

        show(
            comparison(result, heat(evidence.session, evidence.a, evidence.b), width(), everything=everything)
        )
    ctx.exit({True: 0, False: 1, None: 4}[result.same])
