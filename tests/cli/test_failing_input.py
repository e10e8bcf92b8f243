"""Each option of each command, given what it cannot take: the status, and the three lines that answer.

A new option without a row fails `test_each_option_has_a_row`.
"""

from __future__ import annotations

import importlib.util
import shlex
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import save_file

from forensics.cli import COMMANDS, main
from tests.support.made import night

RUN = CliRunner()
SHARED = ("--store", "--queries", "--debug")
"""Options that mean the same to every command that has them; their rows are made."""


@dataclass(frozen=True)
class Row:
    """A line that cannot be understood, the option that it is about, and how it is answered."""

    option: str
    line: str
    what: str
    where: str = ""
    do: str = ""
    status: int = 2

    @property
    def command(self) -> str:
        return self.line.split()[0]


def of_click(option: str, line: str, what: str) -> Row:
    """An answer that click words; it says which command it was, and where its options are listed."""
    command = f"forensics {line.split()[0]}"
    return Row(option, line, what, command, f"`{command} --help` shows what it takes.")


def no_such(option: str, line: str, status: int = 2) -> Row:
    """The option changes nothing about the answer to a name that there is none of."""
    return Row(
        option, line, "There is no run or capture 'nothing'.", "{store}", "`forensics list` shows", status
    )


NAME = ("'a/b' is no name for a run.", "--name", "Use up to 64 letters")
AT_REST = ("goes with a command after --, not with a model at rest.", "Leave it out.")
WATCHED = ("goes with a model at rest, not with a command.", "Leave it out.")
ON_A_MODEL = ("--adapter needs the path of the model that it belongs on.", "night", "For example: ./model")
ONE_FORM = "One answer has one form."
NO_FINDING = "There is no finding 'nosuch'."
UNSIGNED = [name for name in ("model_signing", "OpenSSL") if importlib.util.find_spec(name) is None]
KEY = ("The key cannot be used: No such file or directory.", "nothing.pem", "openssl ")
if UNSIGNED:  # the extra `sign` is not there
    KEY = ("Signatures need the package model-signing.", ", ".join(UNSIGNED), "pip install")


