"""How commands end that cannot go on: three lines on stderr, the exit status, and streams that take nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.cli import main
from tests.support.command import command, environment
from tests.support.made import night

RUN = CliRunner()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A healthy run, which no test changes."""
    return night(tmp_path_factory.mktemp("ends") / "store").root


def shell(line: str, store: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A line of shell in which "$@" is the command."""
    env = environment({"FORENSICS_STORE": str(store), **variables})
    return subprocess.run(["sh", "-c", line, "sh", *command(*words)], env=env, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("words", [("list",), ("list", "--json"), ("query", "training-steps", "night", "--csv")])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_stdout_is_an_error_and_no_finding(store: Path, words: tuple[str, ...], unbuffered: str) -> None:
    done = shell('"$@" > /dev/full', store, *words, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2 and done.stderr.count("\n") == 3, done.stderr
    assert "The output cannot be written: No space left on device." in done.stderr and "at: standard output" in done.stderr


@pytest.mark.parametrize("words", [("list",), ("list", "--json")])
def test_a_closed_stdout_is_an_error_of_three_lines(store: Path, words: tuple[str, ...]) -> None:
    done = shell('"$@" >&-', store, *words)
    assert done.returncode == 2 and done.stderr.count("\n") == 3 and "it is closed" in done.stderr, done.stderr


def test_a_reader_that_goes_away_is_no_error(store: Path) -> None:
    done = shell('{ "$@"; echo "status $?" >&2; } | head -1', store, "sql", "SELECT * FROM range(100000)", "--json")
    assert done.stdout.count("\n") == 1 and done.stderr == "status 0\n"


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"])
def test_a_stderr_that_takes_nothing_changes_no_status(store: Path, streams: str) -> None:
    assert shell(f'"$@" {streams}', store, "list").returncode == 0
    assert shell(f'"$@" {streams}', store, "show", "nothing", PYTHONUNBUFFERED="").returncode == 2


@pytest.mark.parametrize(
    ("words", "what", "where"),
    [
        (["list", "one", "two"], "Got unexpected extra arguments (one two)", "list"),
        (["diagnose", "--nosuch"], "No such option '--nosuch'.", "diagnose"),
        (["query", "--adapter"], "Option '--adapter' requires an argument.", "query"),
        (["bundle"], "Missing argument 'REF...'.", "bundle"),
        (["nosuch"], "No such command 'nosuch'.", ""),
        (["--nosuch"], "No such option '--nosuch'.", ""),
    ],
)
def test_words_that_are_not_understood_are_three_lines(words: list[str], what: str, where: str) -> None:
    done = RUN.invoke(main, words, prog_name="forensics")
    called = f"forensics {where}".strip()
    assert done.exit_code == 2 and done.stdout == ""
    assert done.stderr == f"error: {what}\n  at: {called}\n  do: `{called} --help` shows what it takes.\n"


@pytest.mark.parametrize("words", [["--debug", "show", "nothing"], ["show", "nothing", "--debug"], ["show", "--debug", "nothing"]])
def test_debug_adds_the_traceback_and_keeps_the_rest(store: Path, words: list[str]) -> None:
    env = {"FORENSICS_STORE": str(store)}
    short, long = RUN.invoke(main, ["show", "nothing"], env=env), RUN.invoke(main, words, env=env)
    assert short.exit_code == long.exit_code == 2 and "Traceback" not in short.stderr
    assert long.stderr.startswith(short.stderr) and "Traceback" in long.stderr and "UnknownRef" in long.stderr
    assert RUN.invoke(main, ["show", "nothing"], env={**env, "FORENSICS_DEBUG": "1"}).stderr.startswith(f"{short.stderr}Traceback")


def test_the_help_says_how_to_see_a_traceback() -> None:
    assert "FORENSICS_DEBUG" in RUN.invoke(main, ["--help"]).output


@pytest.mark.parametrize("words", [["verify"], ["show", "nothing"]])
def test_who_wants_no_colour_gets_none_on_a_terminal_either(store: Path, words: list[str]) -> None:
    for wanted, coloured in (("", True), ("1", False)):
        done = RUN.invoke(main, words, env={"FORENSICS_STORE": str(store), "NO_COLOR": wanted}, color=True)
        assert ("\x1b" in done.output) == coloured
