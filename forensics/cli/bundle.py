"""forensics bundle: the one file that goes into a bug report."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensics.cli.completion import complete_refs
from forensics.cli.options import json_option, store_option
from forensics.cli.output import STDOUT, output

if TYPE_CHECKING:
    from forensics.bundle.contents import Level, Selected
    from forensics.bundle.write import Staged
    from forensics.store.store import Store

EXAMPLES = """\b
Examples:
  forensics bundle night -o bug.zip                 tables, statistics, findings, report; no text, no weights
  forensics bundle night -o bug.zip --dry-run       what would leave, and what would not
  forensics bundle night -o bug.zip --level changed with the tensors that the training changed
  forensics bundle broken fixed -o both.zip         two runs
  forensics bundle night -o bug.zip --sign key.pem  signed; checked with: open --key public.pem
"""
_DIGEST = re.compile(r"[0-9a-f]{32,64}")
MB = 1_000_000


@click.command("bundle", epilog=EXAMPLES)
@click.argument("refs", nargs=-1, required=True, metavar="REF...", shell_complete=complete_refs)
@click.option(
    "-o", "--output", "out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Default: NAME.forensics.zip; - is stdout.",
)  # fmt: skip
@click.option(
    "--level", type=click.Choice(["stats", "changed", "full"]), default="stats", show_default=True,
    help="Tensors in it: none; those that differ; all that are kept.",
)  # fmt: skip
@click.option(
    "--include-text",
    is_flag=True,
    help=(
        "Prompts, answers, training text, token ids, texts of settings and of errors as well; command lines,"
        " secrets, paths, user and host never."
    ),
)
@click.option(
    "--personal", type=click.Choice(["ask", "mask", "keep"]), default="ask", show_default=True,
    help="With --include-text: phone, card and social security numbers and IBANs in the texts."
    " Where nobody can be asked they are masked.",
)  # fmt: skip
@click.option(
    "--dry-run",
    is_flag=True,
    help="List every word that would leave, by where it stands; with -o to that file. No bundle is written.",
)
@click.option(
    "--max-size",
    type=click.IntRange(min=1),
    default=25 * MB,
    show_default=True,
    metavar="BYTES",
    help="Stop where it would be larger.",
)
@click.option(
    "--sign",
    "key",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="KEY",
    help="Sign it with an elliptic private key (PEM); needs mlx-forensics[sign].",
)
@json_option
@store_option
def command(
    refs: tuple[str, ...],
    out: Path | None,
    level: Level,
    include_text: bool,
    personal: str,
    dry_run: bool,
    max_size: int,
    key: Path | None,
    as_json: bool,
    store: Path | None,
) -> None:
    """Write runs and captures into one zip that may leave the machine.

    Prompts, answers, training text and token ids stay at home unless --include-text is given; command lines,
    paths, user and host always do. Where tokens stand for them, what each stands for is written down in the
    store. Weights can hold memorised text: levels changed and full send some.
    """
    from forensics import evidence
    from forensics.bundle import contents, write
    from forensics.errors import UsageError
    from forensics.store.place import find

    if personal != "ask" and not include_text:
        raise UsageError(
            "No text leaves, and with it no personal number.",
            where=f"--personal {personal}",
            hint="Leave it out, or add --include-text.",
        )
    if out == STDOUT and not dry_run:
        _may_be_stdout(as_json)
    place = find(store)
    sign = _signer(key) if key else None
    selected = contents.select(evidence.chosen(place, refs))
    with ExitStack() as stack:
        staged = write.stage(
            place, selected, level, text=include_text, stack=stack, people=personal == "keep"
        )
        if _wanted(staged, personal, dry_run):
            staged = write.stage(place, selected, level, text=include_text, stack=stack, people=True)
        staged.extra = _judged(staged, stack, _proofs(place, staged))
        if dry_run and out is not None and out != STDOUT and not as_json:
            _listed(staged, out)
            return
        out = out or Path(f"{(staged.runs or [staged.captures[0].partition('@')[0]])[0]}.forensics.zip")
        if dry_run:
            _dry(staged, out, max_size, as_json)
            return
        _fits(staged, max_size, selected)
        with output(out, "The bundle") as target:
            identity = write.finish(staged, target, sign=sign)
            nbytes = target.stat().st_size
        where = _remembered(place, staged, identity)
    answer = {
        "schema": 1,
        "file": str(out),
        "id": identity,
        "level": level,
        "signed": key is not None,
        "nbytes": nbytes,
        "map": where,
    }
    if as_json:
        from forensics.cli.screen import emit

        emit(answer)
    else:
        _say(answer, staged, beside=out == STDOUT)


def _wanted(staged: Staged, personal: str, dry_run: bool) -> bool:
    """Whether phone numbers, IBANs and the like in the texts go as well: asked once, on a terminal.

    Without one they stay here.
    """
    from forensics.cli.screen import note
    from forensics.units import counted

    numbers = staged.redactor.personal
    if not numbers or personal != "ask":
        return False
    listed = ", ".join(counted(n, kind) for kind, n in sorted(numbers.items()))
    if not dry_run and sys.stdin.isatty() and sys.stderr.isatty():
        return click.confirm(f"The texts hold {listed}. Send them as they are?", default=False, err=True)
    note(f"forensics: the texts hold {listed}: masked (--personal keep sends them).")
    return False


def _may_be_stdout(as_json: bool) -> None:
    """A zip is for a pipe or a file, and nothing else may stand there."""
    from forensics.errors import UsageError

    if as_json:
        raise UsageError(
            "Two things cannot both be on stdout.", where="-o - --json", hint="Give a file: -o bug.zip"
        )
    if sys.stdout.isatty():
        raise UsageError(
            "A terminal cannot show a zip.",
            where="-o -",
            hint="Send it on (-o - | ...), or give a file: -o bug.zip",
        )


def _remembered(place: Store, staged: Staged, identity: str) -> str | None:
    """Where the store keeps what was redacted.

    None, with a warning, where it may only be read: the bundle is whole without.
    """
    from forensics.bundle import write
    from forensics.cli.screen import note

    try:
        return str(write.remember(place, staged, identity))
    except OSError as error:
        note(f"forensics: what each redacted text was is not kept: {error.strerror} ({place.root}).")
        return None


def _signer(key: Path) -> Callable[[bytes], bytes]:
    """Signs with a key that is tried at once: a wrong one must not cost the time of a whole bundle."""
    from forensics.bundle import signing

    password = click.prompt(f"Password of {key}", hide_input=True, err=True) if signing.locked(key) else None
    signing.sign(b"", key, password)
    return lambda manifest: signing.sign(manifest, key, password)


def _fits(staged: Staged, limit: int, selected: Selected) -> None:
    """Stop where the bundle is larger than wanted, and say what is largest and which level fits."""
    from forensics.bundle import contents, write
    from forensics.errors import UsageError
    from forensics.units import size

    if staged.nbytes() <= limit:
        return
    largest = ", ".join(f"{name} {size(n)}" for name, n in staged.largest()[:3] if n)
    hint = f"Give --max-size {staged.nbytes()}, or name fewer captures."
    for level in reversed(contents.LEVELS[: contents.LEVELS.index(staged.level)]):
        if write.size_at(staged, selected, level) <= limit:
            hint = f"--level {level} fits; or give --max-size {staged.nbytes()}."
            break
    raise UsageError(
        f"The bundle would have {size(staged.nbytes())}, above {size(limit)}. Largest: {largest}.",
        f"--level {staged.level}",
        hint,
    )


def _proofs(place: Store, staged: Staged) -> dict[str, dict[str, Any]]:
    """By run: what of its proof may leave the machine."""
    from forensics.bundle.proofs import sent
    from forensics.store import proofs

    found = {run: proofs.recall(place, run) for run in staged.runs}
    return {run: sent(document) for run, document in found.items() if document is not None}


def _judged(staged: Staged, stack: ExitStack, proved: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """Findings and report, made from what is in the bundle alone.

    The bundle is opened here first, as its receiver will open it.
    """
    import json

    from forensics import files
    from forensics.bundle import scratchstore, write
    from forensics.judge.diagnose import diagnose, document
    from forensics.judge.pipeline import materials
    from forensics.report import markdown
    from forensics.report.html import page
    from forensics.store import proofs
    from forensics.store.packs import Packs
    from forensics.store.store import Store

    if not staged.runs:
        return {}
    place = stack.enter_context(files.temporary("bundle"))
    write.finish(staged, place / "trial.zip", tensors=False)
    store = Store(scratchstore.passing_store(place / "trial.zip", str(place), Packs(place)).root)
    for run, each in proved.items():
        proofs.remember(store, run, each)
    proof = (json.dumps({"schema": 1, "runs": proved}, indent=1) + "\n").encode()
    try:
        shown = materials(store, staged.runs[:2])
        judged = (
            {staged.runs[0]: shown[0].diagnosis}
            if len(staged.runs) == 1
            else {run: diagnose(store, [run]) for run in staged.runs}
        )
        documents = {run: document(diagnosis) for run, diagnosis in judged.items()}
        return ({"proof.json": proof} if proved else {}) | {
            "findings.json": (
                (json.dumps({"schema": 1, "runs": documents}, ensure_ascii=False, indent=1) + "\n").encode()
            ),
            "report.html": page(*shown).encode("utf-8", "replace"),
            "summary.md": (
                "\n".join(
                    markdown.diagnosis(diagnosis, shown[0].environment if len(judged) == 1 else None)
                    for diagnosis in judged.values()
                ).encode("utf-8", "replace")
            ),
        }
    except Exception as error:  # noqa: BLE001   the evidence may leave without our opinion of it
        click.echo(
            f"forensics: no findings and no report in the bundle: {type(error).__name__}: {error}", err=True
        )
        return {}


def _leaving(staged: Staged) -> dict[str, list[str]]:
    """Each text that leaves, by column; digests are none."""
    words = {"names of runs and captures": sorted({*staged.runs, *staged.captures})}
    for column, texts in sorted(staged.redactor.leaving.items()):
        shown = sorted(text for text in texts if not _DIGEST.fullmatch(text))
        if shown:
            words[column] = shown
    return words


def _dry(staged: Staged, out: Path, limit: int, as_json: bool) -> None:
    from forensics.cli.screen import emit
    from forensics.units import counted, size

    leaving, redacted = (
        _leaving(staged),
        {column: n for column, n in sorted(staged.redactor.counts.items()) if n},
    )
    if as_json:
        emit(
            {
                "schema": 1, "file": str(out), "level": staged.level, "nbytes": staged.nbytes(),
                "fits": staged.nbytes() <= limit, "tensors": len(staged.tensors),
                "differences": len(staged.tensors.differences), "leaves": leaving, "redacted": redacted,
                "tokens": staged.redactor.map,
            }
        )  # fmt: skip
        return
    click.echo(
        f"{out}: about {size(staged.nbytes())} at level {staged.level},"
        f" {counted(len(staged.tensors), 'tensor')}; nothing was written.\n"
    )
    click.echo(f"Leaves as it is:\n{_words(leaving)}")
    click.echo("\nRedacted (column, times):")
    for column, count in redacted.items():
        click.echo(f"  {column}: {count:,}")
    click.echo("\n-o FILE writes the list there; --json has it too, and what each token stands for.")


def _words(leaving: dict[str, list[str]]) -> str:
    """Every text that leaves, one a line and uncut, under the column in which it stands."""
    from forensics.errors import escaped

    return "\n".join(
        "\n".join([f"  {column}", *(f"    {escaped(t)}" for t in texts)]) for column, texts in leaving.items()
    )


def _listed(staged: Staged, out: Path) -> None:
    """The same list as a file."""
    from forensics.units import counted

    leaving = _leaving(staged)
    with output(out, "The list") as target:
        target.write_text(_words(leaving) + "\n", encoding="utf-8", errors="backslashreplace")
    click.echo(
        f"{out}: {counted(sum(map(len, leaving.values())), 'text')} that would leave; no bundle was written."
    )


def _say(answer: dict[str, Any], staged: Staged, *, beside: bool) -> None:
    """What is in it, and what is not; on stderr where it is on stdout itself."""
    from forensics.units import counted, size

    say = partial(click.echo, err=beside)
    count = sum(staged.redactor.counts.values())
    tensors = (
        f"{counted(len(staged.captures), 'capture')},"
        f" {counted(len(staged.tensors), 'tensor')}{', signed' if answer['signed'] else ''}"
    )
    say(f"{answer['file']}: {size(answer['nbytes'])}, {tensors}, {counted(count, 'value')} redacted")
    if staged.tensors:
        say("Weights can hold memorised text.")
    if staged.tensors.differences:
        count, against = len(staged.tensors.differences), " and ".join(staged.tensors.against)
        say(
            f"{count:,} of them are differences: whoever reads them needs the model of {against} as well."
            " --level full sends all whole."
        )
    if answer["map"]:
        say(f"Stays here: {answer['map']}, which says what each redacted text was.")
