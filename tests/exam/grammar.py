"""The grammar of training programs: pieces, and how pieces become one readable train.py.

A piece is text as people write it, for one slot of a program. Identifiers that may be renamed begin with
`x_`, settings with `S.`; a line `#: call(...)` is a probe: the plain twin runs it as `plain.call(...)`, the
watched program has no trace of it.
"""

from __future__ import annotations

import builtins
import json
import keyword
import random
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.exam.words import SETTING_WORDS, SETTINGS, SYLLABLES, WORDS

SETUP = ("model", "trained", "data", "batching", "loss", "optimizer")
FINISH = ("evaluation", "save", "reload", "fuse", "generation")
SLOTS = (*SETUP, "loop", *FINISH)

IMPORTS = {
    r"\bmx\.": "import mlx.core as mx",
    r"\bnn\.": "import mlx.nn as nn",
    r"\boptim\.": "import mlx.optimizers as optim",
    r"\bnp\.": "import numpy as np",
    r"\bjson\.": "import json",
    r"\bcopy\.": "import copy",
    r"\bmath\.": "import math",
    r"\brandom\.(?!state|seed\(S|normal|split|key|categorical|uniform|randint|bernoulli)": "import random",
    r"\bshutil\.": "import shutil",
    r"\bsys\.": "import sys",
    r"\bPath\(": "from pathlib import Path",
    r"\bpartial\(": "from functools import partial",
    r"\b(?<![.\w])load\(": "from mlx_lm import load",
    r"\b(?<![.\w])generate\(": "from mlx_lm import generate",
    r"\bstream_generate\(": "from mlx_lm import stream_generate",
    r"\bmake_sampler\(": "from mlx_lm.sample_utils import make_sampler",
    r"\bmake_prompt_cache\(": "from mlx_lm.models.cache import make_prompt_cache",
    r"\blinear_to_lora_layers\(": "from mlx_lm.tuner.utils import linear_to_lora_layers",
    r"\bload_adapters\(": "from mlx_lm.tuner.utils import load_adapters",
    r"\bLoRALinear\b": "from mlx_lm.tuner.lora import LoRALinear",
    r"\b(?<![.\w])train\(": "from mlx_lm.tuner.trainer import train",
    r"\bTrainingArgs\(": "from mlx_lm.tuner.trainer import TrainingArgs",
    r"\bgrad_checkpoint\(": "from mlx_lm.tuner.trainer import grad_checkpoint",
    r"\bdefault_loss\b": "from mlx_lm.tuner.trainer import default_loss",
    r"\biterate_batches\b": "from mlx_lm.tuner.trainer import iterate_batches",
    r"\bCacheDataset\(": "from mlx_lm.tuner.datasets import CacheDataset",
    r"\bChatDataset\(": "from mlx_lm.tuner.datasets import ChatDataset",
    r"\bCompletionsDataset\(": "from mlx_lm.tuner.datasets import CompletionsDataset",
    r"\bload_model\(": "from mlx_lm.utils import load_model",
    r"\bsave_model\(": "from mlx_lm.utils import save_model",
    r"\bsave_config\(": "from mlx_lm.utils import save_config",
    r"\b_get_classes\(": "from mlx_lm.utils import _get_classes",
    r"\bload_tokenizer\(": "from mlx_lm.tokenizer_utils import load as load_tokenizer",
    r"\btree_flatten\(": "from mlx.utils import tree_flatten",
    r"\btree_map\(": "from mlx.utils import tree_map",
    r"\btree_unflatten\(": "from mlx.utils import tree_unflatten",
    r"\bSimpleNamespace\(": "from types import SimpleNamespace",
    r"\bdataclass\b": "from dataclasses import dataclass",
    r"\bargparse\.": "import argparse",
    r"\byaml\.": "import yaml",
    r"\btime\.": "import time",
    r"\blora\.main\(": "from mlx_lm import lora",
}

# what outlives the part of the program that makes it: attributes of the class, members of the namespace,
# results of functions
SHARED = ("model", "tok", "rows", "held", "opt", "ref", "best")


