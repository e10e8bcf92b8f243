"""Model directories that are mutated.

Each is read at rest or refused, in our words, within time and memory.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forensics import api
from tests.harm.bundles import VALUES
from tests.harm.counts import Count, broken_by, processor
from tests.support import tiny

SECONDS = 10.0
Change = Callable[[random.Random, Path], None]


def run(seed: int, count: int, place: Path) -> Count:
    """So many mutants of the tiny model, read in this process as `show MODEL` does."""
    done = Count(
        "a stranger's model is read or refused, in our words, within 10 s of processor",
        "mutated model directories",
    )
    place.mkdir(parents=True, exist_ok=True)
    read = 0
    for number in range(count):
        draws = random.Random(f"{seed} {number}")  # noqa: S311
        name, directory = draws.choice(list(CHANGES)), place / f"m{number}"
        shutil.copytree(tiny.cached(), directory)
        CHANGES[name](draws, directory)
        began = processor()
        wrong, opened = _wrong(directory, place / "store")
        read += opened
        if wrong is None and processor() - began > SECONDS:
            wrong = f"{processor() - began:.0f} s"
        done.add(f"{name}, seed {seed}, number {number}", wrong)
        shutil.rmtree(directory, ignore_errors=True)
    done.notes.append(f"{read} were read")
    return done


def _wrong(directory: Path, store: Path) -> tuple[str | None, bool]:
    try:
        str(api.show(directory, store=store))
    except Exception as error:  # noqa: BLE001
        return broken_by(error), False
    return None, True


def _weights(draws: random.Random, directory: Path) -> None:
    """Bytes of the weights: of the header mostly, which decides where everything lies."""
    path = directory / "model.safetensors"
    data = bytearray(path.read_bytes())
    end = 8 + int.from_bytes(data[:8], "little") if draws.random() < 0.8 else len(data)
    for _ in range(draws.choice((1, 1, 3, 10))):
        data[draws.randrange(min(end, len(data)))] = draws.randrange(256)
    path.write_bytes(bytes(data))


def _header(draws: random.Random, directory: Path) -> None:
    """Values of the header of the weights, itself well formed."""
    path = directory / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    name = draws.choice(list(header))
    if isinstance(header[name], dict) and "shape" in header[name]:
        key = draws.choice(["dtype", "shape", "data_offsets"])
        header[name][key] = draws.choice(
            [*VALUES, "F64", "Q9", [2**40, 2**40], [-1, 4], [5, 1], [0, 2**62], [0], [1.5, 2]]
        )
    else:
        header[name] = draws.choice(VALUES)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def _cut(draws: random.Random, directory: Path) -> None:
    path = draws.choice([each for each in sorted(directory.iterdir()) if each.is_file()])
    data = path.read_bytes()
    path.write_bytes(data[: draws.randrange(len(data))] if data else b"\0")


def _json(draws: random.Random, directory: Path) -> None:
    """A value in one of the JSON files."""
    path = draws.choice(sorted(directory.glob("*.json")))
    document = json.loads(path.read_text())
    place: Any = document
    while isinstance(place, dict | list) and place:
        key = draws.choice(list(place)) if isinstance(place, dict) else draws.randrange(len(place))
        if not isinstance(place[key], dict | list) or draws.random() < 0.3:
            place[key] = draws.choice(VALUES)
            break
        place = place[key]
    path.write_text(json.dumps(document))


def _settings(draws: random.Random, directory: Path) -> None:
    """Settings of the model's own, to values that some model has."""
    path = directory / "config.json"
    document = json.loads(path.read_text())
    for _ in range(draws.choice((1, 2, 4))):
        key = draws.choice(
            [
                *document,
                "quantization",
                "rope_scaling",
                "num_experts",
                "tie_word_embeddings",
                "model_type",
                "head_dim",
            ]
        )
        document[key] = draws.choice(
            [
                *VALUES,
                7,
                10**9,
                "llama",
                "mamba2",
                {"group_size": 32, "bits": 4},
                {"type": "linear", "factor": 0},
            ]
        )
    path.write_text(json.dumps(document))


def _text(draws: random.Random, directory: Path) -> None:
    """Bytes of any file."""
    path = draws.choice([each for each in sorted(directory.iterdir()) if each.is_file()])
    data = bytearray(path.read_bytes() or b"x")
    for _ in range(draws.choice((1, 5, 50))):
        data[draws.randrange(len(data))] = draws.randrange(256)
    path.write_bytes(bytes(data))


def _gone(draws: random.Random, directory: Path) -> None:
    draws.choice([each for each in sorted(directory.iterdir()) if each.is_file()]).unlink()


def _adapter(draws: random.Random, directory: Path) -> None:
    """An adapter's settings beside it, of no sense."""
    keys = (
        "fine_tune_type",
        "num_layers",
        "lora_parameters",
        "r",
        "lora_alpha",
        "target_modules",
        "rank_pattern",
        "peft_type",
    )
    document = {
        key: draws.choice([*VALUES, "lora", "dora", "full", {"rank": 8, "scale": 20.0}, 16])
        for key in draws.sample(keys, 4)
    }
    (directory / "adapter_config.json").write_text(json.dumps(document))
    if draws.random() < 0.5:
        shutil.copy(directory / "model.safetensors", directory / "adapters.safetensors")


CHANGES: dict[str, Change] = {
    "bytes of the weights": _weights,
    "values of the header": _header,
    "a file cut off": _cut,
    "a value in a JSON file": _json,
    "settings": _settings,
    "bytes of a file": _text,
    "a file gone": _gone,
    "an adapter's settings": _adapter,
}
