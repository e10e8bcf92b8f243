"""Secrets planted where users leave them, in a store that is bundled.

None may stand in any member of the zip.

`run(seed, budget)` plants `budget` secrets of 40 kinds, drawn anew from the seed, bundles with and without
texts, and counts.
"""

from __future__ import annotations

import gzip
import json
import random
import string
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from forensics import evidence
from forensics.bundle import contents, write
from forensics.store.store import Store
from tests.support import made

Draw = Callable[[random.Random], str]
_HEX, _MIXED = string.hexdigits.lower()[:16], string.ascii_letters + string.digits


def _of(prefix: str, alphabet: str, count: int, suffix: str = "") -> Draw:
    return lambda draw: prefix + "".join(draw.choice(alphabet) for _ in range(count)) + suffix


def _words(draw: random.Random) -> str:
    """A password that has no form: two words and a number."""
    return "".join(
        draw.choice(("Correct", "horse", "Bluebird", "tulip", "Saturn", "coffee")) for _ in range(2)
    ) + str(draw.randrange(10, 99))


FORMS: dict[str, Draw] = {
    "huggingface": _of("hf_", _MIXED, 34),
    "openai": _of("sk-proj-", _MIXED, 48),
    "anthropic": _of("sk-ant-api03-", _MIXED, 90),
    "github": _of("ghp_", _MIXED, 36),
    "github fine": _of("github_pat_", _MIXED, 60),
    "gitlab": _of("glpat-", _MIXED, 20),
    "aws": _of("AKIA", string.ascii_uppercase + string.digits, 16),
    "google": _of("AIza", _MIXED, 35),
    "slack": _of("xoxb-1234567890-", _MIXED, 24),
    "slack hook": _of("https://hooks.slack.com/services/T0001/B0001/", _MIXED, 24),
    "discord": _of("https://discord.com/api/webhooks/1234567890/", _MIXED, 60),
    "telegram": _of("123456789:AA", _MIXED, 33),
    "stripe": _of("sk_live_", _MIXED, 24),
    "npm": _of("npm_a1", _MIXED, 34),
    "groq": _of("gsk_a1", _MIXED, 48),
    "replicate": _of("r8_a1", _MIXED, 35),
    "databricks": _of("dapi", _HEX, 32),
    "pypi": _of("pypi-AgEIcHlwaS5vcmc", _MIXED, 60),
    "docker": _of("dckr_pat_", _MIXED, 27),
    "sendgrid": lambda d: f"SG.{_of('', _MIXED, 22)(d)}.{_of('', _MIXED, 43)(d)}",
    "twilio": _of("SK", _HEX, 32),
    "jwt": lambda d: f"eyJhbGciOiJIUzI1NiJ9.{_of('eyJ', _MIXED, 40)(d)}.{_of('', _MIXED, 43)(d)}",
    "private key": _of("-----BEGIN RSA PRIVATE KEY-----\n", _MIXED, 60, "\n-----END RSA PRIVATE KEY-----"),
    "ssh": _of("ssh-ed25519 AAAAC3", _MIXED, 60),
    "bearer": _of("Authorization: Bearer ", _MIXED, 30),
    "url": _of("postgres://jo:", _MIXED, 14, "@db.example.org/x"),
    "wandb": _of("wandb login ", _HEX, 40),
    "md5": _of("", _HEX, 32),
    "address": _of("jo.", string.ascii_lowercase, 8, "@example.org"),
    "private network": lambda d: f"10.{d.randrange(256)}.{d.randrange(256)}.7",
    "vault": _of("hvs.CAESI1", _MIXED, 30),
}
"""Secrets that their form gives away: they may stand in any text."""
NAMED: dict[str, Draw] = dict.fromkeys(
    (
        "password",
        "passwd",
        "db_pwd",
        "clientSecret",
        "hf_token",
        "api_key",
        "credential",
        "auth",
        "ssh_private",
        "userPassword",
    ),
    _words,
)
"""Secrets without a form, under a name that says what they are; the kind is the name."""


def plants(draw: random.Random, budget: int) -> Iterator[tuple[str, str, str]]:
    """(place, name, secret): forms in every place of text, names where there are names."""
    kinds = [*FORMS, *NAMED]
    for number in range(budget):
        kind = kinds[number % len(kinds)]
        if kind in NAMED:
            yield (
                draw.choice(("attribute", "nested", "optimizer", "config", "deep config", "declared")),
                kind,
                NAMED[kind](draw),
            )
        else:
            place = draw.choice(
                (
                    "attribute",
                    "optimizer",
                    "config",
                    "declared",
                    "prompt",
                    "output",
                    "error",
                    "place",
                    "environment",
                    "missing",
                )
            )
            yield place, "note", FORMS[kind](draw)


