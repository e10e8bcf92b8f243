"""A proof goes with a bundle: its outcome and numbers, and nothing that a program or a person wrote."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from forensics.bundle.proofs import AT_HOME, sent
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
