"""`forensics sql` on a terminal: an answer taller than it goes through the pager."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

from tests.support.command import command, environment
from tests.support.made import night


def on_a_terminal(store: Path, query: str, lines: int = 24) -> str:
    """What the terminal shows, with a pager that marks what went through it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 80, 0, 0))
    pager = store / "pager"
    pager.write_text("#!/bin/sh\nsed 's/^/paged: /'\n")
    pager.chmod(0o755)
    env = environment({"TERM": "xterm", "PAGER": str(pager)})
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        env.pop(name, None)
    words = command("sql", "--store", str(store), query)
    child = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=env)
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # how Linux says that nobody writes any more
        pass
    os.close(ours)
    assert child.wait() == 0
    return seen.decode()


def test_a_tall_answer_is_paged_and_a_short_one_is_not(tmp_path: Path) -> None:
    store = night(tmp_path / "store").root
    tall = on_a_terminal(store, "SELECT range AS n FROM range(23)")
    assert tall.count("paged: ") == 24 and "22" in tall
    short = on_a_terminal(store, "SELECT range AS n FROM range(22)")
    assert "paged: " not in short and "21" in short
