"""Places of settings: options of a command, and keys of the configuration files that it names."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from forensics.capture import lines

TEXT = """# what is trained
model: base
lora_parameters:
  rank: 8
  scale: 0.0
learning_rate: 1e-5  # as before
lr_schedule:
  name: cosine_decay
  arguments: [1e-5, 100]
data: "data"
"""


def test_keys_of_a_configuration_and_options_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "lora.yaml").write_text(TEXT)
    os.utime(tmp_path / "lora.yaml", (1, 1))
    argv = ["bin/mlx_lm.lora", "--config", "lora.yaml", "--iters", "8", "--seed=3", "--train"]
    places = lines.of_settings(argv, str(tmp_path), time.time())
    assert places["lora.yaml:5 lora_parameters.scale"] == "scale: 0.0"
    assert places["lora.yaml:6 learning_rate"] == "learning_rate: 1e-5  # as before"
    assert places["lora.yaml:8 lr_schedule.name"] == "name: cosine_decay"
    assert places["lora.yaml:10 data"] == 'data: "data"'
    assert {places["--iters"], places["--seed"], places["--train"]} == {"--iters 8", "--seed=3", "--train"}
    texts = json.loads(lines.texts([], str(tmp_path), time.time(), settings=places))
    assert texts == places


def test_a_configuration_that_changed_since_the_run_began_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "lora.yaml").write_text(TEXT)
    assert list(lines.of_settings(["--config=lora.yaml"], str(tmp_path), 1.0)) == ["--config"]
