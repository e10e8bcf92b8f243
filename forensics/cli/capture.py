"""forensics capture: around a training run, or of a model at rest."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensics.cli.options import store_option, trust_option
from forensics.cli.screen import note
from forensics.cli.words import as_command, command_start
from forensics.errors import ForensicsError, UsageError

if TYPE_CHECKING:
    from forensics.store.store import Store

_FORM = 'Write max_store = "50GB" under [tool.forensics].'
EXAMPLES = """\b
Examples:
  forensics capture --name night -- python train.py --epochs 2
  forensics capture -- mlx_lm.lora --config lora.yaml
  forensics capture --stop-on error -- python train.py         ends it where a finding is certain
  forensics capture -- mlx.launch -n 2 python train.py
  forensics capture --scorer judge:brief -- python train.py    judge.py: def brief(prompt, output): return 1.0
  forensics capture --name base ./SmolLM2-135M-Instruct
  forensics capture ./SmolLM2-135M-Instruct --adapter ./adapters
  forensics capture s3://bucket/model --tensors none --executor dask://localhost:8786
"""


class CommandAfterDashes(click.Command):
    """What follows the first `--` is the user's own command, to the letter.

    So is a script or program that is named without it.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            cut = args.index("--")
            ctx.meta["forensics.command"] = tuple(args[cut + 1 :])
            args = args[:cut]
        elif (start := command_start(self, args)) is not None:
            words = as_command(args[start:])
            ctx.meta["forensics.command"] = words
            ctx.meta["forensics.understood"] = (
                f"forensics: taken as: forensics capture -- {shlex.join(words)}"
            )
            args = args[:start]
        return super().parse_args(ctx, args)


