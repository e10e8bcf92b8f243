"""The pictures of the docs show today's pages, in light and in dark."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from docs.pictures import make

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
HOW = "uv run --group browser python docs/pictures/make.py makes them anew"


@pytest.mark.long
def test_each_picture_is_of_the_page_that_is_made_today(tmp_path: Path) -> None:
    pages = {name: make.digest(make.page_of(refs, tmp_path)) for name, (refs, _) in make.PICTURES.items()}
    assert pages == json.loads((PICTURES / "shown.json").read_text()), HOW


def test_each_picture_is_there_for_light_and_dark_and_shown_somewhere() -> None:
    names = set(json.loads((PICTURES / "shown.json").read_text()))
    assert {path.stem for path in PICTURES.glob("*.png")} == {*names, *(f"{name}-dark" for name in names)}
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    shown = {name for page in pages for name in re.findall(r"pictures/([\w-]+)\.png", page.read_text())}
    assert shown == {*names, *(f"{name}-dark" for name in names)}
