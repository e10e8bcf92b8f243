"""A watched program is the program, whatever of ours fails.

The same output, status, weights and random draws, to the bit.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.support import tiny, training, watched

BRIEF = ("loop", "mlx-lm")
LONG = [name for name in training.PROGRAMS if name not in BRIEF]
# seconds and rates that mlx-lm measures of itself
_MEASURED = re.compile(r"\d[\d.,]*s\b|\x1b\[1m *[\d,]+\x1b\[0m|\[?\d+:\d+\]?")


@pytest.mark.parametrize("name", [*BRIEF, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)])
def test_watched_is_plain(name: str) -> None:
    seen, plain = training.ran(name), training.ran(name, watch=False)
    assert plain.status == 0, plain.stderr
    assert (seen.status, seen.stderr) == (plain.status, plain.stderr)
    if name == "mlx-lm":
        assert _MEASURED.sub("", seen.stdout) == _MEASURED.sub("", plain.stdout)
        saved = [run.spool.parent / "adapters" / "adapters.safetensors" for run in (seen, plain)]
        assert saved[0].read_bytes() == saved[1].read_bytes()
    else:
        assert seen.stdout == plain.stdout
        assert "weights" in plain.stdout
    assert seen.processes, "it was watched"
    assert [row["what"] for row in seen.rows("missing")] == []


BROKEN = {
    "loss taps": ("hooks.losses", ["_looked_at", "_through", "reduce", "print_of", "_taken"]),
    "gradients": ("hooks.gradients", ["model_of", "_finished", "few"]),
    "subjects": ("training.subjects", ["root_of", "_holds", "_fits", "_renewed"]),
    "logits": ("training.logits", ["_all", "_few", "unfused", "alone"]),
    "updates": ("hooks.updates", ["model_of", "_observed", "norms", "applied", "write"]),
    "compiled functions": ("hooks.compiling", ["_described", "_first", "_write"]),
    "state": ("training.state", ["placed", "parts", "_all"]),
    "the ledger": ("training.steps", ["emit", "replay", "_add", "_write"]),
    "rows": ("training.rows", ["write", "_forward"]),
    "phases": ("capture.phases", ["_start", "_converted_by_hand", "applied"]),
    "boundaries": ("capture.boundaries", ["_end", "flush"]),
    "points": ("capture.points", ["take"]),
    "captures": ("capture.snapshot", ["take"]),
    "digests": ("capture.digests", ["settings", "digest_of"]),
}


@pytest.mark.parametrize(
    "part",
    [
        part if part in ("loss taps", "the ledger") else pytest.param(part, marks=pytest.mark.long)
        for part in BROKEN
    ],
)
@pytest.mark.parametrize("name", ["loop", pytest.param("compiled", marks=pytest.mark.long)])
def test_a_fault_of_ours_leaves_the_program_alone(name: str, part: str, tmp_path: Path) -> None:
    """Each function of a part is made to raise, from before the program begins.

    Plain, these lines do nothing.
    """
    module, functions = BROKEN[part]
    lines = f"""
import sys
import mlx.core, mlx.nn, mlx.optimizers
def broken(*args, **kwargs): raise RuntimeError("ours")
if "_forensics_watch" in sys.modules:
    import importlib
    for function in {functions!r}:
        part = importlib.import_module("_forensics_watch.{module}")
        assert callable(getattr(part, function)), function
        setattr(part, function, broken)
"""
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "model").symlink_to(tiny.cached(), target_is_directory=True)
    tiny.write_data(directory / "data")
    seen, plain = watched.run(directory, lines + training.program(name)), training.ran(name, watch=False)
    assert (seen.status, seen.stdout, seen.stderr) == (plain.status, plain.stdout, plain.stderr)
    assert seen.processes


@pytest.mark.long
def test_kernels_of_a_compiled_step_are_those_without_us(tmp_path: Path) -> None:
    """On a CPU mlx writes each fused kernel as C++ and has it compiled.

    There must be the same kernels, none more, and none that holds more.
    """
    # as the probes do: not compiled
    program = training.program("compiled") + "\nmx.eval(model(batch), model(batch[:1, :8]))\n"
    kernels = []
    for watch in (True, False):
        directory = tmp_path / f"run-{watch}"
        directory.mkdir()
        (directory / "model").symlink_to(tiny.cached(), target_is_directory=True)
        tiny.write_data(directory / "data")
        done = watched.run(directory, program, watch=watch, env={"TMPDIR": str(directory)})
        assert done.status == 0, done.stderr
        kernels.append(
            sorted(
                re.findall(
                    r"^void (\w+)\(",
                    "".join(path.read_text() for path in directory.rglob("*.cpp")),
                    re.MULTILINE,
                )
            )
        )
    assert kernels[0] == kernels[1]
    if sys.platform == "linux":
        assert kernels[0]
