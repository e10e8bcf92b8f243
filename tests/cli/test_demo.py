"""The story: three trainers, captured and diagnosed, told right from the evidence alone."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from forensics.demo import story
from tests.support.command import forensics
from tests.zoo import varied

CAUSES = {"broken-stub": ["padding-in-loss", "lora-missing"], "padded-lora": ["padding-in-loss"], "fixed": []}
ARGUMENTS = story.RECIPES["tiny"].arguments


@pytest.mark.long
def test_the_story_on_the_tiny_model(tmp_path: Path) -> None:
    told = forensics(tmp_path, "demo", "--model", "tiny", "--out", "evidence")
    assert told.status == 0, told.err
    assert [line.split()[0] for line in told.out.splitlines() if line.startswith(("FAULTY", "HEALTHY"))] == [
        "FAULTY",
        "FAULTY",
        "HEALTHY",
    ]
    assert sorted(path.name for path in (tmp_path / "evidence").glob("*.html")) == [
        "broken-stub.html",
        "fixed.html",
        "padded-lora.html",
    ]
    again = forensics(tmp_path, "demo", "--model", "tiny", "--out", "evidence")
    assert again.status == 2 and "holds captures already" in again.err


@pytest.mark.long
@pytest.mark.parametrize("trainer", story.STORY, ids=lambda trainer: trainer.run)
def test_nothing_rests_on_the_names_in_a_trainer(trainer: story.Trainer, tmp_path: Path) -> None:
    shutil.copy(story.TRAINERS / trainer.script, tmp_path / "program.py")
    varied.rename(tmp_path, "")
    assert "add_adapter" not in (tmp_path / "program.py").read_text()
    story.write_prompts(tmp_path / "prompts.jsonl")
    model = str(story.model_directory("tiny"))
    options = ["--name", "run", "--prompts", "prompts.jsonl", "--max-tokens", "24"]
    ran = forensics(
        tmp_path,
        "capture",
        *options,
        "--",
        sys.executable,
        "program.py",
        "--model",
        model,
        "--out",
        "adapters",
        *ARGUMENTS,
    )
    assert ran.status == 0, ran.err
    said = json.loads(forensics(tmp_path, "diagnose", "run", "--json").out)
    assert [finding["id"] for finding in said["findings"] if finding["role"] == "cause"] == CAUSES[
        trainer.run
    ]
    assert said["verdict"] == ("faulty" if CAUSES[trainer.run] else "healthy")
