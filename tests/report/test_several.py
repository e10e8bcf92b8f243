"""Three runs or more on one page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import reports
from tests.support.command import forensics

ROOT = Path(__file__).parents[2]
RUNS = ("snapshots/broken-stub", "snapshots/padded-lora", "snapshots/fixed")


@pytest.mark.long
def test_their_curves_are_told_apart_and_each_is_there_in_full() -> None:
    html = reports.of(*RUNS)
    loss = next(f for f in re.findall(r"<figure>.*?</figure>", html, re.DOTALL) if "<strong>Loss" in f)
    hues = re.findall(r'<polyline class="line" style="stroke:var\(--(\w+)\)"', loss)
    assert len(hues) == len(set(hues)) == 3 and loss.count('class="curve"') == 3
    assert html.count('<details class="each">') == 3
    assert "<title>faulty, faulty, healthy: " in html


def test_the_command_says_each_verdict_and_makes_no_card_of_several(tmp_path: Path) -> None:
    done = forensics(ROOT, "report", *RUNS, "-o", str(tmp_path / "x.html"), "--store", str(tmp_path))
    assert done.status == 0 and "x.html: faulty, faulty, healthy, " in done.out
    done = forensics(ROOT, "report", *RUNS, "--card", str(tmp_path / "x.svg"), "--store", str(tmp_path))
    assert done.status == 2 and "A card is of one run, or of two." in done.err