@dataclass(frozen=True)
class Piece:
    """One way to write one slot of a program.

    Attributes:
        slot: one of SLOTS.
        body: statements, run where the slot stands.
        defs: functions and classes, which every structure keeps at the top of the module.
        needs, gives, bars: tags that must be there before, that it adds, that must not be there before.
        settings: values of `S.` names that this piece asks for.
        files: files that lie beside the program, `S.` names in them being settings; what several pieces say
            of one file stands in it one after another.
        habit: what is customary and looks odd; drawn for healthy programs, and no error may be raised at it.
        optional: shrinking may replace it by the slot's plainest piece.
    """

    name: str
    slot: str
    body: str = ""
    defs: str = ""
    needs: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    bars: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    habit: bool = False
    weight: float = 1.0
    half: str = "known"

    @property
    def text(self) -> str:
        return self.defs + self.body


@dataclass(frozen=True)
class Program:
    """What was drawn: one piece for each slot, and which faults are in.

    Also how settings and structure are written, and what words name things.
    """

    pieces: dict[str, Piece]
    structure: str
    configuration: str
    names: int
    base: str
    faults: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def tags(self) -> frozenset[str]:
        return frozenset(tag for piece in self.pieces.values() for tag in piece.gives) | {self.base}

    @property
    def habits(self) -> list[str]:
        return [piece.name for piece in self.pieces.values() if piece.habit]

    def text(self, slot: str) -> str:
        return self.pieces[slot].text if slot in self.pieces else ""

    def with_piece(self, piece: Piece) -> Program:
        return replace(self, pieces={**self.pieces, piece.slot: piece})

    def edited(self, slot: str, old: str, new: str, *, count: int = -1) -> Program | None:
        """The program with `old` replaced in one slot; None where it is not there."""
        piece = self.pieces.get(slot)
        if piece is None or old not in piece.text:
            return None
        changed = replace(
            piece, body=piece.body.replace(old, new, count), defs=piece.defs.replace(old, new, count)
        )
        return self.with_piece(changed)

    def substituted(self, slot: str, pattern: str, new: str) -> Program | None:
        """As `edited`, by a regular expression."""
        piece = self.pieces.get(slot)
        if piece is None or not re.search(pattern, piece.text, re.MULTILINE):
            return None
        swap = re.compile(pattern, re.MULTILINE)
        if pattern.startswith((r"\A", r"\Z")):
            return self.with_piece(replace(piece, body=swap.sub(new, piece.body)))
        return self.with_piece(replace(piece, body=swap.sub(new, piece.body), defs=swap.sub(new, piece.defs)))

    def in_file(self, slot: str, name: str, old: str, new: str) -> Program | None:
        """As `edited`, in a file that a slot's piece puts beside the program."""
        piece = self.pieces.get(slot)
        if piece is None or old not in piece.files.get(name, ""):
            return None
        text = piece.files[name].replace(old, new)
        return self.with_piece(replace(piece, files={**piece.files, name: text}))

    def after(self, slot: str, text: str) -> Program:
        """The program with statements put after a slot's."""
        piece = self.pieces[slot]
        return self.with_piece(replace(piece, body=piece.body + clean(text)))

    def before(self, slot: str, text: str) -> Program:
        """The program with statements put before a slot's."""
        piece = self.pieces[slot]
        return self.with_piece(replace(piece, body=clean(text) + piece.body))

    def setting(self, **values: Any) -> Program:
        return replace(self, settings={**self.settings, **values})


def clean(text: str) -> str:
    return textwrap.dedent(text).strip("\n") + "\n" if text.strip() else ""


def piece(name: str, body: str = "", defs: str = "", **more: Any) -> Piece:
    """A piece; its slot is the first word of its name (`loss/masked-mean`)."""
    words = {key: (value,) if isinstance(value, str) else value for key, value in more.items()}
    return Piece(name, name.split("/")[0], clean(body), clean(defs), **words)


def values(program: Program) -> dict[str, Any]:
    """The settings that the program reads, with their values."""
    text = "".join(program.text(slot) for slot in SLOTS)
    known = _known(program)
    return {name: known[name] for name in dict.fromkeys(re.findall(r"\bS\.(\w+)", text))}


def _known(program: Program) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    for each in program.pieces.values():
        asked.update(each.settings)
    return {**SETTINGS, **asked, **program.settings}


def _filled(text: str, program: Program) -> str:
    """A file beside the program, its settings written as their values."""
    known = _known(program)
    return re.sub(r"\bS\.(\w+)", lambda found: json.dumps(known[found[1]]), text)


