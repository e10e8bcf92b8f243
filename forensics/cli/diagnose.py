"""forensics diagnose: name the cause of what went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensics.cli.completion import complete_refs
from forensics.cli.options import json_option, one_form, queries_option, store_option, trust_option
from forensics.store.manifest import run_of

if TYPE_CHECKING:
    from forensics.judge.resolver import Opened
    from forensics.records import Diagnosis, TwoRuns
    from forensics.store.store import Store

EXAMPLES = """\b
Examples:
  forensics diagnose                                the newest run
  forensics diagnose night                          one run, from its first capture to its end
  forensics diagnose night@start night@saved        one capture against another
  forensics diagnose broken fixed                   two runs: what the one does that the other does not
  forensics diagnose ./base ./trained               models on disk, after the fact
  forensics diagnose ./base --adapter ./adapters    an adapter on its base
  forensics diagnose snapshots/broken-stub          a recorded run that the package ships
  forensics diagnose night --markdown               to paste into an issue
  forensics diagnose night --sarif night.sarif --github

Exit status: 0 healthy; 1 a finding at or above --fail-on; 2 no such thing, unreadable; 3 damaged;
4 inconclusive.
"""


@click.command("diagnose", epilog=EXAMPLES)
@click.argument("refs", nargs=-1, metavar="[A [B]]", shell_complete=complete_refs)
@click.option(
    "--adapter",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="With a model on disk: the adapter on it.",
)
@click.option(
    "--fail-on", type=click.Choice(["error", "warning", "info"]), default="warning", show_default=True,
    help="The least severe finding that makes the exit status 1.",
)  # fmt: skip
@click.option(
    "--wait", is_flag=True, help="Where a run is still recorded or sealed: wait until it is in the store."
)
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="ID[=REASON]",
    help="A finding that is accepted: shown, never counted.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Show all evidence, all that is clean, all that was not evaluated.",
)
@click.option("--markdown", is_flag=True, help="Print Markdown, to paste into an issue.")
@click.option(
    "--github",
    is_flag=True,
    help="Print annotations of GitHub Actions, and add the Markdown to the job's summary.",
)
@click.option(
    "--sarif",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write SARIF 2.1.0 as well, for code scanning.",
)
@trust_option
@json_option
@queries_option
@store_option
@click.pass_context
def command(
    ctx: click.Context,
    refs: tuple[str, ...],
    adapter: Path | None,
    fail_on: str,
    wait: bool,
    allowed: tuple[str, ...],
    everything: bool,
    markdown: bool,
    github: bool,
    sarif: Path | None,
    as_json: bool,
    queries: Path | None,
    store: Path | None,
) -> None:
    """Name the cause of what went wrong, with its evidence.

    A run is judged from its first capture to its end, with all that was seen in between. Causes come first,
    and what follows from them stands under them. What was not captured is not evaluated, and nothing is
    claimed about it.

    HEALTHY needs a watched run of which all that decides was seen; models on disk are INCONCLUSIVE where
    nothing is found. What you accept stands, with a reason, under [[tool.forensics.allow]] in pyproject.toml.
    """
    from forensics.judge import allow
    from forensics.judge.diagnose import diagnose_opened, document
    from forensics.judge.resolver import opened
    from forensics.store.place import find

    one_form(json=as_json, markdown=markdown, github=github)
    place = find(store)
    if wait:
        _wait(place, refs)
    evidence = opened(place, refs, adapter=adapter, queries=queries)
    result = diagnose_opened(
        evidence, allow.given(allowed, [detector.name for detector in evidence.library.detectors])
    )
    if adapter is None and queries is None and not allowed:
        _remember(place, refs, document(result))
    if sarif is not None:
        _write_sarif(sarif, result)
    if as_json:
        from forensics.cli.screen import emit

        emit(document(result))
    elif markdown or github:
        _for_issues(evidence, result, github)
    else:
        from forensics.cli.screen import show, width
        from forensics.judge.collector import steps
        from forensics.judge.picture import heat
        from forensics.report.terminal.diagnosis import diagnosis

        picture = (
            heat(evidence.session, result.a, result.b) if everything and evidence.two_runs is None else None
        )
        show(
            diagnosis(
                result,
                width(),
                everything=everything,
                steps=steps(evidence.session, evidence.b),
                heat=picture,
            )
        )
    ctx.exit(status(result, fail_on))


def _write_sarif(path: Path, diagnosis: Diagnosis | TwoRuns) -> None:
    import json

    from forensics.cli.output import output
    from forensics.report import sarif

    with output(path, "The SARIF file", "--sarif") as target:
        target.write_text(json.dumps(sarif.log(diagnosis), indent=1) + "\n", encoding="ascii")


def _for_issues(evidence: Opened, diagnosis: Diagnosis | TwoRuns, github: bool) -> None:
    """Markdown for an issue: on stdout, or in GitHub's job summary with annotations on stdout."""
    import os

    from forensics.judge.collector import environment
    from forensics.report import annotations, markdown

    text = markdown.diagnosis(diagnosis, environment(evidence.session, evidence.b))
    if not github:
        click.echo(text, nl=False)
        return
    for line in annotations.lines(diagnosis):
        click.echo(line)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8", errors="replace") as file:
            file.write(text)


def _wait(place: Store, refs: tuple[str, ...]) -> None:
    """Wait for the named runs, or for every run under way, and seal what a killed one left behind."""
    from forensics.capture.watchedrun import recover
    from forensics.cli.screen import note
    from forensics.store import unsealed

    for run in [place.newest_named(run_of(ref)) for ref in refs] or unsealed.names(place.root):
        unsealed.wait(place.root, run)
    recover(place, note)


def _remember(place: Store, refs: tuple[str, ...], document: dict[str, Any]) -> None:
    """Keep what was said of a whole run, for `list` and SQL."""
    from forensics.store.verdicts import remember

    run = run_of(str(document["b"]))
    if refs in ((), (run,)) and run in place.run_names():
        remember(place, run, document)


def status(diagnosis: Diagnosis | TwoRuns, fail_on: str) -> int:
    """The exit status of a diagnosis; of two runs it is that of the second, whose verdict it bears."""
    order = ("info", "warning", "error")
    judged = getattr(diagnosis, "runs", (diagnosis,))[-1]
    if any(order.index(finding.severity) >= order.index(fail_on) for finding in judged.findings):
        return 1
    return 4 if diagnosis.verdict == "inconclusive" else 0
