"""The list of other people's trainers is whole, so that the table can be made again."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import benchmarks.trainers as trainers

DECLARED = tomllib.loads((trainers.HERE / "trainers.toml").read_text())
LISTED = [trainers.Trainer(**one, shared=DECLARED["shared"]) for one in DECLARED["trainer"]]


def test_each_trainer_is_pinned_and_asks_for_files_that_there_are() -> None:
    assert len({one.run for one in LISTED}) == len(LISTED)
    for one in LISTED:
        assert any("==" in package for package in one.packages) and one.updates > 0, one.name
        scripts = [word for word in one.command if word.endswith((".py", ".yaml"))]
        assert set(scripts) <= set(one.shared | one.files), one.name


def test_only_known_places_are_filled_in() -> None:
    known = {"{model}", "{data}", "{pairs}", "{questions}"}
    for one in LISTED:
        text = " ".join([*one.command, *one.files.values()])
        assert set(re.findall(r"\{[a-z]+\}", text)) <= known, one.name


def test_the_page_has_a_row_for_each_trainer() -> None:
    page = (Path(trainers.HERE).parent / "docs" / "trainers.md").read_text()
    rows = {line.split(" | ")[0].removeprefix("| ") for line in page.splitlines() if line.startswith("| ")}
    assert {one.name for one in LISTED} <= rows
