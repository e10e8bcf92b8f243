"""How commands end that cannot go on.

Three lines on stderr, the exit status, and streams that take nothing.
"""

from __future__ import annotations

import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

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
    return subprocess.run(
        ["sh", "-c", line, "sh", *command(*words)], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "words", [("list",), ("list", "--json"), ("query", "training-steps", "night", "--csv")]
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_stdout_is_an_error_and_no_finding(
    store: Path, words: tuple[str, ...], unbuffered: str
) -> None:
    done = shell('"$@" > /dev/full', store, *words, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2 and done.stderr.count("\n") == 3, done.stderr
    assert (
        "The output cannot be written: No space left on device." in done.stderr
        and "at: standard output" in done.stderr
    )


@pytest.mark.parametrize("words", [("list",), ("list", "--json")])
def test_a_closed_stdout_is_an_error_of_three_lines(store: Path, words: tuple[str, ...]) -> None:
    done = shell('"$@" >&-', store, *words)
    assert done.returncode == 2 and done.stderr.count("\n") == 3 and "it is closed" in done.stderr, (
        done.stderr
    )


def test_a_reader_that_goes_away_is_no_error(store: Path) -> None:
    done = shell(
        '{ "$@"; echo "status $?" >&2; } | head -1', store, "sql", "SELECT * FROM range(100000)", "--json"
    )
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
        (["--nosuch"], "No such option '--nosuch'.", ""),
    ],
)
def test_words_that_are_not_understood_are_three_lines(words: list[str], what: str, where: str) -> None:
    done = RUN.invoke(main, words, prog_name="forensics")
    called = f"forensics {where}".strip()
    assert done.exit_code == 2 and done.stdout == ""
    assert done.stderr == f"error: {what}\n  at: {called}\n  do: `{called} --help` shows what it takes.\n"


@pytest.mark.parametrize(
    "words", [["--debug", "show", "nothing"], ["show", "nothing", "--debug"], ["show", "--debug", "nothing"]]
)
def test_debug_adds_the_traceback_and_keeps_the_rest(store: Path, words: list[str]) -> None:
    env = {"FORENSICS_STORE": str(store)}
    short, long = RUN.invoke(main, ["show", "nothing"], env=env), RUN.invoke(main, words, env=env)
    assert short.exit_code == long.exit_code == 2 and "Traceback" not in short.stderr
    assert long.stderr.startswith(short.stderr) and "Traceback" in long.stderr and "UnknownRef" in long.stderr
    assert RUN.invoke(main, ["show", "nothing"], env={**env, "FORENSICS_DEBUG": "1"}).stderr.startswith(
        f"{short.stderr}Traceback"
    )


def test_the_help_says_how_to_see_a_traceback() -> None:
    assert "FORENSICS_DEBUG" in RUN.invoke(main, ["--help"]).output


@pytest.mark.parametrize("words", [["verify"], ["show", "nothing"]])
def test_who_wants_no_colour_gets_none_on_a_terminal_either(store: Path, words: list[str]) -> None:
    for wanted, coloured in (("", True), ("1", False)):
        done = RUN.invoke(main, words, env={"FORENSICS_STORE": str(store), "NO_COLOR": wanted}, color=True)
        assert ("\x1b" in done.output) == coloured


# -- where -o writes to


WRITES = ("report", "bundle")


def whole(page: bytes) -> bool:
    """Is this all of what a command wrote?"""
    return (
        page.startswith(b"<!doctype")
        and page.endswith(b"</html>\n")
        or (page.startswith(b"PK\3\4") and b"PK\5\6" in page[-22:])
    )


def sent(store: Path, name: str, out: Path | str) -> Result:
    return RUN.invoke(main, [name, "night", "-o", str(out), "--store", str(store)])


@pytest.mark.long
@pytest.mark.parametrize("name", WRITES)
def test_a_link_stays_and_what_it_names_is_written(store: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "real").write_text("old")
    for link, target in (("link", "real"), ("dangling", "new")):
        (tmp_path / link).symlink_to(target)
        done = sent(store, name, tmp_path / link)
        assert done.exit_code == 0 and str(tmp_path / link) in done.stdout, done.stderr
        assert (
            (tmp_path / link).is_symlink()
            and not (tmp_path / target).is_symlink()
            and whole((tmp_path / target).read_bytes())
        )


@pytest.mark.parametrize("name", WRITES)
def test_a_fifo_stays_and_gets_the_bytes(store: Path, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit((tmp_path / "fifo").read_bytes)
        assert sent(store, name, tmp_path / "fifo").exit_code == 0
        assert whole(read.result(30)) and (tmp_path / "fifo").is_fifo()


@pytest.mark.parametrize("name", WRITES)
def test_a_device_stays(store: Path, tmp_path: Path, name: str) -> None:
    try:
        os.mknod(tmp_path / "full", 0o666 | stat.S_IFCHR, os.makedev(1, 7))
    except (OSError, AttributeError):
        pytest.skip("no device can be made here")
    done = sent(store, name, tmp_path / "full")
    assert (
        done.exit_code == 2
        and "cannot be written: No space left on device" in done.stderr
        and done.stderr.count("\n") == 3
    )
    assert (tmp_path / "full").is_char_device()


@pytest.mark.long
@pytest.mark.parametrize("name", WRITES)
def test_a_dash_is_stdout_and_the_rest_is_said_beside_it(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = sent(store, name, "-")
    assert (
        done.exit_code == 0
        and whole(done.stdout_bytes)
        and done.stderr.startswith("-: ")
        and not list(tmp_path.iterdir())
    )
    assert shell('"$@" >&-', store, name, "night", "-o", "-").stderr.startswith(
        "error: The output cannot be written: it is closed."
    )


def test_a_zip_and_a_document_cannot_both_be_on_stdout(store: Path) -> None:
    done = RUN.invoke(main, ["bundle", "night", "-o", "-", "--json", "--store", str(store)])
    assert done.exit_code == 2 and done.stdout == "" and done.stderr.count("\n") == 3