def render(program: Program, *, plain: bool = False) -> dict[str, str]:
    """The program's files by name: train.py, and what lies beside it. `plain`: with its probes."""
    used = values(program)
    words = _words(program, used)
    header, files = _configuration(program.configuration, used, words)
    parts = {
        slot: replace(each, body=_probes(each.body, plain), defs=_probes(each.defs, plain))
        for slot in SLOTS
        if (each := program.pieces.get(slot)) is not None
    }
    text = STRUCTURES[program.structure](parts, header)
    text = _settings(text, program.configuration, words)
    text = re.sub(r"\bx_(\w+)", lambda found: words[found[1]], text)
    imports = [line for pattern, line in IMPORTS.items() if re.search(pattern, text)]
    if plain:
        imports.append("from tests.exam.plain import probes as plain")
    body = "\n".join(sorted(set(imports), key=lambda line: (line.startswith("from"), line))) + "\n\n" + text
    for each in program.pieces.values():
        for name, part in each.files.items():  # pieces of one file add to it
            files[name] = files.get(name, "") + part
    files.update(program.files)
    files = {name: _filled(part, program) for name, part in files.items()}
    return {"train.py": re.sub(r"\n{4,}", "\n\n\n", body), **files}


def _words(program: Program, used: Iterable[str]) -> dict[str, str]:
    """What each name is called.

    Seed 0 keeps the canonical names, a negative one makes words that mean nothing.
    """
    names = dict.fromkeys(re.findall(r"\bx_(\w+)", "".join(program.text(slot) for slot in SLOTS)))
    names.update(
        dict.fromkeys((*SHARED, "Trainer", "prepare", "fit", "finish", "main", "state", "cfg", "parser"))
    )
    draw = random.Random(program.names)
    words: dict[str, str] = {}
    # other libraries' names must stay free, and so must the modules' own
    imported = {word for line in IMPORTS.values() for word in re.split(r"\W+", line)}
    taken = {*dir(builtins), *keyword.kwlist, *imported, "self", "plain", "job", *"abceghilmnopv"}
    for name in (*sorted(names), *(f"S.{one}" for one in sorted(used))):
        bare = name.removeprefix("S.")
        known = SETTING_WORDS if name != bare else WORDS
        options = (
            [bare, f"{bare}_"]
            if program.names == 0
            else list(known.get(bare, (bare, f"{bare}_", f"this_{bare}")))
        )
        draw.shuffle(options)
        if program.names < 0:
            options = ["".join(draw.choice(SYLLABLES) for _ in range(3)) for _ in range(9)]
            options = [option.capitalize() if bare[0].isupper() else option for option in options]
        free = [option for option in options if option not in taken] or [f"{bare}_{len(taken)}"]
        words[name] = free[0]
        taken.add(free[0])
    return words


def _probes(text: str, plain: bool) -> str:
    if plain:
        return re.sub(r"^(\s*)#: (.*)$", r"\1plain.\2", text, flags=re.MULTILINE)
    return re.sub(r"^\s*#: .*\n", "", text, flags=re.MULTILINE)


def _configuration(style: str, used: dict[str, Any], words: dict[str, str]) -> tuple[str, dict[str, str]]:
    """How settings are written: the lines that define them, and files."""
    named = {words[f"S.{name}"]: value for name, value in used.items()}
    if style == "constants":
        return "".join(f"{name.upper()} = {value!r}\n" for name, value in named.items()), {}
    if style == "dataclass":
        fields = "".join(f"    {name}: {type(value).__name__} = {value!r}\n" for name, value in named.items())
        return f"@dataclass\nclass Settings:\n{fields or '    pass'}\n\nx_cfg = Settings()\n", {}
    if style == "dictionary":
        return (
            "x_cfg = {\n" + "".join(f'    "{name}": {value!r},\n' for name, value in named.items()) + "}\n",
            {},
        )
    if style == "json":
        return 'x_cfg = json.loads(Path("config.json").read_text())\n', {
            "config.json": json.dumps(named, indent=2)
        }
    if style == "yaml":
        lines = "".join(f"{name}: {json.dumps(value)}\n" for name, value in named.items())
        return 'with open("config.yaml") as x_stream:\n    x_cfg = yaml.safe_load(x_stream)\n', {
            "config.yaml": lines
        }
    options = "".join(
        f'x_parser.add_argument("--{name.replace("_", "-")}", type={type(value).__name__},'
        f" default={value!r})\n"
        for name, value in named.items()
    )
    return f"x_parser = argparse.ArgumentParser()\n{options}x_cfg = x_parser.parse_args()\n", {}