def planted(root: Path, secrets: list[tuple[str, str, str]]) -> Store:
    """A store whose one run holds the secrets."""
    tables: dict[str, list[dict[str, Any]]] = {
        t: [] for t in ("modules", "optimizers", "configs", "transcripts")
    }
    events: list[dict[str, Any]] = []
    environment: list[dict[str, Any]] = []
    for n, (place, name, secret) in enumerate(secrets):
        deep = {"outer": [{"inner": {name: secret, "n": n}}]}
        if place in ("attribute", "nested"):
            said = deep if place == "nested" else {name: secret}
            tables["modules"].append(
                {"module": f"m.{n}", "canonical": f"m.{n}", "kind": "other", "attributes": json.dumps(said)}
            )
        elif place == "optimizer":
            tables["optimizers"].append(
                {"class": "Adam", "settings": json.dumps({name: secret, "eps": 1e-8})}
            )
        elif place in ("config", "deep config"):
            key, value = (name, secret) if place == "config" else ("run.list", deep)
            tables["configs"].append({"kind": "other", "key": key, "value": json.dumps(value)})
        elif place in ("prompt", "output"):
            tables["transcripts"].append(
                {
                    "prompt_id": f"p{n}",
                    "source": "probe",
                    "prompt": "q",
                    "output": "a",
                    place: f"it said {secret} to me",
                }
            )
        elif place == "environment":
            environment.append({"capture": "night", "key": "mlx", "value": secret})
        elif place == "missing":
            events.append(
                {
                    "sequence": n,
                    "kind": "error",
                    "detail": json.dumps({"type": "ValueError", "message": "x", "call": secret}),
                }
            )
        else:
            detail = (
                {"via": "f", "declared": {name: secret}}
                if place == "declared"
                else {"type": "ValueError", "message": secret}
            )
            where = f"/home/x/{secret}/train.py:9" if place == "place" else "train.py:9"
            events.append(
                {
                    "sequence": n,
                    "kind": "train" if place == "declared" else "error",
                    "detail": json.dumps(detail),
                    "place": where,
                }
            )
    store = Store(root)
    made.capture(store, "night@end", {"w": made.tensor(1.0, 2.0)}, tables)
    made.run(store, "night", {"events": events, "environment": environment})
    return store


def by_member(path: Path) -> dict[str, str]:
    """Each member of a bundle, unpacked, as text with JSON's own escapes undone; their names are one more."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            text = (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8", "replace")
            found[name] = text + text.replace("\\\\", "\\").replace('\\"', '"').replace("\\n", "\n")
    return {**found, "names": "\n".join(found)}


def members(path: Path) -> str:
    """All that is in a bundle, as one text."""
    return "\n".join(by_member(path).values())


def run(seed: int, budget: int) -> dict[str, int]:
    """Counts: secrets planted, kinds, bundles searched, secrets found in one (leaks; 0 is right)."""
    draw = random.Random(seed)
    secrets = list(plants(draw, budget))
    leaks: list[tuple[str, str, str, bool]] = []
    with tempfile.TemporaryDirectory() as name:
        store = planted(Path(name) / "store", secrets)
        for text in (False, True):
            out = Path(name) / f"{text}.zip"
            with ExitStack() as stack:
                write.finish(
                    write.stage(
                        store,
                        contents.select(evidence.chosen(store, ["night"])),
                        "stats",
                        text=text,
                        stack=stack,
                    ),
                    out,
                )
            held = members(out)
            leaks += [(place, kind, secret, text) for place, kind, secret in secrets if _core(secret) in held]
    for leak in leaks:
        print("leak:", *leak)
    return {"planted": len(secrets), "kinds": len({*FORMS, *NAMED}), "bundles": 2, "leaks": len(leaks)}


def _core(secret: str) -> str:
    """The part of a secret that nobody may read.

    Of an URL or a header it is what follows the name of the service.
    """
    return (
        secret.replace("-----BEGIN RSA PRIVATE KEY-----\n", "")[-24:].split("@")[0]
        if len(secret) > 30
        else secret
    )
