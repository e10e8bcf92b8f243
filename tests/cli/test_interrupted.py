"""Ctrl-C, wherever it comes: one line and status 130, and never a finding."""

from __future__ import annotations

import subprocess
import sys
import textwrap

IMPORTING = """
    import os, signal, sys
    from importlib.abc import MetaPathFinder
    signal.signal(signal.SIGINT, signal.default_int_handler)
    class Pressed(MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name == "click":
                os.kill(os.getpid(), signal.SIGINT)
    sys.meta_path.insert(0, Pressed())
    from forensics.__main__ import main
    main()
"""
ASKING = """
    import os, signal, subprocess, sys
    from types import SimpleNamespace
    from forensics import cli
    from forensics.judge import outcomes
    from forensics.store.session import from_rows
    signal.signal(signal.SIGINT, signal.default_int_handler)
    LONG = "SELECT sum(range) FROM range(100000000)"
    session = from_rows({})
    session.lock(threads=1)  # with more, DuckDB may hear of it at the end of its statement
    asks = {
        "rows": lambda: session.rows(LONG),
        "bare": lambda: session._connection.execute(LONG),
        "detector": lambda: outcomes.ask(
            SimpleNamespace(rows=lambda _: session._connection.execute(LONG).fetchall()[:0]),
            SimpleNamespace(names=lambda _: (), text=lambda _: ""), None),
    }
    def asked(*_):
        subprocess.Popen(["sh", "-c", f"sleep 1; kill -INT {os.getpid()}"])
        while True:
            asks[sys.argv[1]]()
    cli.main.commands["list"] = cli.main.get_command(None, "list")
    cli.main.get_command = lambda *_: cli.main.commands["list"]
    cli.main.commands["list"].invoke = asked
    cli.main(["list"], prog_name="forensics")
"""


def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *words], capture_output=True, text=True, check=False
    )


def test_while_modules_are_imported() -> None:
    done = run(IMPORTING)
    assert (done.returncode, done.stderr) == (130, "forensics: interrupted.\n")


def test_while_duckdb_is_asked() -> None:
    for where in ("rows", "bare", "detector"):
        done = run(ASKING, where)
        assert (done.returncode, done.stderr.strip()) == (130, "forensics: interrupted."), where
