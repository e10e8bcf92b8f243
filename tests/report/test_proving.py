"""A proof on the page and on a terminal."""

from __future__ import annotations

from typing import Any

from forensics.judge.proofs import effect, with_proof
from forensics.records import Finding
from forensics.report.html.proving import proof as picture
from forensics.report.terminal.proving import proof as lines

SPAM = "special tokens in answers"


def cure(name: str, outcome: str, cured: list[int], **more: Any) -> dict[str, Any]:
    harm = [{"what": SPAM, "unit": "tokens", "as_it_was": [512, 510, 512], "cured": cured}] if cured else []
    return {
        "ids": [name],
        "outcome": outcome,
        "harm": harm,
        "also_changed": [],
        "why": "because",
        "did": {},
        **more,
    }


DOCUMENT: dict[str, Any] = {
    "schema": 1, "run": "night<b>", "repeats": 3, "steps": 12, "repeatable": True,
    "agreement": "4 of 4 answers are the same", "patch": "",
    "harm": [{"what": SPAM, "unit": "tokens", "as_recorded": 512, "as_it_was": [512, 510, 512]}],
    "cures": [
        cure("padding-in-loss", "proved", [0, 0, 0]),
        cure("lora-missing", "no-effect", [498, 512, 505], also_changed=["trainable tensors: 27 -> 28"]),
        cure("fused-twice", "impossible", []),
    ],
}  # fmt: skip


def test_on_a_terminal() -> None:
    said = lines(DOCUMENT, 100).plain
    assert [line.split()[0] for line in said.splitlines() if line[:1].isupper()] == [
        "PROVED",
        "NOT",
        "UNPROVED",
    ]
    flat = " ".join(said.split())
    assert (
        "special tokens in answers: 510 to 512 as it was, 0 without it (3 pairs of runs, seeds shifted alike)"
        in flat
    )
    assert "498 to 512 without it" in flat and "it is not what makes this" in flat
    assert "Changed trainable tensors: 27 -> 28" in flat
    assert "repeats as recorded" in flat


def test_what_is_partly_gone_names_each_harm_once() -> None:
    other = {"what": "loops", "unit": "tokens", "as_it_was": [3, 3], "cured": [0, 0]}
    for why, said in (
        (f"{SPAM}: gone, and loops instead", f"{SPAM}: 510 to 512 as it was, 0 without it"),
        (f"loops: gone; {SPAM}: not", "loops: gone"),
    ):
        told = cure("padding-in-loss", "partly", [0, 0, 0], why=why)
        told["harm"].append(other)
        text = effect(told)
        assert text.count(SPAM) == 1 and said in text and "; because" not in text


def test_several_cures_at_once() -> None:
    both = cure("padding-in-loss", "proved", [0, 0, 0], ids=["padding-in-loss", "lora-missing"])
    both["did"] = {"padding-in-loss": "weight taken off", "lora-missing": "8 layers put in"}
    said = " ".join(lines({**DOCUMENT, "cures": [both]}, 100).plain.split())
    assert "0 without them" in said and "Did weight taken off; 8 layers put in" in said


def test_as_a_picture() -> None:
    page = str(picture(DOCUMENT))
    assert page.count("<tr>") == 5, "head, as recorded, as it was, two cures"
    assert "width:100.0%" in page and "width:0.0%" in page
    assert "fused-twice: because" in page and "<b>" not in page


def test_a_finding_with_its_proof() -> None:
    bare = Finding("padding-in-loss", "error", "cause", "certain", "t", "c")
    assert with_proof(bare, DOCUMENT).confidence == "proved"
    assert with_proof(bare, DOCUMENT).proof == effect(DOCUMENT["cures"][0])
    other = with_proof(Finding("lora-missing", "error", "cause", "certain", "t", "c"), DOCUMENT)
    assert other.confidence == "certain" and "not what makes this" in other.proof
    assert with_proof(Finding("double-bos", "error", "cause", "certain", "t", "c"), DOCUMENT).proof == ""
    assert with_proof(bare, None) is bare
