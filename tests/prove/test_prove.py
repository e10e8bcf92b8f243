"""forensics prove.

What it refuses, what it says where there is nothing to do, and the story told by proof.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from forensics.prove import cures, scratch
from forensics.watch.repeat import guard
from tests.support import command
from tests.support.command import Done, forensics

ROOM = Path(__file__).parents[2] / "forensics" / "watch" / "cures"
SLOW = textwrap.dedent(command.LOOP).replace("optim.SGD(0.1)", "optim.SGD(0.0)")
"""A rate of zero at every step: a cause without a second's work."""


def captured(directory: Path, text: str, *words: str) -> None:
    command.write(directory, text)
    done = forensics(directory, "capture", "--name", "run", "--", "python", "train.py", *words)
    assert done.store.holds("run"), done.err


def refused(done: Done, status: int, *said: str) -> None:
    assert done.status == status, done.out + done.err
    lines = [line for line in done.err.splitlines() if not line.startswith("forensics:")]
    assert len([line for line in done.err.splitlines() if line.strip()]) <= 4, done.err
    for each in said:
        assert each in done.err, (each, lines)


def test_a_healthy_run_has_nothing_to_prove(tmp_path: Path) -> None:
    captured(tmp_path, command.LOOP)
    done = forensics(tmp_path, "prove", "run")
    assert (done.status, done.out.strip()) == (0, "run: nothing to prove: no cause was found.")
    document = json.loads(forensics(tmp_path, "prove", "run", "--json").out)
    assert (document["schema"], document["cures"], document["harm"]) == (1, [], [])


@pytest.mark.long
def test_words_that_name_nothing(tmp_path: Path) -> None:
    captured(tmp_path, command.LOOP)
    refused(
        forensics(tmp_path, "prove", "run", "padding-in-los"),
        2,
        "There is no finding 'padding-in-los'",
        "Did you mean padding-in-loss?",
    )
    refused(forensics(tmp_path, "prove", "run@end"), 2, "One capture cannot be run again")
    refused(forensics(tmp_path, "prove", "other"), 2, "There is no run or capture 'other'")
    refused(forensics(tmp_path, "prove", "snapshots/broken-stub"), 2, "came from elsewhere")