def _scorer(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not all(part.strip() for part in value.partition(":")[::2]):
            raise click.BadParameter(f"{value!r} is not module:function.")
    return values


@click.command("capture", cls=CommandAfterDashes, epilog=EXAMPLES)
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option(
    "--name", metavar="NAME", help="Name of the run; default: the script's or the model directory's."
)
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Probe prompts: one user message a line, or JSON lines with prompt, messages or ids.",
)
@click.option(
    "--every", type=click.IntRange(min=1), metavar="N", help="Capture after every N-th update as well."
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1, 4096),
    default=48,
    show_default=True,
    help="Longest answer of a probe.",
)
@click.option(
    "--scorer",
    "scorers",
    multiple=True,
    callback=_scorer,
    metavar="MODULE:FUNCTION",
    help=(
        "Score each answer by your own function(prompt, output), which gives a number or a mapping of"
        " numbers; may be given again."
    ),
)
@click.option(
    "--expect",
    type=click.Choice(["lora", "dora", "full", "none"]),
    help=(
        "What you meant to train; default: what the program declares. diagnose faults a run without the"
        " adapter (lora, dora), one that trains an adapter of another kind, any adapter (full, none), or the"
        " weights themselves (none)."
    ),
)
@click.option(
    "--tensors",
    type=click.Choice(["all", "new", "trainable", "none"]),
    default="all",
    show_default=True,
    help="Which tensors' bytes are kept.",
)
@click.option(
    "--stop-on",
    type=click.Choice(["error", "warning"]),
    help=(
        "Judge the run beside it after steps 1, 3, 8 and 32, and interrupt it as Ctrl-C does where such a"
        " finding is certain; then the exit status is 1."
    ),
)
@click.option(
    "--tell",
    metavar="COMMAND",
    help=(
        "As --stop-on, but run this command of yours with the finding as JSON on stdin; the run goes on"
        " unless --stop-on is given too."
    ),
)
@click.option(
    "--selftest",
    type=click.Choice(["quick", "full", "off"]),
    default="quick",
    show_default=True,
    help=(
        "Ask a model before its first update about its own first batch: does it see the tokens that it"
        " predicts, or the other rows? Is its backward pass right, where it has one of its own"
        " (mx.custom_function)? full: is the gradient that of the loss, too, for which your loss is called"
        " again."
    ),
)
@click.option("--no-reload", is_flag=True, help="Do not load what was saved in a fresh process.")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings.")
@click.option(
    "--adapter", type=click.Path(path_type=Path), metavar="DIR", help="With MODEL: the adapter on it."
)
@click.option(
    "--executor",
    metavar="dask://HOST:PORT",
    help="With MODEL: measure on this Dask cluster, whose workers see the model at the same address.",
)
@trust_option
@store_option
@click.pass_context
def command(
    ctx: click.Context,
    model: Path | None,
    name: str | None,
    prompts: Path | None,
    every: int | None,
    max_tokens: int,
    scorers: tuple[str, ...],
    expect: str | None,
    tensors: str,
    stop_on: str | None,
    tell: str | None,
    selftest: str,
    no_reload: bool,
    quiet: bool,
    adapter: Path | None,
    executor: str | None,
    store: Path | None,
) -> None:
    """Record a training run, or a model at rest.

    With a COMMAND after --, runs it unchanged and records its models, optimizer, loss and answers as it goes;
    the command prints, computes and exits as it would without. With a MODEL, reads a directory, a
    .safetensors file, a sharded index, a .gguf, or an adapter directory, on disk or at a URL that fsspec
    knows (s3://, hf://).
    """
    words: tuple[str, ...] = ctx.meta.get("forensics.command", ())
    if (model is None) == (not words):
        raise UsageError(
            "Give either a command after -- or the path of a model.",
            where="forensics capture",
            hint="forensics capture -- python train.py    or    forensics capture ./model",
        )
    of_models: dict[str, object] = {"--adapter": adapter, "--executor": executor}
    of_commands: dict[str, object] = {
        "--every": every,
        "--no-reload": no_reload,
        "--expect": expect,
        "--stop-on": stop_on,
        "--tell": tell,
        "--selftest": selftest != "quick",
    }
    if tell is not None and not tell.strip():
        raise UsageError(
            "--tell needs a command.", where="--tell ''", hint="For example: --tell 'cat >> findings.jsonl'"
        )
    for option, value in (of_models if words else of_commands).items():
        if value:
            fits, given = (
                ("a model at rest", "a command") if words else ("a command after --", "a model at rest")
            )
            raise UsageError(
                f"{option} goes with {fits}, not with {given}.", where=option, hint="Leave it out."
            )
    from forensics.capture.prompts import read_prompts
    from forensics.store.place import find

    questions = read_prompts(prompts) if prompts else None
    place = find(store)
    if words:
        from forensics.capture.watchedrun import Settings, watch_run

        settings = Settings(
            name=name,
            every=every,
            max_tokens=max_tokens,
            tensors=tensors,
            prompts=questions,
            scorers=scorers,
            expect=expect,
            reload=not no_reload,
            selftest=selftest,
            stop_on=stop_on,
            tell=tell,
        )
        say, show = (_hush, _hush) if quiet else (note, _show)
        if "forensics.understood" in ctx.meta:
            say(ctx.meta["forensics.understood"])
        ended = watch_run(place, words, settings, say, note, show)
        _full(place)
        ctx.exit(ended.exit_code)
    from forensics.capture.rest import capture_rest
    from forensics.model.remote import located

    model = model and located(model)
    if not model or not model.exists():
        if str(model).endswith(".py"):
            raise UsageError(f"There is no file {str(model)!r}.", where=str(model), hint="Check the path.")
        hint = f"To watch a command, put -- before it: forensics capture -- {shlex.quote(str(model))} ..."
        raise UsageError(f"There is no model at {str(model)!r}.", where=str(model), hint=hint)
    summary = capture_rest(
        place,
        model,
        adapter,
        name=name,
        tensors=tensors,
        prompts=questions,
        max_tokens=max_tokens,
        scorers=scorers,
        warn=note,
        executor=executor,
    )
    if not quiet:
        note(summary)


def _full(place: Store) -> None:
    """Say where the store takes more than the project allows it.

    Nothing is removed that nobody asked to remove.
    """
    from forensics import settings
    from forensics.store import upkeep
    from forensics.units import parse, size

    try:
        setting = settings.nearest(Path.cwd(), _FORM)
        limit = setting and setting[1].get("max_store")
        if setting is None or limit is None:
            return
        taken = upkeep.nbytes(place)
        if taken > parse(str(limit)):
            note(
                f"forensics: the store takes {size(taken)}, more than the {limit} of {setting[0]}:"
                f" forensics gc --max-size {limit}"
            )
    except (ForensicsError, OSError, ValueError) as error:  # after the command, whose status stands
        note(f"forensics: max_store cannot be understood: {error}. {_FORM}")


def _hush(_: str) -> None:
    pass


def _show(line: str) -> None:
    """A line on a terminal that the next one covers."""
    if sys.stderr.isatty():
        click.echo(f"{line}\r", err=True, nl=False)
