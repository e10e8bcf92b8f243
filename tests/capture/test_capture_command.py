"""`forensics capture -- COMMAND` as users type it.

What it says, what it leaves, and that the command does not notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import tiny
from tests.support.command import LOOP, Done, command, environment, forensics, readable_only, write
from tests.support.made import night

PYTHON = sys.executable
SLOW = LOOP.replace("range(3)", "range(2000)").replace(
    "flush=True)", "flush=True); __import__('time').sleep(0.02)"
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Done:
    directory = tmp_path_factory.mktemp("plain")
    write(directory, LOOP)
    return forensics(directory, "capture", "--every", "2", "--", PYTHON, "train.py", "--name", "a b")


# -- transparent ---------------------------------------------------------------------------------------------


def test_the_command_prints_and_ends_as_without(plain: Done, tmp_path: Path) -> None:
    write(tmp_path, LOOP)
    alone = subprocess.run(
        [PYTHON, "train.py", "--name", "a b"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (plain.status, plain.out) == (
        0,
        alone.stdout,
    ), "what stands after -- is the command's own, --name included"


@pytest.mark.parametrize("ignored", [(), ("SIGHUP",), ("SIGINT", "SIGHUP", "SIGTERM", "SIGUSR1")])
def test_the_command_inherits_the_signals_that_it_would_have(
    ignored: tuple[str, ...], tmp_path: Path
) -> None:
    """nohup and `&` ignore signals for what they start: so they are in the command."""
    write(
        tmp_path,
        """
        import signal
        ignored = [each for each in signal.valid_signals() if signal.getsignal(each) is signal.SIG_IGN]
        print([getattr(each, "name", each) for each in ignored])
        print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
        """,
    )

    def before() -> None:
        for name in ignored:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])

    outs = [
        subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, check=True, preexec_fn=before
        ).stdout  # noqa: PLW1509
        for words in ([PYTHON, "train.py"], [*command("capture"), "--", PYTHON, "train.py"])
    ]
    assert outs[0] == outs[1]
    assert all(name in outs[0] for name in ignored)


def test_it_says_the_plan_first_and_one_line_at_the_end(plain: Done) -> None:
    lines = plain.err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("forensics: watching a model of 1.1 KB; keeps up to ")
    assert lines[1].startswith("forensics: train: loaded, start, step-2, end; ") and lines[1].endswith(
        "Next: forensics diagnose train"
    )


def test_the_run_is_sealed_and_nothing_else_left(plain: Done) -> None:
    head = plain.head("train")
    assert (head["exit_status"], head["complete"], head["kind"], head["main_model"]) == (
        0,
        True,
        "watched",
        "m0",
    )
    assert plain.points("train") == ["loaded", "start", "step-2", "end"]
    assert (plain.store.root / ".gitignore").read_text() == "*\n" and not list(plain.store.spool.iterdir())


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("sys.exit(3)", 3),
        ("raise ValueError('no')", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_exit_statuses_are_the_commands(tmp_path: Path, end: str, status: int) -> None:
    write(tmp_path, LOOP + f"    {end}\n")
    done = forensics(tmp_path, "capture", "--name", "x", "--", PYTHON, "train.py")
    assert done.status == status and "forensics diagnose x" in done.err
    assert done.head("x")["exit_status"] == (-9 if status == 137 else status)
    assert done.head("x")["complete"] == (status != 137)
    assert done.points("x") == ["loaded", "start"] + (["end"] if status != 137 else [])


def test_quiet_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, LOOP)
    assert forensics(tmp_path, "capture", "--quiet", "--", PYTHON, "train.py").err == ""


def test_ctrl_c_ends_the_command_and_keeps_its_end(tmp_path: Path) -> None:
    write(tmp_path, SLOW)
    process = subprocess.Popen(
        command("capture", "--name", "x", "--", PYTHON, "train.py"), cwd=tmp_path, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "KeyboardInterrupt" in err and "forensics diagnose x" in err
    assert [p.name for p in sorted((tmp_path / ".forensics" / "captures").iterdir())] == [
        "x@end",
        "x@loaded",
        "x@start",
    ]


# -- ways to start -------------------------------------------------------------------------------------------


def test_a_module_a_console_script_and_children_are_watched(tmp_path: Path) -> None:
    write(tmp_path, LOOP, "net.py")
    write(
        tmp_path,
        f"import subprocess, sys; sys.exit(subprocess.call([{PYTHON!r}, '-m', 'net', 'child']))",
        "parent.py",
    )
    script = write(
        tmp_path, f"#!{PYTHON}\nimport runpy; runpy.run_path('net.py', run_name='__main__')\n", "trainer"
    )
    script.chmod(0o755)
    for words, name in (
        ((PYTHON, "-m", "net"), "net"),
        ((str(script),), "trainer"),
        ((PYTHON, "parent.py"), "parent"),
    ):
        done = forensics(tmp_path, "capture", "--", *words)
        assert done.status == 0 and done.points(name) == ["loaded", "start", "end"], done.err


def test_mlx_lm_itself(tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(tiny.cached(), target_is_directory=True)
    tiny.write_data(tmp_path / "data")
    words = "--train --model model --data data --iters 4 --batch-size 2 --num-layers 2 --steps-per-report 4"
    words += " --val-batches 1 --max-seq-length 64"
    script = Path(PYTHON).parent / "mlx_lm.lora"
    done = forensics(tmp_path, "capture", "--name", "x", "--", str(script), *words.split())
    assert done.status == 0, done.err
    assert (
        done.points("x") == ["loaded", "adapted", "start", "end", "saved", "reloaded"]
        and done.head("x")["complete"]
    ), done.err
    assert json.loads(done.head("x")["launch"])["argv"][1] == str(script), (
        "and not the child that loaded it again"
    )


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of another environment, which has mlx but not this tool."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False, symlinks=True)
    (site,) = home.glob("lib/python*/site-packages")
    mine = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    for name in ("mlx", "mlx_lm", "mlx.libs"):
        if (mine / name).exists():
            (site / name).symlink_to(mine / name, target_is_directory=True)
    python = home / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import mlx.core, forensics"], capture_output=True, text=True, check=False, cwd=home
    )
    assert "No module named 'forensics'" in found.stderr
    return python


def test_an_environment_without_this_tool(bare_python: Path, tmp_path: Path) -> None:
    write(tmp_path, LOOP)
    done = forensics(tmp_path, "capture", "--name", "x", "--", str(bare_python), "train.py")
    assert (
        done.status == 0 and done.points("x") == ["loaded", "start", "end"] and done.head("x")["complete"]
    ), done.err


@pytest.mark.long
@pytest.mark.skipif(shutil.which("uv") is None, reason="there is no uv")
def test_uv_run(bare_python: Path, tmp_path: Path) -> None:
    write(tmp_path, LOOP)
    words = ("uv", "run", "--no-project", "--offline", "--python", str(bare_python), "train.py")
    done = forensics(tmp_path, "capture", "--", *words)
    assert done.status == 0 and done.points("train") == ["loaded", "start", "end"], done.err


# -- what goes wrong -----------------------------------------------------------------------------------------


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    done = forensics(tmp_path, "capture", "--", "pyhton", "train.py")
    assert done.status == 2 and "There is no command 'pyhton'" in done.err and len(done.err.splitlines()) == 3
    assert not list((tmp_path / ".forensics" / "spool").iterdir())


def test_a_program_that_never_touches_mlx_says_so(tmp_path: Path) -> None:
    done = forensics(tmp_path, "capture", "--name", "x", "--", PYTHON, "-c", "print('hello')")
    assert (done.status, done.out) == (0, "hello\n")
    assert "never used a model of mlx" in done.err and len(done.err.splitlines()) == 1
    assert done.head("x")["exit_status"] == 0 and done.points("x") == []
    for asked in (("show", "x"), ("query", "what-is-missing", "x")):
        said = " ".join(forensics(tmp_path, *asked).out.split())
        assert "every capture" in said and "the command never used a model of mlx" in said


@pytest.mark.long
def test_a_program_that_dies_before_it_trains_is_told_no_fault_of_training(tmp_path: Path) -> None:
    write(
        tmp_path,
        LOOP.replace(
            "for i in range(3)",
            "model.freeze(); import mlx_lm.tuner.lora; model.nothing()\n    for i in range(3)",
        ),
    )
    forensics(tmp_path, "capture", "--name", "r", "--", PYTHON, "train.py")
    done = forensics(tmp_path, "diagnose", "r", "--json")
    said = json.loads(done.out)
    assert done.status == 4 and said["verdict"] == "inconclusive" and said["findings"] == []
    assert any("AttributeError that ended the program at train.py:16" in note for note in said["notes"]), (
        said["notes"]
    )


def test_a_taken_name_is_said(plain: Done) -> None:
    again = forensics(plain.store.root.parent, "capture", "--name", "train", "--", PYTHON, "train.py")
    assert (
        again.err.splitlines()[0]
        == "forensics: the name train is taken; this run is train-2, which train means from now on."
    )
    assert again.points("train-2") == ["loaded", "start", "end"]
    assert len(again.store.packs.names()) == len(plain.store.packs.names()), "equal tensors are kept once"


@pytest.mark.long
def test_two_captures_at_once(tmp_path: Path) -> None:
    write(tmp_path, LOOP)
    words = command("capture", "--quiet", "--", PYTHON, "train.py")
    both = [
        subprocess.Popen(
            words, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.wait(timeout=120) == 0
    left = Done(0, "", "", forensics(tmp_path, "--version").store)
    assert left.points("train") == left.points("train-2") == ["loaded", "start", "end"]
    assert left.head("train")["complete"] and left.head("train-2")["complete"]


@pytest.mark.parametrize(
    "words", [("capture", "--name", "second", "--", PYTHON, "-c", "pass"), ("show", "first")]
)
def test_a_killed_capture_is_sealed_by_the_next_command(tmp_path: Path, words: tuple[str, ...]) -> None:
    write(tmp_path, SLOW)
    process = subprocess.Popen(
        command("capture", "--name", "first", "--", PYTHON, "train.py"), cwd=tmp_path, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.2)
    done = forensics(tmp_path, *words)
    assert (
        done.status == 0 and "forensics: sealed first, which an interrupted capture left behind." in done.err
    )
    assert done.points("first") == ["loaded", "start"] and not done.head("first")["complete"]
    assert done.head("first").get("exit_status") is None
    missing = json.loads(str(done.head("first")["missing"]))
    assert (
        "the exit status of the command" in [gap["what"] for gap in missing]
        and "It is incomplete: the exit status" in done.err
    )


@contextlib.contextmanager
def small_disk(size: str, place: Path) -> Iterator[Path]:
    """A filesystem of `size` at `place`; skips where none can be mounted."""
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, check=False
    ).returncode:
        pytest.skip("no filesystem can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
@pytest.mark.parametrize("size", ["4k", "80k", "200k", "400k"])
def test_a_full_disk_never_reaches_the_command(tmp_path: Path, size: str) -> None:
    write(tmp_path, LOOP)
    with small_disk(size, tmp_path / "disk") as disk:
        done = forensics(
            tmp_path, "capture", "--store", str(disk / "store"), "--every", "1", "--", PYTHON, "train.py"
        )
        assert done.status == 0 and len(done.out.splitlines()) == 3
        assert "Traceback" not in done.err and "forensics: " in done.err
        if size == "400k":
            manifest = disk / "store" / "runs" / "train" / "manifest.json"
            assert manifest.exists() == ("diagnose train" in done.err)


PRINTS = (PYTHON, "-c", "print('ran'); raise SystemExit(3)")


def unwatched(done: Done, why: str) -> bool:
    """Did the command run as without us, beside one line of warning?"""
    said = f"forensics: nothing can be recorded: {why} ("
    return (done.status, done.out) == (3, "ran\n") and done.err.startswith(said) and done.err.count("\n") == 1


@pytest.mark.parametrize("place", ["file", "file/store"])
def test_a_command_runs_where_the_store_is_no_directory(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    assert unwatched(
        forensics(tmp_path, "capture", "--", *PRINTS, env={"FORENSICS_STORE": place}), "Not a directory"
    )
    assert unwatched(forensics(tmp_path, "capture", "--store", place, "--", *PRINTS), "Not a directory")
    assert forensics(tmp_path, "list", "--store", place).status == 2


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a directory")
def test_a_command_runs_where_the_store_may_only_be_read(tmp_path: Path) -> None:
    place = night(tmp_path / "store").root
    with readable_only(place):
        done = forensics(tmp_path, "capture", "--store", "store", "--", *PRINTS)
    assert unwatched(done, "Read-only file system")


def test_a_command_runs_beside_damaged_evidence(tmp_path: Path) -> None:
    packs = night(tmp_path / "store").packs
    for name in packs.names():
        (packs.root / name).write_bytes(b"{")
    done = forensics(tmp_path, "capture", "--store", "store", "--", *PRINTS)
    assert (done.status, done.out) == (3, "ran\n") and done.err.count("\n") == 1, done.err


@pytest.mark.parametrize("stream", ["2>&-", "2>/dev/full"])
def test_a_command_runs_where_our_lines_cannot_be_written(tmp_path: Path, stream: str) -> None:
    words = command("capture", "--name", "night", "--", *PRINTS)
    done = subprocess.run(
        ["sh", "-c", f'"$@" {stream}', "sh", *words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (3, "ran\n")


@pytest.mark.parametrize(
    "words",
    [
        ("capture",),
        ("capture", "model", "--", "true"),
        ("capture", "--adapter", "x", "--", "true"),
        ("capture", "--every", "2", "model"),
        ("capture", "--no-reload", "model"),
        ("capture", "--expect", "lora", "model"),
    ],
)
def test_words_that_do_not_go_together(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = forensics(tmp_path, *words)
    assert done.status == 2 and done.err.count("\n") == 3 and "no model at" not in done.err


def test_a_capture_that_runs_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, SLOW)
    process = subprocess.Popen(
        command("capture", "--quiet", "--name", "first", "--", PYTHON, "train.py"), cwd=tmp_path,
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    done = forensics(tmp_path, "capture", "--name", "second", "--", PYTHON, "-c", "pass")
    assert "first" not in done.err and (tmp_path / ".forensics" / "spool" / "first").is_dir()
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert done.points("first") == ["loaded", "start", "end"]


def test_a_number_that_another_process_has_now_is_not_ours() -> None:
    from forensics.store.unsealed import _alive

    assert _alive(os.getpid(), time.time())
    assert not _alive(os.getpid(), 1.0), "this process began later"
    assert not _alive(2**22 + 1, time.time())


# -- words that are no UTF-8 ---------------------------------------------------------------------------------

_WORD = os.fsdecode(b"b\xffd")


@pytest.mark.long
@pytest.mark.parametrize("where", ["the command", "the places"])
def test_words_need_not_be_utf8(where: str, tmp_path: Path) -> None:
    """The program starts and gets the same bytes, and what was recorded is read by every command."""
    typed = where == "the command"
    home = tmp_path / ("home" if typed else _WORD)
    script = f"{_WORD}.py" if typed else "train.py"
    write(home, "import os, sys\nprint(os.fsencode(repr(sys.argv[1:])))\n" + textwrap.dedent(LOOP), script)
    words = [PYTHON, script, *([_WORD] if typed else [])]
    store = home / (".forensics" if typed else _WORD)
    plain = subprocess.run(
        words, cwd=home, capture_output=True, text=True, errors="surrogateescape", check=True
    ).stdout
    done = forensics(
        home, "--store", str(store), "capture", "--name", "n", "--", *words, errors="surrogateescape"
    )
    assert (done.status, done.out) == (0, plain)
    assert "Next: forensics diagnose n" in done.err
    for reading in (["diagnose", "n"], ["sql", "SELECT place FROM events"], ["report", "n", "-o", "r.html"]):
        read = forensics(home, *reading, "--store", str(store))
        assert read.status in (0, 1) and "Traceback" not in read.err, (reading, read.err)
    if typed:
        assert "b%FFd.py" in forensics(home, "sql", "SELECT place FROM events", "--store", str(store)).out


def test_a_relative_store_and_a_program_that_goes_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    write(tmp_path, "import os\nos.chdir('else')\n" + textwrap.dedent(LOOP))
    done = forensics(tmp_path, "--store", "mine", "capture", "--name", "n", "--", PYTHON, "train.py")
    assert done.status == 0 and "n: loaded, start, end" in done.err
    assert not (tmp_path / "else" / "mine").exists()
