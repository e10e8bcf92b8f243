"""A repeat reaches nothing outside its folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.watched import SITE

PROGRAM = """
import os, pathlib, shutil, socket, sqlite3, subprocess, sys, tempfile
out = pathlib.Path(sys.argv[1])

def tried(name, function):
    try:
        function()
    except PermissionError:
        print(name, "refused")
    except Exception as error:
        print(name, type(error).__name__)
    else:
        print(name, "done")

tried("inside", lambda: open("mine", "w").close())
tried("own data", lambda: open("work/data.txt", "a").close())
tried("own output", lambda: open("work/output.txt", "w").close())
tried("temporary", lambda: tempfile.NamedTemporaryFile().close())
tried("read", lambda: open(out / "theirs").read())
tried("write", lambda: open(out / "new", "w"))
tried("append", lambda: open(out / "theirs", "a"))
tried("update", lambda: open(out / "theirs", "r+"))
tried("through a link", lambda: open("link", "w"))
tried("os.open", lambda: os.open(out / "new", os.O_WRONLY | os.O_CREAT))
tried("remove", lambda: os.remove(out / "theirs"))
tried("rename", lambda: os.rename(out / "theirs", "here"))
tried("replace", lambda: os.replace("mine", out / "theirs"))
tried("mkdir", lambda: os.mkdir(out / "folder"))
tried("rmtree", lambda: shutil.rmtree(out))
tried("chmod", lambda: os.chmod(out / "theirs", 0o777))
tried("truncate", lambda: os.truncate(out / "theirs", 0))
tried("sqlite", lambda: sqlite3.connect(out / "base.db"))
tried("connect", lambda: socket.create_connection(("127.0.0.1", 9)))
tried("lookup", lambda: socket.getaddrinfo("example.org", 80))
tried("shell", lambda: os.system("true"))
tried("program", lambda: subprocess.run(["cp", "mine", out / "new"]))
tried("shell program", lambda: subprocess.run("true", shell=True))
tried("lone python", lambda: subprocess.run([sys.executable, "-I", "-c", "pass"]))
child = f"import pathlib; pathlib.Path({str(out / 'new')!r}).write_text('')"
tried("python", lambda: subprocess.run([sys.executable, "-c", child], stderr=subprocess.DEVNULL, check=True))
tried("fork", lambda: os._exit(0) if os.fork() == 0 else os.wait())
tried("input", lambda: input("name? "))
"""
ALLOWED = {"inside", "own data", "own output", "temporary", "read", "fork"}


def test_what_is_refused(tmp_path: Path) -> None:
    folder, out = tmp_path / "folder", tmp_path / "out"
    for place in (folder / "temporary", folder / "spool", out):
        place.mkdir(parents=True)
    (out / "theirs").write_text("data")
    (folder / "work").mkdir()
    for name in ("data.txt", "output.txt"):
        (folder / "work" / name).write_text("theirs")
    (folder / "link").symlink_to(out / "theirs")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "spool" / "options.json").write_text("{}")
    variables = {
        **os.environ, "PYTHONPATH": str(SITE), "FORENSICS_SPOOL": str(folder / "spool"),
        "FORENSICS_SCRATCH": str(folder), "TMPDIR": str(folder / "temporary"), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "program.py", str(out)],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    said = dict(
        line.rsplit(" ", 1) for line in done.stdout.splitlines() if " " in line and "name?" not in line
    )
    assert {name for name, what in said.items() if what == "done"} == ALLOWED, said
    assert said.pop("python") == "CalledProcessError", "a child is guarded as well"
    assert {what for name, what in said.items() if name not in ALLOWED} == {"refused"}, said
    assert sorted(path.name for path in out.iterdir()) == ["theirs"]
    assert (out / "theirs").read_text() == "data"
    lines = [json.loads(line) for line in (folder / "refused.jsonl").read_text().splitlines()]
    assert {line["kind"] for line in lines} == {"write", "network", "program", "input", "changes"}
    assert [line["what"] for line in lines if line["kind"] == "changes"] == ["data.txt"]
