"""Secrets planted in programs of their own, in every place where a run can carry one, and looked for in what
leaves.

Each program is watched, bundled at every level with and without texts, and its secrets are searched in every
member of each zip, in the page and the summary that are made from it, and in what `diagnose` says of it.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tests.harm import secrets
from tests.harm.counts import Count
from tests.harm.secrets import FORMS, _core, _of
from tests.support import tiny
from tests.support.command import command, environment

USER, HOST = "quillfeather", "merlins-workbench"
Draw = Callable[[random.Random], str]
_LOW = "abcdefghijklmnopqrstuvwxyz"
_HEX, _MIXED = "0123456789abcdef", secrets._MIXED
MORE: dict[str, Draw] = {
    "langsmith": lambda d: f"lsv2_pt_{_of('', _HEX, 32)(d)}_{_of('', _HEX, 10)(d)}",
    "pinecone": _of("pcsk_4Xn2", _MIXED, 60),
    "notion": _of("ntn_4821", _MIXED, 42),
    "azure": lambda d: f"DefaultEndpointsProtocol=https;AccountKey={_of('', _MIXED + '+/', 86)(d)}==",
    "azure signature": lambda d: f"https://x.blob.core.windows.net/c?sv=2022&sig={_of('', _MIXED, 40)(d)}%3D",
    "mailgun": _of("key-", _HEX, 32),
    "shopify": _of("shpat_", _HEX, 32),
    "grafana": lambda d: f"glsa_{_of('', _MIXED, 32)(d)}_{_of('', _HEX, 8)(d)}",
    "newrelic": _of("NRAK-", "ABCDEFGHJKMNPQRSTVWXYZ0123456789", 27),
    "postman": lambda d: f"PMAK-{_of('', _HEX, 24)(d)}-{_of('', _HEX, 34)(d)}",
    "atlassian": _of("ATATT3xFfGF0", _MIXED, 100),
    "netlify": _of("nfp_", _MIXED, 36),
    "fly": _of("fo1_", _MIXED, 43),
    "planetscale": _of("pscale_tkn_", _MIXED, 43),
    "modal": _of("as-", _MIXED, 22),
    "wandb new": _of("wandb_v1_", _MIXED, 72),
    "alibaba": _of("LTAI5t", _MIXED, 18),
    "xai": _of("xai-", _MIXED, 80),
    "terraform": lambda d: f"{_of('', _MIXED, 14)(d)}.atlasv1.{_of('', _MIXED, 60)(d)}",
    "aws secret": lambda d: f"aws_secret_access_key = {_of('', _MIXED + '+/', 40)(d)}",
    "uuid key": lambda d: "HEROKU_API_KEY=" + "-".join(_of("", _HEX, n)(d) for n in (8, 4, 4, 4, 12)),
    "openssh": _of(
        "-----BEGIN OPENSSH PRIVATE KEY-----\n",
        _MIXED,
        64,
        "\n-----END OPENSSH PRIVATE KEY-----",
    ),
    "pgp": _of(
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n", _MIXED, 64, "\n-----END PGP PRIVATE KEY BLOCK-----"
    ),
    "redis": _of("redis://:", _MIXED, 16, "@cache.example.org:6379/0"),
    "clone": _of("https://oauth2:", _MIXED, 20, "@git.example.org/a/b.git"),
    "key in a query": _of("https://api.example.org/v1?api_key=", _MIXED, 20),
    "assignment": lambda d: f"export DB_PASSWORD='{secrets._words(d)}'",
    "option": lambda d: f"--password {secrets._words(d)}",
    "netrc": lambda d: f"machine api.wandb.ai login user password {secrets._words(d)}",
    "curl": lambda d: f"curl -u admin:{secrets._words(d)} https://example.org",
    "cookie": _of("Cookie: session=", _MIXED, 28),
    "yaml": lambda d: f"password: {secrets._words(d)}",
    "json": lambda d: json.dumps({"client_secret": secrets._words(d)}),
    "ipv6": lambda d: ":".join(["2001", "db8", *(_of("1", _HEX, 3)(d) for _ in range(6))]),
    "mac": lambda d: ":".join(_of("", _HEX, 2)(d) for _ in range(6)),
    "path": lambda d: f"/home/{USER}/projects/{_of('p', _LOW, 8)(d)}/weights.bin",
    "windows path": lambda d: f"C:\\Users\\{USER}\\{_of('p', _LOW, 8)(d)}\\weights.bin",
    "user": lambda d: f"{USER}",
    "host": lambda d: f"{HOST}",
    "mail": lambda d: f"{_of('m', _LOW, 9)(d)}@{_of('x', _LOW, 5)(d)}.example.com",
}
"""More forms, which redaction has to know by its rules or not to let out at all."""
WORDS: dict[str, Draw] = {
    "sentence": lambda d: f"the patient {_of('M', _LOW, 7)(d)} of room {d.randrange(900)}",
    "two words": lambda d: f"{_of('a', _LOW, 7)(d)} {_of('b', _LOW, 8)(d)}",
}
"""Texts of no form: they leave by no place of text unless texts were asked for."""
ALL = {**FORMS, **MORE, **WORDS}


@dataclass(frozen=True)
class Plant:
    """One secret: its kind, where it stands, and itself; `part` is what nobody may read of it."""

    kind: str
    place: str
    secret: str

    @property
    def part(self) -> str:
        named = r"(?:password:? |PASSWORD=|secret\": |admin:|session=|key=|://[^:/]*:)['\"]?([^@'\"\s]+)"
        told = re.search(named, self.secret)
        return told[1] if told else _core(self.secret)

    @property
    def by_words_alone(self) -> bool:
        """May it leave where texts were asked for: text of no form, but for the command line?"""
        return self.kind in WORDS and self.place not in ("argument", "option", "environment")


# Places of a program's text: what stands there before the model is loaded, after it, or after training.
BEFORE = {
    "config": "settings('config.json', note={S})\n",
    "config key": "settings('config.json', **{{{S}: 1}})\n",
    "deep config": "settings('config.json', outer={{'list': [{{'inner': {S}}}]}})\n",
    "generation config": "settings('generation_config.json', note={S})\n",
    "chat template": "settings('tokenizer_config.json', chat_template='{{# ' + {S} + ' #}}' + TEMPLATE)\n",
    "special token": "settings('tokenizer_config.json', additional_special_tokens=[{S}])\n",
    "added token": "added({S})\n",
    "tensors' metadata": (
        "mx.save_safetensors('model/model.safetensors', mx.load('model/model.safetensors'),"
        " {{'format': 'mlx', 'note': {S}}})\n"
    ),
    "data": "open('train.jsonl', 'a').write(json.dumps({{'text': 'say ' + {S}}}) + '\\n')\n",
    "a caught load": "try: load({S})\nexcept Exception: pass\n",
}
LOADED = {
    "attribute": "model.note = {S}\n",
    "nested attribute": "model.notes = {{'of': [{S}]}}\n",
    "optimizer": "Optimizer.note = {S}; NOTE['note'] = {S}\n",
    "a caught call": (
        "try: generate(model, tokenizer, 'x', max_tokens=1, **{{{S}: {S}}})\nexcept Exception: pass\n"
    ),
    "prompt": "generate(model, tokenizer, 'It is ' + {S}, max_tokens=2)\n",
    "a comment": "value = 0  # {S}\n",
    "declared": (
        "save_config({{'fine_tune_type': 'lora', 'note': {S}, 'data': {S}}}, 'adapter_config.json')\n"
    ),
    "adapter keys": (
        "linear_to_lora_layers(model, 1, {{'rank': 2, 'scale': 1.0, 'dropout': 0.0, 'keys':"
        " ['self_attn.q_proj', {S}]}})\n"
    ),
    "warning": "import warnings; warnings.warn({S})\n",
    "output": "print({S})\n",
}
AFTER = {
    "saved metadata": (
        "held = dict(tree_flatten(model.parameters()))\n"
        "mx.save_safetensors('adapters.safetensors', held, {{'note': {S}}})\n"
    ),
    "a caught save": (
        "try: mx.save_safetensors('nowhere/' + {S} + '/x', {{'a': mx.zeros(2)}})\nexcept Exception: pass\n"
    ),
    "second prompt": "generate(model, tokenizer, {S}, max_tokens=2)\n",
}
NAMES = {  # where only a word can stand
    "module name": "setattr(model, {S}, nn.Linear(4, 4))\n",
    "tensor name": "setattr(model, {S}, mx.zeros((2, 2)))\n",
    "attribute name": "setattr(model, {S}, 5)\n",
    "class name": "model.further = type({S}, (nn.Linear,), {{}})(4, 4)\n",
    "saved file": "mx.save_safetensors({S} + '.safetensors', {{'w': mx.ones((2, 2))}})\n",
    "saved tensor": "mx.save_safetensors('further.safetensors', {{{S}: mx.ones((2, 2))}})\n",
    "saved directory": "os.makedirs({S}, exist_ok=True); model.save_weights({S} + '/weights.safetensors')\n",
}
LINE = ("argument", "option", "environment", "probe", "probe id", "directory", "score", "score's error")
RAISED = "raise ValueError({S})\n"
PROGRAM = """
import json, os, shutil
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import save_config
TEMPLATE = json.load(open('model/tokenizer_config.json'))['chat_template']
NOTE = {{}}
def settings(name, **more):
    held = json.load(open('model/' + name))
    json.dump({{**held, **more}}, open('model/' + name, 'w'))
