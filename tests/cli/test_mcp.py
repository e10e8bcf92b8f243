"""The server for assistants, asked by the official client through a real process; and llms.txt."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forensics.cli import COMMANDS
from forensics.cli.mcp import NAMES
from tests.support.command import LOOP, command, environment, forensics, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("served")
    path = write(directory, LOOP.replace("SGD(0.1)", "SGD(0.0)"))
    assert forensics(directory, "capture", "--name", "bad", "--", sys.executable, str(path)).status == 0
    return directory / ".forensics"


def served(store: Path, *calls: tuple[str, dict[str, Any]]) -> tuple[list[Any], list[tuple[bool, str]]]:
    """The server's tools, and of each call whether it failed and its text."""
    pytest.importorskip("mcp.server.mcpserver", reason="needs mlx-forensics[mcp]")
    from mcp import Client, StdioServerParameters

    async def ask() -> tuple[list[Any], list[tuple[bool, str]]]:
        words = command("mcp", "--store", str(store))
        server = StdioServerParameters(
            command=words[0], args=words[1:], env=environment(), cwd=str(store.parent)
        )
        async with Client(server) as client:
            tools = (await client.list_tools()).tools
            answers = [await client.call_tool(name, given) for name, given in calls]
            return tools, [(bool(each.is_error), each.content[0].text) for each in answers]

    return asyncio.run(asyncio.wait_for(ask(), 100))


def tree(store: Path) -> dict[str, tuple[int, int]]:
    return {
        str(p.relative_to(store)): (p.stat().st_size, p.stat().st_mtime_ns)
        for p in store.rglob("*")
        if p.is_file()
    }


@pytest.mark.long
def test_an_assistant_reads_everything_and_changes_nothing(store: Path) -> None:
    before = tree(store)
    tools, answers = served(
        store, ("list", {}), ("show", {"ref": "bad"}), ("diagnose", {"refs": ["bad"]}), ("diagnose", {}),
        ("query", {}), ("query", {"name": "training-steps", "refs": ["bad"]}),
        ("sql", {"statement": "SELECT count(*) AS n FROM steps"}),
        ("sql", {"statement": "SELECT max(step) AS n FROM steps", "run": "bad"}),
        ("explain", {"finding": "learning-rate-zero"}), ("diff", {"refs": ["bad"]}),
    )  # fmt: skip
    assert [tool.name for tool in tools] == list(NAMES)
    assert all(
        tool.annotations.read_only_hint and not tool.annotations.open_world_hint and tool.description
        for tool in tools
    )
    assert not any(failed for failed, _ in answers), answers
    listed, shown, judged, newest, catalogue, steps, counted, one, explained, compared = (
        json.loads(text) for _, text in answers
    )
    assert [run["run"] for run in listed["runs"]] == ["bad"] and shown["kind"] == "run"
    assert judged == newest and judged["findings"][0]["id"] == "learning-rate-zero"
    assert {"name", "title"} == catalogue["queries"][0].keys()
    assert (
        [row["step"] for row in steps["rows"]] == [1, 2, 3]
        and counted["rows"] == [{"n": 3}]
        and one["rows"] == [{"n": 3}]
    )
    assert explained["fix"] and compared["parameters"]["identical"] == 3
    assert tree(store) == before


def test_what_an_assistant_may_not_or_cannot_is_said_and_the_server_goes_on(store: Path) -> None:
    before = tree(store)
    _, answers = served(
        store, ("sql", {"statement": "DROP TABLE steps"}),
        ("sql", {"statement": "SELECT * FROM read_text('/etc/passwd')"}),
        ("diagnose", {"refs": ["s3://bucket/model"]}), ("show", {"ref": "hf://model"}),
        ("diagnose", {"refs": ["nihgt"]}), ("explain", {"finding": "lora-mising"}), ("capture", {}),
        ("list", {}),
    )  # fmt: skip
    assert [failed for failed, _ in answers] == [True] * 7 + [False], answers
    texts = [text for _, text in answers]
    assert "One SELECT is asked" in texts[0] and "root:" not in texts[1]
    assert all("Nothing is fetched" in text for text in texts[2:4]) and "lora-missing" in texts[5]
    assert tree(store) == before


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "mcp").mkdir()
    (tmp_path / "mcp" / "__init__.py").write_text("raise ImportError\n")
    done = subprocess.run(
        command("mcp"), cwd=tmp_path, env=environment({"PYTHONPATH": str(tmp_path)}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "pip install 'mlx-forensics[mcp]'" in done.stderr and done.stdout == ""


def test_llms_txt_names_what_there_is() -> None:
    text = (ROOT / "docs" / "llms.txt").read_text()
    assert text.startswith("# mlx-forensics\n\n> ")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links and all((ROOT / "docs" / link).is_file() for link in links)
    named = set(re.findall(r"^- `forensics (\w+)", text, re.MULTILINE))
    assert named >= {"capture", "diagnose", "explain", "query", "sql", "mcp"} and named <= set(COMMANDS)
