"""No planted secret leaves in a bundle; what is no secret stays."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.bundle import named
from forensics.bundle.secrets import personal
from forensics.cli import main
from tests.harm import secrets


def test_a_hundred_secrets_of_forty_kinds_stay_at_home() -> None:
    counts = secrets.run(seed=int(os.environ.get("HARM_SEED", "1")), budget=100)
    assert counts["kinds"] >= 40 and counts["planted"] == 100 and counts["leaks"] == 0, counts


def test_the_search_finds_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same search over a bundle that redacts nothing finds the secrets: it can fail."""
    from forensics.bundle.redact import Redactor

    monkeypatch.setattr(Redactor, "row", lambda self, table, row: dict(row))
    assert secrets.run(seed=1, budget=100)["leaks"] > 100


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "hf_token",
        "apiKey",
        "db.credentials.user",
        "AWS_SECRET_ACCESS_KEY",
        "X-Auth",
        "my.private",
        "wandb-api-key",
    ],
)
def test_names_that_say_secret(name: str) -> None:
    assert named.secret(name, "x")


@pytest.mark.parametrize(
    "name",
    [
        "eos_token",
        "pad_token",
        "max_tokens",
        "eos_token_id",
        "num_key_value_heads",
        "keys",
        "author",
        "tokenizer",
        "secretary",
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert not named.secret(name, "x")


@pytest.mark.parametrize("value", [5, True, 0.5])
def test_numbers_under_a_token_stay(value: object) -> None:
    assert not named.secret("token", value)


NUMBERS = {
    "phone number": [
        "+49 170 1234567",
        "+1 (415) 555-0132",
        "(415) 555-0132",
        "0171/2345678",
        "0043 1 5850500",
    ],
    "IBAN": ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819"],
    "card number": ["4111 1111 1111 1111", "5500005555555559"],
    "social security number": ["078-05-1120"],
}


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in NUMBERS.items() for text in texts]
)
def test_numbers_of_people(kind: str, text: str) -> None:
    masked, counts = personal(f"call {text} now")
    assert masked == f"call [{kind}] now" and counts == {kind: 1}


@pytest.mark.parametrize(
    "text",
    [
        "3.14159265358979",
        "step 100 of 1000, loss 0.123456",
        "2026-11-30 05:28:00",
        "1 2 3 4 5 6 7 8 9 10 11",
        "1,000,000,000 tokens",
    ],
)
def test_numbers_of_nobody(text: str) -> None:
    assert personal(text) == (text, {})


def _with_phone(root: Path) -> Path:
    secrets.planted(
        root, [("output", "note", "+49 170 1234567"), ("attribute", "note", "free words of mine")]
    )
    return root


@pytest.mark.parametrize(("choice", "leaves"), [("ask", False), ("mask", False), ("keep", True)])
def test_numbers_of_people_leave_only_where_that_was_said(tmp_path: Path, choice: str, leaves: bool) -> None:
    store, out = _with_phone(tmp_path / "s"), tmp_path / "b.zip"
    words = ["bundle", "night", "--store", str(store), "-o", str(out), "--include-text", "--personal", choice]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert ("170 1234567" in secrets.members(out)) is leaves
    assert (choice != "ask") or "1 phone number" in done.stderr


def test_free_texts_of_attributes_leave_as_digest_and_length(tmp_path: Path) -> None:
    store, out = _with_phone(tmp_path / "s"), tmp_path / "b.zip"
    assert CliRunner().invoke(main, ["bundle", "night", "--store", str(store), "-o", str(out)]).exit_code == 0
    held = secrets.members(out)
    assert "free words" not in held and f":{len('free words of mine')}" in held


def test_a_dry_run_lists_every_word_uncut_by_its_place(tmp_path: Path) -> None:
    store, listed = _with_phone(tmp_path / "s"), tmp_path / "words.txt"
    done = CliRunner().invoke(
        main, ["bundle", "night", "--store", str(store), "--dry-run", "--include-text", "-o", str(listed)]
    )
    assert done.exit_code == 0 and not list(tmp_path.glob("*.zip")), done.output
    text = listed.read_text()
    assert "  transcripts.output\n    it said [phone number] to me" in text and "night@end" in text
    told = json.loads(
        CliRunner()
        .invoke(main, ["bundle", "night", "--store", str(store), "--dry-run", "--include-text", "--json"])
        .stdout
    )
    assert all(
        f"    {each}" in text for texts in told["leaves"].values() for each in texts if each.isprintable()
    )
