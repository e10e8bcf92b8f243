"""What people type.

Options before the command, a mistyped command, a command to watch without `--`, a name taken twice.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from forensics.cli.words import as_command, behind_command, no_such_command
from tests.support.command import environment

TRAINS = """
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
model, optimizer = nn.Linear(4, 4), optim.SGD(learning_rate=0.1)
step = nn.value_and_grad(model, lambda model, x: (model(x) ** 2).mean())
for _ in range(2):
    loss, gradients = step(model, mx.ones((2, 4)))
    optimizer.update(model, gradients)
    mx.eval(model.parameters())
print("trained", *__import__("sys").argv[1:])
"""


def forensics(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The program as a user starts it, in `cwd`."""
    variables = {key: value for key, value in environment().items() if key != "FORENSICS_STORE"}
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables.get('PATH', '')}"
    command = [sys.executable, "-m", "forensics", *words]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--store X list", "list --store X"),
        ("--store=X list", "list --store=X"),
        ("--json --debug diagnose night", "--debug diagnose --json night"),
        ("--queries Q query name", "query --queries Q name"),
        ("capture --store X -- python --store Y", "capture --store X -- python --store Y"),
        ("--help", "--help"),
    ],
)
def test_options_before_the_command_are_its_own(typed: str, meant: str) -> None:
    assert behind_command(typed.split()) == meant.split()


def test_a_mistyped_command_is_answered_with_the_line_to_type() -> None:
    error = no_such_command("diagnoes", ["diagnose", "diff"], ["diagnoes", "night"])
    assert (error.message, error.hint) == ("There is no command 'diagnoes'.", "forensics diagnose night")
    assert "--help" in no_such_command("xyzzy", ["diagnose", "diff"], ["xyzzy"]).hint


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("help", "forensics --help"),
        ("help diagnose", "forensics diagnose --help"),
        ("version", "forensics --version"),
        ("run python train.py", "forensics capture -- python train.py"),
        ("delete night", "forensics rm night"),
    ],
)
def test_what_other_programs_call_it_is_answered_with_the_line_to_type(typed: str, line: str) -> None:
    words = typed.split()
    assert no_such_command(words[0], ["capture", "verify"], words).hint == line


def test_an_option_with_one_dash_is_the_one_with_two(tmp_path: Path) -> None:
    done = forensics(tmp_path, "capture", "-name", "night", "--", "true")
    assert done.returncode == 2
    assert done.stderr.startswith("error: No such option '-n'. Did you mean '--name'?\n")


def test_a_part_of_a_name_is_enough_to_be_told_the_whole(tmp_path: Path) -> None:
    assert "Did you mean lora-" in forensics(tmp_path, "explain", "lora").stderr
    done = forensics(tmp_path, "capture", "nosuch.py")
    assert done.stderr.startswith("error: There is no file 'nosuch.py'.\n")


def test_a_script_is_run_by_python_and_a_program_by_itself() -> None:
    assert as_command(["train.py", "--fast"])[1:] == ("train.py", "--fast")
    assert Path(as_command(["train.py"])[0]).name.startswith("python")
    assert as_command(["python", "train.py"]) == ("python", "train.py")


@pytest.mark.long
def test_a_run_in_a_subdirectory_by_words_without_dashes(tmp_path: Path) -> None:
    """Both captures say how they were understood.

    The store is found from below, and the name means the newest.
    """
    (tmp_path / "train.py").write_text(TRAINS)
    (tmp_path / "below").mkdir()
    first = forensics(
        tmp_path, "capture", "--no-reload", "--name", "night", "python", "train.py", "--epochs", "2"
    )
    assert (first.returncode, first.stdout) == (0, "trained --epochs 2\n"), first.stderr
    assert first.stderr.startswith("forensics: taken as: forensics capture -- python train.py --epochs 2\n")
    again = forensics(tmp_path, "capture", "--no-reload", "--name", "night", "train.py")
    assert (
        "forensics: the name night is taken; this run is night-2, which night means from now on."
        in again.stderr
    )
    below = tmp_path / "below"
    assert "night-2" in forensics(below, "list").stdout
    assert forensics(below, "show", "night").stdout.split()[0] == "night-2"
    assert forensics(below, "show", "night-1").stdout.split()[0] == "night"
    refused = forensics(below, "rm", "night")
    assert refused.returncode == 2 and "night names more than one run." in refused.stderr
    assert forensics(below, "rm", "night-1").returncode == 0
    assert forensics(below, "show", "night").stdout.split()[0] == "night-2", "what is left of them"


def test_a_command_that_fails_before_it_uses_a_model_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit(3)\n")
    done = forensics(tmp_path, "capture", "--", sys.executable, "train.py")
    assert done.returncode == 3
    assert (
        done.stderr
        == "forensics: train: the command failed before it used a model of mlx; nothing is kept of it.\n"
    )
    assert "Nothing is captured yet" in forensics(tmp_path, "list").stdout
