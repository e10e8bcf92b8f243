"""The picture of a verdict.

What it says, that strangers' words are harmless in it, and the command that writes it.
"""

from __future__ import annotations

import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

from forensics.records import Diagnosis
from forensics.report.card import card
from tests.support import pages
from tests.support.command import forensics


def drawn(**how: object) -> str:
    material = pages.material(**how)  # type: ignore[arg-type]
    assert isinstance(material.diagnosis, Diagnosis)
    return card(material.diagnosis, material.title)


def test_a_card_says_the_verdict_and_its_first_cause() -> None:
    said = " ".join(xml.fromstring(drawn()).itertext()).replace("\u00a0", " ")  # noqa: S314
    assert "FAULTY" in said and "Padding carries 72 % of the loss." in said and "cause" in said
    assert "HEALTHY" in " ".join(xml.fromstring(drawn(verdict="healthy")).itertext())  # noqa: S314


def test_words_of_strangers_are_text_and_no_markup() -> None:
    material = pages.material()
    assert isinstance(material.diagnosis, Diagnosis)
    root = xml.fromstring(card(material.diagnosis, '<script>"\u202e&</script>'))  # noqa: S314
    assert not [each for each in root.iter() if each.tag.endswith("script")]


@pytest.mark.long
def test_the_command_writes_it_beside_the_page(tmp_path: Path) -> None:
    done = forensics(tmp_path, "report", "snapshots/padded-lora", "--card", "card.svg")
    assert done.status == 0, done.err
    assert "Padding carries 88" in (tmp_path / "card.svg").read_text()


@pytest.mark.long
def test_a_card_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    done = forensics(tmp_path, "report", "snapshots/padded-lora", "--card", "nowhere/card.svg")
    assert done.status == 2 and len(done.err.strip().splitlines()) == 3, done.err
