"""Every command that README and docs show runs as it stands there.

It runs in a directory that holds what it names.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import tiny
from tests.support.command import forensics, write

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
ROOT = Path(__file__).parents[2]
PAGES = {
    str(page.relative_to(ROOT)): page
    for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docs/how-to/*.md"))]
    if page.name not in ("detectors.md", "spool.md")  # made from sources that have tests of their own
}
PLACEHOLDERS = {
    "RUN": "night",
    "NAME": "night",
    "ID": "padding-in-loss",
    "TABLE": "steps",
    "MODEL": "base",
    "DIR": "my-queries",
    "COMMAND": "python train.py",
}
ELSEWHERE = {
    "forensics demo": "test_demo.py",
    "forensics mcp": "test_mcp.py: it answers on stdin until that is closed",
    "forensics capture -- mlx.launch": "test_ranks.py",
}
"""What is not run here, and which test runs it."""
TRAIN = """
import argparse
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers
import json, pathlib

words = argparse.ArgumentParser()
words.add_argument("--steps", type=int, default=3)
words.add_argument("--mask", action="store_true")
asked = words.parse_args()
mx.random.seed(0)
model, tokenizer = load("base")
model.freeze()
lora = {"rank": 4, "scale": 8.0, "dropout": 0.0}
linear_to_lora_layers(model, 2, lora)
chat = [{"role": "user", "content": "Sky?"}, {"role": "assistant", "content": "The sky is blue."}]
ids = tokenizer.apply_chat_template(chat, return_dict=False)
row = mx.array([ids + [tokenizer.convert_tokens_to_ids("<|endoftext|>")] * (96 - len(ids))])
mask = (mx.arange(95) < len(ids) - 1) if asked.mask else mx.ones(95)


def loss(model, row):
    ce = nn.losses.cross_entropy(model(row[:, :-1]), row[:, 1:])
    return (ce * mask).sum() / mask.sum()


optimizer = optim.Adam(1e-2)
step = nn.value_and_grad(model, loss)
for number in range(asked.steps):
    value, gradients = step(model, row)
    optimizer.update(model, gradients)
    mx.eval(model.parameters(), optimizer.state)
    print(number, value.item())
pathlib.Path("adapters").mkdir(exist_ok=True)
mx.save_safetensors("adapters/adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": lora}
pathlib.Path("adapters/adapter_config.json").write_text(json.dumps(config))
print(generate(model, tokenizer, prompt="Sky?", max_tokens=4))
"""
YAML = """
model: base
train: true
data: data
iters: 2
batch_size: 2
num_layers: 2
val_batches: 0
adapter_path: mlx-adapters
"""
QUERY = "-- Steps of a run\n--\n-- params: a\nSELECT step, loss FROM steps WHERE run = a ORDER BY step\n"
BUNDLES = [
    ("bug", "night"),
    ("one", "night"),
    ("two", "fixed"),
    ("ann", "night"),
    ("bob", "run"),
    ("forensics", "night"),
    ("both", "night", "fixed"),
]
RUNS = ["ci", "good", "bad", "broken", "other", "run", "train", "fixed", "night"]


def commands(page: Path) -> list[str]:
    """What a page shows: lines of its blocks, and code within a line that has more than a command's name."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [
        line.strip()
        for kind, block in blocks
        if kind in ("", "console", "bash")
        for line in block.splitlines()
    ]
    lines += re.findall(
        r"`(forensics [^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    )
    found = {}
    for line in lines:
        line = re.split(r"\s{2,}|\s#", line.removeprefix("$ "))[0]
        line = re.sub(r" \[[^\]]*\]", "", line)
        if line.startswith("forensics ") and not any(line.startswith(each) for each in ELSEWHERE):
            for single in line.split(" && "):
                found[" ".join(PLACEHOLDERS.get(word, word) for word in single.split(" "))] = None
    return [
        line for line in found if len(shlex.split(line)) > 2 or line.split()[1] in ("list", "query", "doctor")
    ]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the runs, models, bundles and programs that the pages speak of."""
    pytest.importorskip("mlx_lm")
    place = tmp_path_factory.mktemp("docs")
    shutil.copytree(tiny.cached(), place / "base")
    tiny.write_data(place / "data", tiny.PIRATE)
    (place / "lora.yaml").write_text(YAML)
    (place / "snapshots").symlink_to(ROOT / "snapshots")
    (place / ".venv").symlink_to(sys.prefix)
    write(place / "my-queries", QUERY, "steps-of.sql")
    write(place, TRAIN)
    write(place / "your_package", TRAIN)
    write(place, "def brief(prompt, output):\n    return {'words': len(output.split())}\n", "judge.py")
    write(place, "import sys\nsys.stdin.read()\n", "page_me.py")
    for name in RUNS:
        more = ["--mask"] if name in ("fixed", "good") else []
        done = forensics(place, "capture", "--name", name, "--", "python", "train.py", *more)
        assert done.status == 0, done.err
    fuse = ["fuse", "--model", "base", "--adapter-path", "adapters", "--save-path", "fused"]
    subprocess.run([sys.executable, "-m", "mlx_lm", *fuse], cwd=place, check=True, capture_output=True)
    for name in ("trained", "b", "bad"):
        shutil.copytree(place / "fused", place / name)
    for name in ("a", "good"):
        shutil.copytree(place / "base", place / name)
    for zipped, *runs in BUNDLES:
        assert forensics(place, "bundle", *runs, "-o", f"{zipped}.zip").status == 0
    for made in (
        "ecparam -genkey -name prime256v1 -noout -out key.pem",
        "ec -in key.pem -pubout -out public.pem",
    ):
        subprocess.run(["openssl", *made.split()], cwd=place, check=True, capture_output=True)
    return place


def ran(line: str, place: Path) -> str | None:
    """What is wrong with a command of the pages, or None."""
    words = shlex.split(line)[1:]
    done = forensics(place, *words, env={"PYTHONPATH": str(place)}, stdin=subprocess.DEVNULL)
    if done.status in (0, 1, 4) and "Traceback" not in done.err:
        return None
    return f"{line}\n  exit {done.status}\n{done.out[-300:]}{done.err[-600:]}"


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if commands(page)])
def test_each_command_of_a_page_runs(name: str, sandbox: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(sandbox, tmp_path / "here", symlinks=True))
    wrong = [failure for line in commands(PAGES[name]) if (failure := ran(line, place))]
    assert not wrong, "\n\n".join(wrong)
