"""explain, schema, doctor and check: as a user types them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics import schema
from forensics.cli import main
from forensics.judge import library
from tests.cli.test_words import TRAINS, forensics

RUN = CliRunner()


def test_every_table_says_what_it_holds() -> None:
    assert set(schema.described()) == set(schema.tables())
    for table in schema.described().values():
        assert table.meaning, f"{table.name} has no comment above it"
        assert {column.name for column in table.columns} == set(schema.tables()[table.name])


def test_a_table_is_shown_with_types_and_meanings() -> None:
    done = RUN.invoke(main, ["schema", "steps"])
    assert (
        done.exit_code == 0
        and "update_norm  double" in done.stdout
        and "parameters after - before" in done.stdout
    )
    told = json.loads(RUN.invoke(main, ["schema", "--json"]).stdout)
    assert {table["name"] for table in told["tables"]} == set(schema.tables())
    mistyped = RUN.invoke(main, ["schema", "stepz"])
    assert mistyped.exit_code == 2 and "Did you mean steps?" in mistyped.stderr


@pytest.mark.parametrize("name", [detector.name for detector in library.load().detectors])
def test_every_finding_is_explained(name: str) -> None:
    """With a real example of each that some program of the tests makes, as it was recorded there."""
    from forensics.cli.explain import _document
    from forensics.judge import specimen
    from forensics.judge.query import Detector
    from forensics.report.terminal import reference

    detector = library.load().get(name)
    assert isinstance(detector, Detector)
    example = specimen.example(detector)
    assert (example is None) == (not detector.names("fires on"))
    shown = reference.finding(name, _document(detector, example), example, 80).plain
    assert example is None or (example.source in shown and "Saw " in shown)
    assert "{" not in shown.replace('{"', ""), "a word that stands for what is seen"
    assert f"forensics query {name} RUN" in shown and detector.title.split()[0] in shown
    assert not detector.text("fix") or "Fix" in shown


def test_an_explained_finding_shows_how_it_looks_in_a_recorded_run() -> None:
    done = RUN.invoke(main, ["explain", "padding-in-loss"])
    assert (
        done.exit_code == 0
        and "In a run that has it (snapshots/broken-stub):" in done.stdout
        and "Padding carries" in done.stdout.partition("In a run")[2]
    )
    mistyped = RUN.invoke(main, ["explain", "padding-in-los"])
    assert mistyped.exit_code == 2 and "Did you mean padding-in-loss or padding-read?" in mistyped.stderr


def test_the_doctor_sees_whether_a_program_would_be_watched(tmp_path: Path) -> None:
    done = forensics(tmp_path, "doctor", "--python", sys.executable, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0 and told["ok"], told
    watching = next(each for each in told["checks"] if each["what"] == "watching")
    assert watching["ok"] is True
    absent = forensics(tmp_path, "doctor", "--python", "no-such-python")
    assert absent.returncode == 1 and "name its interpreter with --python" in absent.stdout


@pytest.mark.long
def test_check_answers_for_one_finding(tmp_path: Path) -> None:
    """Absent is 0, what could not be evaluated `git bisect` skips, and no wrong id runs the command."""
    (tmp_path / "train.py").write_text(TRAINS)
    base = ("check", "--no-reload")
    command = ("--", sys.executable, "train.py")
    clean = forensics(tmp_path, *base, "--only", "learning-rate-zero", *command)
    assert (clean.returncode, clean.stdout) == (0, "trained\nlearning-rate-zero: absent\n"), clean.stderr
    unseen = forensics(tmp_path, *base, "--only", "padding-in-loss", *command)
    assert unseen.returncode == 125 and "padding-in-loss: not evaluated" in unseen.stdout
    plain = forensics(tmp_path, *base, "--plain-status", "--only", "padding-in-loss", *command)
    assert plain.returncode == 4
    (tmp_path / "train.py").write_text(TRAINS.replace("learning_rate=0.1", "learning_rate=0.0"))
    faulty = forensics(tmp_path, *base, "--only", "learning-rate-zero", *command)
    assert faulty.returncode == 1 and "learning-rate-zero: " in faulty.stdout
    mistyped = forensics(tmp_path, *base, "--only", "learning-rate-zer", *command)
    assert mistyped.returncode == 2 and "trained" not in mistyped.stdout


def test_check_skips_a_commit_whose_program_fails(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit(3)\n")
    done = forensics(tmp_path, "check", "--", sys.executable, "train.py")
    assert done.returncode == 125
    assert forensics(tmp_path, "check", "--plain-status", "--", sys.executable, "train.py").returncode == 3
