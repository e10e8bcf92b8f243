"""No planted secret leaves in a bundle; what is no secret stays."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.bundle import named
from forensics.bundle.redact import Redactor
from forensics.bundle.secrets import clean, personal
from forensics.cli import main
from forensics.store.keyed import Keyed
from tests.harm import secrets


def test_a_hundred_secrets_of_forty_kinds_stay_at_home() -> None:
    counts = secrets.run(seed=int(os.environ.get("HARM_SEED", "1")), budget=100)
    assert counts["kinds"] >= 40 and counts["planted"] == 100 and counts["leaks"] == 0, counts


def test_the_search_finds_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same search over a bundle that redacts nothing finds the secrets: it can fail."""
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
        "model.layers.0.self_attn.q_proj.lora_a",
        "Qwen2ForCausalLM",
        "QuantizedSwitchLinear",
        "GPTNeoXJapaneseForCausalLM",
        "Qwen2.5-0.5B-Instruct-4bit",
        "Mixtral-8x7B-Instruct-v0.1",
        "blk.12.attn_q.weight",
        "conv2d1x1",
        "gate_up_proj_fp16_e4m3fn",
        "model-00001-of-00002",
        "2026-11-30T11:05:28.123456+00:00",
        "text-9c31-1f0c2a9b3d4e",
    ],
)
def test_names_of_the_field_stay(name: str) -> None:
    assert Redactor(Keyed(b"k"), text=False).word(name) == name


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        ("head.NRAK-6186ZHKMXYSXXGJNHNX486B3T1S.weight", ("head.", ".weight")),
        ("LTAI5tCWjrgjLiXkxOHahHin", ()),
        ("probe.as-XKqMzPOXyorVBfywbzDrU6", ("probe.",)),
        ("layers.3f8a9c1d.bias", ("layers.", ".bias")),
    ],
)
def test_drawn_words_leave_no_name(name: str, stays: tuple[str, ...]) -> None:
    kept = Redactor(Keyed(b"k"), text=False).word(name)
    assert not any(
        piece in kept for piece in name.split(".") if f"{piece}." not in stays and f".{piece}" not in stays
    )
    assert all(part in kept for part in stays)


def test_the_users_name_is_no_part_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "quillfeather")
    redactor = Redactor(Keyed(b"k"), text=True)
    assert "quill" not in redactor.word("model.quillfeather_head.weight")
    assert "quill" not in redactor.file("quillfeather.safetensors")


def test_what_stands_token_by_token_is_found_as_a_whole() -> None:
    redactor = Redactor(Keyed(b"k"), text=True)
    said = ["say", " hf", "_abcd", "EFGH1234", "ijklMNOP56", " and", " go"]
    rows = [
        {"run": "r", "step": 1, "row": 0, "position": n, "input_id": n, "target_id": n + 1}
        | {"token": each, "next_token": each}
        for n, each in enumerate(said)
    ]  # fmt: skip
    kept = list(redactor.rows("loss_tokens", [*rows, {**rows[0], "row": 1}]))
    assert "".join(str(row["next_token"]) for row in kept[:2]) == "say[hidden]"
    assert not any(piece in str(kept) for piece in said[1:5])
    assert [row.get("target_id") for row in kept] == [None] * 6 + [7, 1]
    assert [row["next_token"] for row in kept[5:]] == [" and", " go", "say"]


def test_ids_do_not_spell_what_was_taken_out() -> None:
    row = {
        "prompt": "it is hf_abcdEFGH1234ijklMNOP56",
        "prompt_ids": "[1, 2]",
        "output": "so",
        "output_ids": "[3]",
    }
    kept = Redactor(Keyed(b"k"), text=True).row("transcripts", row)
    assert "prompt_ids" not in kept and kept["output_ids"] == "[3]"


def test_a_command_line_stays_at_home_in_every_column() -> None:
    row = {
        "run": "r",
        "command": '["a"]',
        "launch": '{"argv": ["--note", "a b"]}',
        "lines": '{"t.py:1": "x = 1"}',
    }
    assert set(Redactor(Keyed(b"k"), text=True).row("runs", row)) == {"run", "lines"}


TEXTS = [
    '{"client_secret": "horsetulip88"}',
    'note: {\\"client_secret\\": \\"horsetulip88\\"}',
    "machine api.wandb.ai login user password horsetulip88",
    "curl -u admin:horsetulip88 https://example.org",
    "--password horsetulip88",
    "Cookie: session=horsetulip88; x=1",
    "https://api.example.org/v1?api_key=horsetulip88",
]


@pytest.mark.parametrize("text", TEXTS)
def test_passwords_by_what_stands_before_them(text: str) -> None:
    assert "horsetulip88" not in clean(text)


@pytest.mark.parametrize(
    "text", ["02:42:ac:11:00:02", "fe80::1ff:fe23:4567:890a", "3f8a9c1d-1111-4222-8333-0123456789ab"]
)
def test_addresses_of_machines(text: str) -> None:
    assert text not in clean(f"it is {text} here")


@pytest.mark.parametrize(
    "text", ["at 12:30:45", "std::vector", "a password", "session 4 of 9", "f(x) = y::z"]
)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert clean(text) == text


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


@pytest.mark.long
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