CONFIGURATIONS = ("constants", "dataclass", "dictionary", "json", "yaml", "command-line")


def _settings(text: str, style: str, words: dict[str, str]) -> str:
    def one(found: re.Match[str]) -> str:
        name = words[f"S.{found[1]}"]
        if style == "constants":
            return name.upper()
        return f'x_cfg["{name}"]' if style in ("dictionary", "json", "yaml") else f"x_cfg.{name}"

    words.setdefault("stream", "stream")
    return re.sub(r"\bS\.(\w+)", one, text)


def _script(parts: dict[str, Piece], header: str) -> str:
    return header + "\n" + "\n".join(clean(each.defs) + "\n" + each.body for each in parts.values())


def _cells(parts: dict[str, Piece], header: str) -> str:
    return (
        "# %% settings\n"
        + header
        + "\n"
        + "".join(f"# %% {slot}\n{each.defs}\n{each.body}\n" for slot, each in parts.items())
    )


def _defs(parts: dict[str, Piece], header: str) -> str:
    return header + "\n\n" + "\n\n".join(each.defs for each in parts.values() if each.defs) + "\n\n"


def _bodies(parts: dict[str, Piece], slots: Iterable[str]) -> str:
    return "\n".join(parts[slot].body for slot in slots if slot in parts and parts[slot].body)


def _indented(text: str, depth: int = 1) -> str:
    return textwrap.indent(text if text.strip() else "pass\n", "    " * depth)


def _main(parts: dict[str, Piece], header: str) -> str:
    body = _bodies(parts, SLOTS)
    return (
        f'{_defs(parts, header)}def x_main():\n{_indented(body)}\n\nif __name__ == "__main__":\n   '
        " x_main()\n"
    )


def _members(text: str, owner: str) -> str:
    return re.sub(rf"\bx_({'|'.join(SHARED)})\b", rf"{owner}.\1", text)


def _named_members(text: str, owner: str) -> str:
    return re.sub(rf"\bx_({'|'.join(SHARED)})\b", lambda found: f"{owner}.x_{found[1]}", text)


def _class(parts: dict[str, Piece], header: str) -> str:
    methods = (("prepare", SETUP), ("fit", ("loop",)), ("finish", FINISH))
    text = "".join(
        f"    def x_{name}(self):\n{_indented(_named_members(_bodies(parts, slots), 'self'), 2)}\n"
        for name, slots in methods
    )
    return (
        f'{_defs(parts, header)}class x_Trainer:\n{text}\nif __name__ == "__main__":\n    x_job ='
        " x_Trainer()\n    x_job.x_prepare()\n    x_job.x_fit()\n    x_job.x_finish()\n"
    ).replace("x_job", "job")


def _namespace(parts: dict[str, Piece], header: str) -> str:
    body = _named_members(_bodies(parts, SLOTS), "x_state")
    return f"{_defs(parts, header)}x_state = SimpleNamespace()\n{body}"


def _functions(parts: dict[str, Piece], header: str) -> str:
    made: list[str] = []
    text = ""
    calls = ""
    for name, slots in (("prepare", SETUP), ("fit", ("loop",)), ("finish", FINISH)):
        body = _bodies(parts, slots)
        here = [shared for shared in SHARED if re.search(rf"\bx_{shared}\b", body)]
        takes = ", ".join(f"x_{shared}" for shared in here if shared in made)
        made += [shared for shared in here if shared not in made]
        gives = ", ".join(f"x_{shared}" for shared in made if shared in here)
        text += (
            f"def x_{name}({takes}):\n{_indented(body)}" + (f"    return {gives}\n" if gives else "") + "\n\n"
        )
        calls += f"    {gives + ' = ' if gives and name != 'finish' else ''}x_{name}({takes})\n"
    return f'{_defs(parts, header)}{text}if __name__ == "__main__":\n{calls}'


STRUCTURES = {
    "script": _script,
    "cells": _cells,
    "main": _main,
    "class": _class,
    "namespace": _namespace,
    "functions": _functions,
}