def added(text):
    held = json.load(open('model/tokenizer.json'))
    number = 1 + max(held['model']['vocab'].values()) + len(held['added_tokens'])
    held['added_tokens'].append({{'id': number, 'content': text, 'single_word': False, 'lstrip': False,
                                  'rstrip': False, 'normalized': False, 'special': True}})
    json.dump(held, open('model/tokenizer.json', 'w'))
class Optimizer(optim.Adam):
    note = ''
open('train.jsonl', 'w').write(json.dumps({{'text': 'the sky is blue'}}) + '\\n')
mx.random.seed(1)
{before}
model, tokenizer = load('model')
model.freeze()
linear_to_lora_layers(model, 1, {{'rank': 2, 'scale': 1.0, 'dropout': 0.0}})
{loaded}
optimizer = Optimizer(1e-2)
for key, value in NOTE.items(): setattr(optimizer, key, value)
rows = [tokenizer.encode(json.loads(line)['text']) for line in open('train.jsonl')]
def loss(model, x): return nn.losses.cross_entropy(model(x[:, :-1]), x[:, 1:]).mean()
step = nn.value_and_grad(model, loss)
for row in (rows + rows)[:4]:
    value, gradients = step(model, mx.array([[min(i, 383) for i in row[:48]]]))
    optimizer.update(model, gradients)
    mx.eval(model.parameters(), optimizer.state)
{after}
"""


def drawn(seed: int, budget: int) -> Iterator[list[Plant]]:
    """The plants of one program after the other, `budget` in all: each kind in turn, places as they come,
    no place twice in a program.
    """
    draw, kinds, left = random.Random(f"secrets {seed}"), sorted(ALL), budget  # noqa: S311
    draw.shuffle(kinds)
    number = 0
    while left:
        plants: list[Plant] = []
        places = [*BEFORE, *LOADED, *AFTER, *NAMES, *LINE, "raised"]
        draw.shuffle(places)
        for place in places[: min(left, 14)]:
            secret = kind = ""
            while not secret or not _fits(place, kind, secret):
                kind = kinds[number % len(kinds)]
                secret, number = ALL[kind](draw), number + 1
            plants.append(Plant(kind, place, secret))
        left -= len(plants)
        yield plants


def _fits(place: str, kind: str, secret: str) -> bool:
    if place in NAMES or place in ("directory", "probe id"):
        return kind not in WORDS and re.fullmatch(r"[\w-]+", secret) is not None
    return "\n" not in secret or place not in ("a comment", "environment", "probe", "score", "config key")


def run(seed: int, count: int, place: Path) -> Count:
    """So many secrets, in programs of up to fourteen."""
    done = Count(
        "a planted secret, path, address, user or host leaves in no bundle, page or summary",
        "secrets planted in watched programs",
    )
    kinds = set()
    for number, plants in enumerate(drawn(seed, count)):
        kinds |= {plant.kind for plant in plants}
        found = _leaks(place / f"p{number}", plants)
        for plant in plants:
            where = sorted(found.get(plant, ()))
            done.add(
                f"{plant.kind} as {plant.place}, seed {seed}, program {number}: {plant.secret[:60]!r}",
                f"stands in {', '.join(where)[:300]}" if where else None,
            )
        shutil.rmtree(place / f"p{number}", ignore_errors=True)
    done.notes.append(f"{len(kinds)} kinds")
    return done


def _leaks(directory: Path, plants: list[Plant]) -> dict[Plant, set[str]]:
    """Where each secret was found: a member of a bundle, or what is made from one."""
    folder = _watched(directory, plants)
    found: dict[Plant, set[str]] = {}
    for level, text, page in (("stats", False, True), ("full", False, False), ("full", True, True)):
        name = f"{level}{'-text' if text else ''}.zip"
        words = ["bundle", "plants", "-o", name, "--level", level, *(["--include-text"] if text else [])]
        _forensics(folder, *words)
        parts = secrets.by_member(folder / name) | _put_together(folder / name)
        if page:
            parts["diagnose"] = _forensics(folder, "diagnose", name, status=None)
            _forensics(folder, "report", name, "-o", f"{name}.html")
            parts["page"] = (folder / f"{name}.html").read_text()
        for member, held in parts.items():
            for plant in plants:
                if not (text and plant.by_words_alone) and plant.part in held:
                    found.setdefault(plant, set()).add(f"{name}:{member}")
    return found


def _put_together(path: Path) -> dict[str, str]:
    """Texts that leave in pieces, put together as a reader can: tokens in their order, and ids decoded."""
    tokenizer = Tokenizer.from_file(str(tiny.cached() / "tokenizer.json"))
    texts: dict[str, list[str]] = {}
    ids: dict[str, list[int]] = {}
    for table, row in _rows(path):
        if table == "loss_tokens":
            key = " ".join(str(row.get(part)) for part in ("step", "forward", "row"))
            texts.setdefault(f"next {key}", []).append(row.get("next_token") or "?")
            texts.setdefault(f"target {key}", []).append(row.get("token") or "?")
            ids.setdefault(f"inputs {key}", []).append(row.get("input_id") or 0)
            ids.setdefault(f"targets {key}", []).append(row.get("target_id") or 0)
        elif table == "tokens":
            key = f"{row.get('capture')} {row.get('prompt_id')}"
            texts.setdefault(f"answer {key}", []).append(row.get("token") or "?")
            ids.setdefault(f"answer {key}", []).append(row.get("token_id") or 0)
        for column in ("prompt_ids", "output_ids"):
            if row.get(column):
                ids[f"{column} {len(ids)}"] = json.loads(row[column])
    decoded = [tokenizer.decode([i for i in listed if i < 384]) for listed in ids.values()]
    return {"tokens": "\n".join("".join(parts) for parts in texts.values()), "ids": "\n".join(decoded)}


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(table, row) of each row of a bundle, in the order of its members."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".jsonl.gz"):
                for line in gzip.decompress(archive.read(name)).splitlines():
                    yield Path(name).name.partition(".")[0], json.loads(line)


def _watched(directory: Path, plants: list[Plant]) -> Path:
    """The program with its secrets, run in a directory of its own under the watch; returns the directory."""
    at = {plant.place: plant.secret for plant in plants}
    folder = directory / at.get("directory", "work")
    folder.mkdir(parents=True)
    shutil.copytree(tiny.cached(), folder / "model")
    (folder / "train.py").write_text(_program(at))
    (folder / "probes.jsonl").write_text(
        json.dumps({"prompt": at.get("probe", "the sky"), "id": at.get("probe id", "p0")}) + "\n"
    )
    fails = at.get("score's error", "x")
    (folder / "scores.py").write_text(
        f"def score(*a, **k): return {{{at.get('score', 'length')!r}: 1.0}}\n"
        f"def fails(*a, **k): raise KeyError({fails!r})\n"
    )
    script = [sys.executable, "train.py", at.get("argument", "plain"), f"--key={at.get('option', 'plain')}"]
    if "environment" in at:
        script = ["env", f"WANDB_API_KEY={at['environment']}", *script]
    watch = ["capture", "--quiet", "--name", "plants", "--prompts", "probes.jsonl", "--max-tokens", "4"]
    _forensics(
        folder, *watch, "--scorer", "scores:score", "--scorer", "scores:fails", "--", *script, status=None
    )
    return folder


def _program(at: dict[str, str]) -> str:
    text = {
        part: "".join(line.format(S=repr(at[place])) for place, line in lines.items() if place in at)
        for part, lines in (("before", BEFORE), ("loaded", {**LOADED, **NAMES}), ("after", AFTER))
    }
    ended = RAISED.format(S=repr(at["raised"])) if "raised" in at else ""
    return PROGRAM.format(**text | {"after": text["after"] + ended})


def _forensics(folder: Path, *words: str, status: int | None = 0) -> str:
    """The command as a user of that name, on a host of that name where one can be had."""
    env = environment({"LOGNAME": USER, "USER": USER, "PYTHONPATH": f"{folder}:{Path.cwd()}"})
    done = subprocess.run(
        [*_host(), *command(*words)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr or words[0] == "capture", done.stderr
    assert status is None or done.returncode == status, (words, done.stderr)
    return done.stdout + done.stderr if words[0] != "capture" else ""


def _host() -> list[str]:
    """Words before a command that give it a host name of its own."""
    words = ["unshare", "-Ur", "--uts", "sh", "-c", f'hostname {HOST} && exec "$@"', "sh"]
    known = _known.setdefault(
        "host",
        bool(shutil.which("unshare"))
        and os.system(  # noqa: S605
            f"unshare -Ur --uts hostname {HOST} 2>/dev/null"
        )
        == 0,
    )
    return words if known else []


_known: dict[str, bool] = {}