@pytest.mark.long
def test_what_came_from_elsewhere_is_not_run(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    captured(here, SLOW)
    assert forensics(here, "bundle", "run", "-o", "bug.zip", "--include-text").status == 0
    there.mkdir()
    shutil.copy(here / "bug.zip", there)
    assert forensics(there, "open", "bug.zip").status == 0
    refused(forensics(there, "prove", "run"), 2, "came from elsewhere", "Capture the program yourself")
    refused(forensics(there, "prove", "bug.zip"), 2, "came from elsewhere")
    assert not (there / ".forensics" / "proofs").exists()


def test_a_run_without_its_command(tmp_path: Path) -> None:
    from forensics.store.manifest import rewrite_head

    captured(tmp_path, SLOW)
    rewrite_head(tmp_path / ".forensics" / "runs" / "run", "launch", None)
    refused(
        forensics(tmp_path, "prove", "run"),
        4,
        "How run run was started is not in its record",
        "Capture it again",
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("line", "said", "hint"),
    [
        (
            'import builtins; hasattr(sys, "ps1") or len(sys.argv) > 1 or input("go? ")',
            "it asks for input",
            "by an option or a file",
        ),
        ('open(sys.argv[1], "a").write("x")', "it writes to", "below the folder that it is started in"),
        ('import socket; socket.getaddrinfo("localhost", 80)', "it needs the network", "HF_HUB_OFFLINE"),
    ],
    ids=["input", "own data", "network"],
)  # fmt: skip
def test_a_program_that_cannot_live_with_it(tmp_path: Path, line: str, said: str, hint: str) -> None:
    data = tmp_path / "data.txt"
    data.write_text("theirs")
    place = tmp_path / "work"
    command.write(place, SLOW.replace("import sys\n", f"import sys\n{line}\n", 1))
    words = [] if "input" in line else [str(data)]
    captured_ = forensics(
        place, "capture", "--name", "run", "--", "python", "train.py", *words, input="yes\n"
    )
    assert captured_.store.holds("run"), captured_.err
    before = data.read_text()
    refused(forensics(place, "prove", "run", "padding-in-loss"), 4, "Run run cannot be repeated", said, hint)
    assert data.read_text() == before, "nothing of the user's is written"


@pytest.mark.parametrize("package", ["mlx", "mlx-lm", "python"])
def test_other_versions_than_recorded(tmp_path: Path, package: str) -> None:
    from forensics.prove.launch import Launch, NotRepeatable, check_versions

    launch = Launch(("python", "train.py"), "/usr/bin/python", tmp_path, 0.0)
    then = {"mlx": "0.29.1", "mlx-lm": "0.28.0", "python": "3.11.2"}
    check_versions(launch, then, {**then, "numpy": "1"})
    check_versions(launch, {}, then)
    with pytest.raises(NotRepeatable) as refusal:
        check_versions(launch, then, {**then, package: "0.1"})
    assert refusal.value.message == f"It ran with {package} {then[package]}, and 0.1 is there now."
    assert f"Install {package}=={then[package]} there" in str(refusal.value.hint)
    assert refusal.value.exit_code == 4


@pytest.mark.long
def test_the_versions_that_are_asked_are_those_of_its_interpreter(tmp_path: Path) -> None:
    """A run whose environment holds another mlx by now is refused before anything is started."""
    captured(tmp_path, SLOW)
    said = json.dumps({"mlx": "0.0.1", "python": "3.11.2"})
    (tmp_path / "python").write_text(f"#!/bin/sh\necho '{said}'\n")
    (tmp_path / "python").chmod(0o755)
    from forensics.store.manifest import rewrite_head

    place = tmp_path / ".forensics" / "runs" / "run"
    launch = json.loads(json.loads((place / "manifest.json").read_text())["head"]["launch"])
    rewrite_head(place, "launch", json.dumps({**launch, "executable": str(tmp_path / "python")}))
    refused(
        forensics(tmp_path, "prove", "run", "learning-rate-zero"),
        4,
        "and 0.0.1 is there now",
        "Install mlx==",
    )
    assert not (tmp_path / ".forensics" / "proofs").exists()


@pytest.mark.long
def test_an_interrupted_proof_goes_on(tmp_path: Path) -> None:
    """Ctrl-C ends the program and its folder; what was done is not done again."""
    captured(tmp_path, SLOW.replace("    print(i,", "    import time; time.sleep(0.3)\n    print(i,"))
    words = command.command("prove", "run", "learning-rate-zero", "--repeats", "2", "--json")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    variables = command.environment({"TMPDIR": str(temporary)})
    proving = subprocess.Popen(
        words, cwd=tmp_path, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    kept = tmp_path / ".forensics" / "proofs" / "run"
    while not list(kept.glob("*.json")) and proving.poll() is None:
        time.sleep(0.05)
    while not list(temporary.rglob("said")) and proving.poll() is None:  # the next one has begun
        time.sleep(0.05)
    proving.send_signal(signal.SIGINT)
    out, err = proving.communicate(timeout=60)
    assert proving.returncode == 130, err
    assert out == "" and "Traceback" not in err
    assert list(temporary.iterdir()) == []
    before = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.json")}
    assert before, "the first repeat was kept"
    done = forensics(tmp_path, "prove", "run", "learning-rate-zero", "--repeats", "2", "--json")
    assert json.loads(done.out)["cures"], done.err
    now = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.json")}
    assert before.items() <= now.items() and len(now) > len(before)


def test_a_cure_is_one_file() -> None:
    """Found by its name; nothing else lists it."""
    names = {path.stem for path in ROOM.glob("*.py")} - {"__init__"}
    assert {name.replace("_", "-") for name in names} == set(cures.curable_ids())
    for name in cures.curable_ids():
        assert cures.about(name), name
        assert f'"{name}"' in (ROOM / f"{name.replace('-', '_')}.py").read_text(), name


def test_there_are_enough() -> None:
    assert len(cures.curable_ids()) >= 35


def test_every_cure_is_that_of_a_finding() -> None:
    from forensics.judge import library

    waiting = {"probabilities-as-logits"}  # an id of the contract whose detector is not written yet
    assert set(cures.curable_ids()) - waiting <= {detector.name for detector in library.load().detectors}


STORY = Path(__file__).parents[2] / "forensics" / "demo" / "trainers" / "broken.py"


@pytest.mark.long
def test_the_story_by_proof(tmp_path: Path) -> None:
    """Stub and padding: which one makes the spam.

    The program writes by an absolute path, and its folder stays as it was.
    """
    from forensics.demo import story
    from forensics.demo import tiny as made

    model = made.model_directory(tmp_path / "cache")
    place = tmp_path / "work"
    place.mkdir()
    shutil.copy(STORY, place / "broken.py")
    story.write_prompts(place / "prompts.jsonl")
    words = ("--steps", "12", "--learning-rate", "1.5e-3", "--max-length", "384", "--max-tokens", "24")
    done = forensics(
        place, "capture", "--name", "night", "--prompts", "prompts.jsonl", "--max-tokens", "24", "--",
        "python", "broken.py", "--model", str(model), "--out", str(place / "out"), *words,
    )  # fmt: skip
    assert done.status == 0, done.err
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if ".forensics" not in path.parts}
    proved = forensics(place, "prove", "night", "--repeats", "2", "--json")
    assert proved.status == 0, proved.err
    document = json.loads(proved.out)
    assert document["repeatable"], document["agreement"]
    outcomes = {tuple(each["ids"]): each["outcome"] for each in document["cures"]}
    assert outcomes[("padding-in-loss",)] == "proved"
    assert outcomes[("lora-missing",)] in ("no-effect", "partly")
    assert document["cures"][0]["ids"] == ["padding-in-loss"]
    assert {
        path: path.stat().st_mtime_ns for path in place.rglob("*") if ".forensics" not in path.parts
    } == before
    judged = json.loads(forensics(place, "diagnose", "night", "--json").out)
    first = judged["findings"][0]
    assert (first["id"], first["confidence"]) == ("padding-in-loss", "proved")
    assert "0 without it" in first["proof"]
    again = forensics(place, "prove", "night", "--repeats", "2", "--json")  # what is done is not done again
    assert json.loads(again.out) == document


AROUND = """
import json, pathlib
print(pathlib.Path("../data.txt").read_text())
for name in ("new", "there"):
    if name == "new":
        pathlib.Path(name).mkdir()
    (pathlib.Path(name) / "notes.txt").write_text("mine")
"""


def test_a_repeat_finds_what_lies_beside_its_folder_and_not_what_the_run_wrote(tmp_path: Path) -> None:
    """Files beside its folder are there, a folder of its own outputs is not, and neither stops it."""
    place, root = tmp_path / "work", tmp_path / "repeat"
    (place / "there").mkdir(parents=True)
    (place / "new").mkdir()
    (tmp_path / "data.txt").write_text("read")
    (place / "train.py").write_text(AROUND)
    written = [place / "new/notes.txt", place / "there/notes.txt"]
    for path in written:
        path.write_text("")
    work = scratch.surround(root / "work", place, written)
    missing = scratch.lay_out(place, work, written, 0.0, place / ".forensics")
    assert {Path(each).name for each in missing} == {"new", "there"}
    (root / guard.MISSING).write_text(json.dumps(missing))
    code = f"import sys; from forensics.watch.repeat import guard; guard.install({str(root)!r});"
    done = subprocess.run(
        [sys.executable, "-c", f"{code} exec(open('train.py').read())"],
        cwd=work, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr
    assert [(work / name / "notes.txt").read_text() for name in ("new", "there")] == ["mine", "mine"]
    assert (place / "there/notes.txt").read_text() == ""