ROWS = [
    of_click("--model", "demo --model huge", "'huge' is not one of 'smollm2', 'tiny'."),
    of_click("--out", "demo --out file", "'--out': Directory 'file' is a file."),
    Row("--name", "capture --name a/b -- true", *NAME),
    Row("--name", "capture --name a/b model.safetensors", *NAME),
    Row("--prompts", "capture --prompts none -- true", "The prompts cannot be read:", "none", "Give a UTF-8"),
    of_click("--every", "capture --every 0 -- true", "'--every': 0 is not in the range"),
    of_click("--every", "capture --every often -- true", "'--every': 'often' is no whole number."),
    Row("--every", "capture --every 2 model.safetensors", f"--every {AT_REST[0]}", "--every", AT_REST[1]),
    of_click("--max-tokens", "capture --max-tokens 0 -- true", "'--max-tokens': 0 is not in the range"),
    of_click("--scorer", "capture --scorer judge -- true", "'judge' is not module:function."),
    of_click("--expect", "capture --expect qlora -- true", "'qlora' is not one of 'lora', 'dora', 'full'"),
    Row("--expect", "capture --expect lora model.safetensors", AT_REST[0], "--expect", AT_REST[1]),
    of_click("--tensors", "capture --tensors some -- true", "'some' is not one of 'all', 'new'"),
    of_click("--stop-on", "capture --stop-on info -- true", "'info' is not one of 'error', 'warning'."),
    Row("--stop-on", "capture --stop-on error model.safetensors", AT_REST[0], "--stop-on", AT_REST[1]),
    Row(
        "--tell", "capture --tell ' ' -- true", "--tell needs a command.", "--tell ''", "For example: --tell"
    ),
    Row("--tell", "capture --tell cat model.safetensors", AT_REST[0], "--tell", AT_REST[1]),
    of_click("--selftest", "capture --selftest slow -- true", "'slow' is not one of 'quick', 'full', 'off'."),
    Row("--selftest", "capture --selftest full model.safetensors", AT_REST[0], "--selftest", AT_REST[1]),
    Row("--no-reload", "capture --no-reload model.safetensors", AT_REST[0], "--no-reload", AT_REST[1]),
    Row("--quiet", "capture --quiet ./none", "There is no model at 'none'.", "none", "To watch a command"),
    Row("--adapter", "capture --adapter model.safetensors -- true", WATCHED[0], "--adapter", WATCHED[1]),
    Row(
        "--adapter",
        "capture model.safetensors --adapter none",
        "There is nothing at this path.",
        "none",
        "Check",
    ),
    Row("--executor", "capture --executor dask://h:1 -- true", WATCHED[0], "--executor", WATCHED[1]),
    Row("--executor", "capture --executor x model.safetensors", "'x' is no executor.", "--executor", "For"),
    Row("--trust", "capture --trust ./none", "There is no model at 'none'.", "none", "To watch a command"),
    of_click("--captures", "list --captures night", "Got unexpected extra argument (night)"),
    of_click("--json", "list --store file --json", "'file' is a file, and a store is a directory."),
    Row(
        "--json", "show night@nothing --json", "no capture 'nothing'.", "night@nothing", "It has loaded, end."
    ),
    Row("--adapter", "diff night --adapter none", *ON_A_MODEL),
    no_such("--all", "diff nothing --all"),
    no_such("--json", "diff nothing --json"),
    Row("--adapter", "diagnose night --adapter none", *ON_A_MODEL),
    of_click("--fail-on", "diagnose night --fail-on never", "'never' is not one of 'error', 'warning'"),
    no_such("--wait", "diagnose nothing --wait"),
    Row("--allow", "diagnose night --allow nosuch", NO_FINDING, "--allow", "forensics query lists them."),
    no_such("--all", "diagnose nothing --all"),
    Row("--markdown", "diagnose night --markdown --json", ONE_FORM, "--json --markdown", "Leave out"),
    Row("--github", "diagnose night --github --markdown", ONE_FORM, "--markdown --github", "Leave out"),
    Row("--json", "diagnose night --json --github", ONE_FORM, "--json --github", "Leave out --github."),
    Row("--sarif", "diagnose night --sarif none/x", "cannot be written:", "none/x", "place: --sarif FILE."),
    no_such("--trust", "diagnose nothing --trust"),
    of_click("--repeats", "prove night --repeats 0", "'--repeats': 0 is not in the range"),
    Row("--repeats", "prove --transplant a b --repeats 4", "not with --transplant.", "--repeats", "Leave"),
    of_click("--steps", "prove night --steps 0", "'--steps': 0 is not in the range"),
    Row("--steps", "prove --transplant a b --steps 4", "not with --transplant.", "--steps", "Leave it out."),
    Row("--again", "prove --transplant a b --again", "not with --transplant.", "--again", "Leave it out."),
    Row("--transplant", "prove --transplant night", "takes two models", "night", "--transplant ./good ./bad"),
    Row("--adapter", "prove night --adapter x", "goes with --transplant", "--adapter", "Leave it out."),
    Row("--prompts", "prove night --prompts x", "goes with --transplant", "--prompts", "Leave it out."),
    Row("--prompts", "prove --transplant a b --prompts none", "cannot be read:", "none", "Give a UTF-8 text"),
    Row("--seconds", "prove night --seconds 9", "goes with --transplant", "--seconds", "Leave it out."),
    of_click("--seconds", "prove --transplant a b --seconds 0", "'--seconds': 0.0 is not in the range"),
    no_such("--json", "prove nothing --json"),
    Row("--when", "bisect night --when nosuch", NO_FINDING, "--when", "`forensics query` lists them"),
    Row("--when", "bisect night --when 'SELECT 1 FROM x'", "x does not exist", "SELECT 1 FROM x", ""),
    Row(
        "--rerun", "bisect night --rerun", "How run night was started is not", "night", "Capture it again", 4
    ),
    no_such("--json", "bisect nothing --json"),
    Row("--only", "check --only nosuch -- true", NO_FINDING, "--only", "`forensics query` lists them."),
    of_click(
        "--fail-on", "check --fail-on never -- true", "'never' is not one of 'error', 'warning', 'info'."
    ),
    Row(
        "--plain-status",
        "check --plain-status",
        "A command is missing.",
        "forensics check",
        "forensics check --",
    ),
    Row("--name", "check --name a/b -- true", *NAME),
    of_click(
        "--expect", "check --expect qlora -- true", "'qlora' is not one of 'lora', 'dora', 'full', 'none'."
    ),
    Row("--no-reload", "check --no-reload", "A command is missing.", "forensics check", "forensics check --"),
    Row("--json", "check --json", "A command is missing.", "forensics check", "forensics check -- python"),
    of_click("--output", "report night -o folder", "File 'folder' is a directory."),
    Row("--output", "report night -o none/x.html", "cannot be written:", "none/x.html", "place: -o FILE."),
    Row("--adapter", "report night --adapter none", *ON_A_MODEL),
    Row(
        "--open",
        "report night --open -o -",
        "A page on stdout cannot be opened.",
        "--open -o -",
        "Give a file",
    ),
    of_click("--card", "report night --card folder", "File 'folder' is a directory."),
    Row(
        "--card",
        "report night -o x.html --card none/x",
        "cannot be written:",
        "none/x",
        "place: --card FILE.",
    ),
    no_such("--trust", "report nothing --trust"),
    Row("--set", "query loss-by-role night --set x=1", "has no parameter 'x'.", "--set", "Leave it out"),
    Row(
        "--set",
        "query padding-in-loss night --set floor=x",
        "'floor=x' gives no number.",
        "--set",
        "floor=0.1",
    ),
    Row("--adapter", "query loss-by-role night --adapter none", *ON_A_MODEL),
    Row(
        "--parquet",
        "query loss-by-role night --parquet none/x",
        "written:",
        "none/x",
        "place: --parquet FILE.",
    ),
    Row("--csv", "query loss-by-role night --csv --json", ONE_FORM, "--json --csv", "Leave out --csv."),
    Row("--csv", "query --csv", "The catalogue is no table.", "--csv", "forensics query --json"),
    no_such("--json", "query loss-by-role nothing --json"),
    of_click("--memory", "sql 'SELECT 1' --memory lots", "'lots' is no size of at least 64MB"),
    of_click("--timeout", "sql 'SELECT 1' --timeout 0", "'--timeout': 0.0 is not in the range"),
    of_click("--timeout", "sql 'SELECT 1' --timeout soon", "'--timeout': 'soon' is no number."),
    Row(
        "--parquet",
        "sql 'SELECT 1' --parquet none/x",
        "cannot be written:",
        "none/x",
        "place: --parquet FILE.",
    ),
    Row("--csv", "sql 'SELECT 1' --csv --json", ONE_FORM, "--json --csv", "Leave out --csv."),
    Row("--json", "sql 'SELECT x FROM runs' --json", '"x" not found', "sql", ""),
    Row("--json", "explain nosuch --json", NO_FINDING, "forensics explain", "`forensics query` lists them."),
    Row(
        "--json",
        "schema nosuch --json",
        "There is no table 'nosuch'.",
        "forensics schema",
        "`forensics schema`",
    ),
    of_click("--output", "bundle night -o folder", "File 'folder' is a directory."),
    of_click("--level", "bundle night --level all", "'all' is not one of 'stats', 'changed', 'full'."),
    no_such("--include-text", "bundle nothing --include-text"),
    of_click("--personal", "bundle night --personal maybe", "'maybe' is not one of 'ask', 'mask', 'keep'."),
    Row(
        "--personal",
        "bundle night --personal keep",
        "No text leaves",
        "--personal keep",
        "add --include-text.",
    ),
    no_such("--dry-run", "bundle nothing --dry-run"),
    of_click("--max-size", "bundle night --max-size 0", "'--max-size': 0 is not in the range"),
    Row("--max-size", "bundle night --max-size 10", "above 10 B.", "--level stats", "Give --max-size "),
    Row("--sign", "bundle night --sign nothing.pem", *KEY),
    Row("--json", "bundle night -o - --json", "cannot both be on stdout.", "-o - --json", "Give a file"),
    Row("--as", "open file --as a/b", "'a/b' is no name for a run.", "--as", "Use up to 64 letters"),
    Row(
        "--key",
        "open none.zip --key nothing.pem",
        "There is no file 'none.zip'.",
        "none.zip",
        "Check the path.",
    ),
    Row("--json", "open file --json", "The bundle is damaged", "file", "Ask for the file again", 3),
    Row("--key", "verify night --key nothing.pem", "Only a bundle is signed.", "night", "Name the .zip file"),
    no_such("--json", "verify nothing --json"),
    no_such("--dry-run", "rm nothing --dry-run"),
    no_such("--json", "rm nothing --json"),
    of_click("--dry-run", "gc --dry-run --keep none", "'--keep': 'none' is no whole number."),
    of_click("--keep", "gc --keep 0", "'--keep': 0 is not in the range"),
    of_click("--max-size", "gc --max-size lots", "'lots' is no size, such as 500MB or 50GB."),
    of_click("--json", "gc --json --max-size lots", "'lots' is no size, such as 500MB or 50GB."),
    of_click("--json", "doctor --store file --json", "'file' is a file, and a store is a directory."),
]
ELSEWHERE = {
    ("capture", "--store"): "the command runs all the same:"
    " test_a_store_that_is_none_does_not_stop_a_watched_command",
    ("doctor", "--python"): "its answer to an interpreter that is none is a line of its list, status 1:"
    " test_an_interpreter_that_is_none",
}


