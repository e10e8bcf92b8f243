"""`%load_ext forensics`: a cell whose training is captured, and then judged under it.

%%capture_run night --every 10
train(model)
"""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from forensics.errors import UsageError
from forensics.live import capture

MAGIC = "capture_run"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as we do, and does not end the kernel."""

    def error(self, message: str) -> Any:
        raise UsageError(message, f"%%{MAGIC}", f"%%{MAGIC} night --every 10")


def _parser() -> _Parser:
    parser = _Parser(prog=f"%%{MAGIC}", add_help=False)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--prompts")
    parser.add_argument("--every", type=int)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--tensors", default="all")
    parser.add_argument("--scorer", dest="scorers", action="append", default=[])
    parser.add_argument("--expect")
    parser.add_argument("--selftest", default="quick")
    parser.add_argument("--no-reload", dest="reload", action="store_false")
    parser.add_argument("--store")
    parser.add_argument("--quiet", action="store_true")
    return parser


def capture_run(line: str, cell: str) -> Any:
    """Run the cell under `forensics.capture(...)` and show the diagnosis.

    The options of `forensics.capture` stand in the cell's first line.

    Raises:
        UsageError: options that are none.
    """
    options = vars(_parser().parse_args(shlex.split(line)))
    shell = get_shell()
    recording = capture(**options)
    result = _run(shell, cell)
    recording._end(result.error_before_exec or result.error_in_exec)
    if not result.success:
        return None  # IPython has shown the exception of the cell
    return recording.diagnosis if recording.name is not None else None


def _run(shell: Any, cell: str) -> Any:
    """Run the body of the cell under its number, with the lines that the notebook shows.

    The magic is the first line.
    """
    number, cache = len(shell.history_manager.input_hist_parsed) - 1, shell.compile.cache

    def numbered(code: str, *args: Any, **options: Any) -> Any:
        return cache(code, number, **{key: value for key, value in options.items() if key != "number"})

    shell.compile.cache = numbered
    try:
        return shell.run_cell(cell if cell.lstrip().startswith("%%") else f"# captured\n{cell}")
    finally:
        del shell.compile.cache


def get_shell() -> Any:
    """The running IPython shell."""
    from IPython import get_ipython  # there in notebooks alone

    return get_ipython()


def load(shell: Any) -> None:
    """Register the magic."""
    shell.register_magic_function(capture_run, "cell", MAGIC)


def unload(shell: Any) -> None:
    """Take the magic away."""
    shell.magics_manager.magics["cell"].pop(MAGIC, None)
