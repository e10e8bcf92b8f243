"""The outputs in docs/tutorial.md are what the commands print; --update-golden writes them.

The pages that mkdocs makes are whole.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forensics.cli import COMMANDS
from forensics.judge import library
from tests.support.command import environment

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
_BLOCK = re.compile(r"```console\n\$ (forensics [^\n]+)\n.*?```", re.S)


def printed(line: str) -> str:
    """What a command of the tutorial prints on a terminal 76 wide, as it would be pasted."""
    words = [sys.executable, "-m", *shlex.split(line)]
    done = subprocess.run(
        words, cwd=ROOT, env=environment({"COLUMNS": "76", "NO_COLOR": "1"}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    text = "\n".join(each.rstrip() for each in done.stdout.splitlines())
    return f"```console\n$ {line}\n{text}\n```"


def test_the_tutorial_shows_what_the_commands_print(golden: Callable[[str, str], None]) -> None:
    text = TUTORIAL.read_text()
    assert len(_BLOCK.findall(text)) == 6
    golden(str(TUTORIAL), _BLOCK.sub(lambda match: printed(match[1]), text))


def test_every_finding_command_and_table_has_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocs", reason="needs the group docs")
    from docs import _pages as pages

    made = pages.finding_pages()
    assert set(made) == {
        "findings/index.md",
        *(f"findings/{d.name}.md" for d in library.load(None).detectors),
    }
    page = made["findings/padding-in-loss.md"]
    for said in (
        "## Mend it",
        "## In a program that has it (snapshots/broken-stub)",
        "broken.py:51",
        "](generation-collapse.md)",
        "forensics query padding-in-loss",
    ):
        assert said in page
    commands = pages.commands_page()
    assert all(f"\n## {name}\n" in commands for name in COMMANDS) and "--sarif" in commands
    tables = pages.tables_page()
    assert "## loss_tokens" in tables and "| `token VARCHAR` |" in tables


def test_commands_that_the_pages_show_exist() -> None:
    for page in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]:
        for name in re.findall(r"^(?:\$ )?forensics ([a-z]+)\b", page.read_text(), re.MULTILINE):
            assert name in COMMANDS, f"{page.name}: forensics {name}"
