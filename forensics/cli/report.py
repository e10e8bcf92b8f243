"""forensics report: everything that was found, as one page."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.cli.completion import complete_refs
from forensics.cli.options import queries_option, store_option, trust_option
from forensics.cli.output import STDOUT, output

EXAMPLES = """\b
Examples:
  forensics report night -o night.html             a run
  forensics report night --open                    and look at it
  forensics report night@start night@end           two captures
  forensics report broken fixed -o both.html       two runs side by side
  forensics report one two three                   their curves over each other, and each in full
  forensics report ./base ./trained                two models on disk
  forensics report night --card night.svg          and a picture of the verdict to paste
"""


@click.command("report", epilog=EXAMPLES)
@click.argument("refs", nargs=-1, metavar="[A [B ...]]", shell_complete=complete_refs)
@click.option(
    "-o", "--output", "out", type=click.Path(dir_okay=False, path_type=Path), default=Path("report.html"),
    show_default=True, help="The page to write; - is stdout.",
)  # fmt: skip
@click.option(
    "--adapter",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="With a model on disk: the adapter on it.",
)
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--card", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.svg",
    help="Write the verdict as a picture to paste, too.",
)  # fmt: skip
@trust_option
@queries_option
@store_option
def command(
    refs: tuple[str, ...],
    out: Path,
    adapter: Path | None,
    show: bool,
    card: Path | None,
    queries: Path | None,
    store: Path | None,
) -> None:
    """Write one self-contained page: verdict, causes, what changed, training rows, answers.

    The page needs no network and runs no script, so it can be attached to a bug report and opened from a
    stranger. It shows prompts and answers: for a page without them, make a bundle first and report on that.
    """
    import webbrowser

    from forensics.cli.screen import note
    from forensics.errors import UsageError
    from forensics.files import write_whole
    from forensics.judge.pipeline import materials
    from forensics.report.html import page, verdicts
    from forensics.store.place import find

    if show and out == STDOUT:
        raise UsageError(
            "A page on stdout cannot be opened.", where="--open -o -", hint="Give a file with -o."
        )
    if card is not None and len(refs) > 2:
        raise UsageError(
            "A card is of one run, or of two.", where="--card", hint="Make one card a run, or leave it out."
        )
    pages = materials(find(store), refs, adapter=adapter, queries=queries)
    text = page(*pages).encode("utf-8", "replace")
    with output(out, "The page") as target:
        write_whole(target, text)
    if card is not None:
        from forensics.report.card import card as drawn

        with output(card, "The card", "--card") as target:
            write_whole(target, drawn(pages[0].diagnosis, pages[0].title).encode("utf-8", "replace"))
    click.echo(f"{out}: {verdicts(pages)}, {len(text) / 1000:.0f} KB", err=out == STDOUT)
    if show and not webbrowser.open(out.resolve().as_uri()):
        note(f"forensics: no browser could be opened; the page is {out.resolve()}.")