def options() -> dict[str, list[str]]:
    """The long names of every command's options, by command."""
    assert isinstance(main, click.Group)
    found = {}
    for name in COMMANDS:
        made = main.get_command(click.Context(main), name)
        assert made is not None
        found[name] = [max(each.opts, key=len) for each in made.params if isinstance(each, click.Option)]
    return found


def shared_rows() -> list[Row]:
    """Rows of the options that several commands share."""
    rows = []
    for command, names in options().items():
        if "--store" in names and command != "capture":
            rows.append(of_click("--store", f"{command} --store file", "'file' is a file, and a store is"))
        if "--queries" in names:
            rows.append(
                of_click("--queries", f"{command} --queries none", "Directory 'none' does not exist.")
            )
        rows.append(of_click("--debug", f"{command} --debug=1", "Option '--debug' does not take a value."))
    return rows


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a store, a model file, a file that is nothing and a folder that is empty."""
    directory = tmp_path_factory.mktemp("failing")
    night(directory / "store")
    save_file({"weight": np.ones((2, 2), np.float32)}, directory / "model.safetensors")
    (directory / "file").write_text("no zip, no store, no queries\n")
    (directory / "folder").mkdir()
    return directory


def ask(place: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(place)
    return RUN.invoke(
        main, shlex.split(line), prog_name="forensics", env={"FORENSICS_STORE": str(place / "store")}
    )


@pytest.mark.parametrize("row", [*ROWS, *shared_rows()], ids=lambda row: row.line)
def test_what_an_option_cannot_take_is_answered_in_three_lines(
    place: Path, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name for path in place.iterdir()}
    done = ask(place, row.line, monkeypatch)
    assert (done.exit_code, done.stdout) == (row.status, ""), done.stderr
    what, where, do = done.stderr.splitlines()
    assert what.startswith("error: ") and row.what in what
    assert where == f"  at: {row.where.format(store=place / 'store')}"
    assert do.startswith("  do: ") and len(do) > len("  do: ") and row.do in do
    made = {path.name for path in place.iterdir()} - before
    assert made <= {"x.html"}, "what failed leaves nothing behind, but for the page that was whole"


def test_each_option_has_a_row() -> None:
    """Otherwise a new option could take anything, and nobody would see how it answers."""
    rows = {(row.command, row.option) for row in [*ROWS, *shared_rows()]} | set(ELSEWHERE)
    known = {(command, option) for command, names in options().items() for option in names}
    assert known - rows == set(), "a row of failing input is missing"
    assert rows <= known, "a row of an option that there is not"


def test_a_store_that_is_none_does_not_stop_a_watched_command(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = ask(place, "capture --store file -- true", monkeypatch)
    said = "nothing can be recorded: Not a directory (file); the command runs unwatched."
    assert (done.exit_code, done.stderr) == (0, f"forensics: {said}\n")


def test_an_interpreter_that_is_none(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = ask(place, "doctor --python nosuch", monkeypatch)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    said = next(n for n, line in enumerate(lines) if line.startswith("no  ") and "nosuch" in line)
    assert lines[said + 1].startswith("      do: ")
