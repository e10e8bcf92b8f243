"""A stranger's model.

Nothing of its own runs, nothing in its directory is waited for, and what is too large is said at once.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import tiny
from tests.support.command import forensics, measured

RUNS = (
    "import pathlib\npathlib.Path({mark!r}).write_text('ran')\nfrom mlx_lm.models.qwen2 import Model,"
    " ModelArgs\n"
)
TOKENIZER = (
    "import pathlib\npathlib.Path({mark!r}).write_text('ran')\nfrom transformers import"
    " PreTrainedTokenizerFast as Own\n"
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("mlx.core")
    return Path(shutil.copytree(tiny.cached(), tmp_path / "model"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def model_file(model: Path, mark: Path) -> None:
    (model / "own.py").write_text(RUNS.format(mark=str(mark)))
    edit(model / "config.json", model_file="own.py")


def auto_map(model: Path, mark: Path) -> None:
    (model / "own.py").write_text(TOKENIZER.format(mark=str(mark)))
    edit(
        model / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "own.Own"]}, tokenizer_class="Own"
    )


@pytest.mark.parametrize("change", [model_file, auto_map])
@pytest.mark.parametrize(
    "words", [("capture", "./model"), ("report", "./model"), ("diagnose", "./model")], ids=lambda w: w[0]
)
def test_a_model_runs_nothing_of_its_own(
    model: Path, change: Callable[[Path, Path], None], words: tuple[str, ...]
) -> None:
    mark = model.parent / "mark"
    change(model, mark)
    done = forensics(model.parent, *words)
    assert not mark.exists() and "Traceback" not in done.err
    if words[0] == "capture":
        assert (
            done.status == 0 and "own" in done.err and "--trust" in done.err and change.__name__ in done.err
        )


def test_trust_says_what_runs_and_runs_it(model: Path) -> None:
    mark = model.parent / "mark"
    model_file(model, mark)
    done = forensics(model.parent, "capture", "--trust", "./model")
    assert done.status == 0 and mark.read_text() == "ran"
    assert "--trust: own.py (model_file in config.json) of model may run" in done.err


def test_what_the_installed_version_would_run_is_not_run(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that appears after the look: mlx-lm is told of no model_file, whatever config.json says."""
    from forensics.watch.child import loader

    mark = model.parent / "mark"
    model_file(model, mark)
    seen: dict[str, object] = {}

    def old(
        path: Path, model_config: dict[str, object] | None = None, get_model_classes: object = None
    ) -> tuple[object, object]:
        seen.update(json.loads((path / "config.json").read_text()) | (model_config or {}))
        return object(), seen

    monkeypatch.setattr("mlx_lm.utils.load_model", old)
    loader._trust.given = False
    try:
        loader._model(model)
    finally:
        loader._trust.given = None
    assert seen["model_file"] is None and not mark.exists()


# -- limits --------------------------------------------------------------------------------------------------


def pipe(model: Path) -> None:
    (model / "config.json").unlink()
    os.mkfifo(model / "config.json")


def pipe_template(model: Path) -> None:
    os.mkfifo(model / "chat_template.jinja")


def pipe_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()
    os.mkfifo(model / "model.safetensors")


def device(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    (model / "tokenizer.json").symlink_to("/dev/zero")


def circle(model: Path) -> None:
    (model / "generation_config.json").unlink(missing_ok=True)
    (model / "generation_config.json").symlink_to("generation_config.json")


def large_json(model: Path) -> None:
    (model / "config.json").write_text('{"a": [' + "[]," * (22 << 20) + "0]}")


def many_values(model: Path) -> None:
    (model / "config.json").write_text('{"a": [' + "{}," * (10 << 20) + "0]}")


def deep_json(model: Path) -> None:
    (model / "config.json").write_text('{"a":' * 200_000 + "1" + "}" * 200_000)


def long_template(model: Path) -> None:
    (model / "chat_template.jinja").write_bytes(b"a" * (5 << 20))


def layers(model: Path) -> None:
    edit(model / "config.json", num_hidden_layers=10**9)


REFUSED = [
    pipe,
    pipe_template,
    pipe_weights,
    device,
    circle,
    large_json,
    many_values,
    deep_json,
    long_template,
    layers,
]


@pytest.mark.parametrize("change", REFUSED)
def test_limits_of_a_directory(model: Path, change: Callable[[Path], None]) -> None:
    change(model)
    done = measured(model.parent, "capture", "./model")
    lines = done.err.strip().splitlines()
    assert done.status == 2 and len(lines) == 3, done
    assert [line.split(":")[0].strip() for line in lines] == ["error", "at", "do"]
    assert done.seconds < 10 and done.peak < 1 << 30, done


def endless_template(model: Path) -> None:
    loops = (
        "{% for a in range(90000) %}{% for b in range(90000) %}{% for c in range(90000) %}{% endfor %}{%"
        " endfor %}{% endfor %}"
    )
    (model / "chat_template.jinja").write_text(loops)


def hungry_template(model: Path) -> None:
    (model / "chat_template.jinja").write_text("{% set a = 'a' * 4000000000 %}{{ a }}{{ a }}")


def experts(model: Path) -> None:
    edit(model / "config.json", num_hidden_layers=9_999)


def wide(model: Path) -> None:
    edit(model / "config.json", hidden_size=10**9, intermediate_size=10**9)


@pytest.mark.long
@pytest.mark.parametrize("change", [endless_template, hungry_template, experts, wide])
def test_what_never_ends_gives_no_answers(model: Path, change: Callable[[Path], None]) -> None:
    change(model)
    done = measured(model.parent, "capture", "./model")
    assert done.status == 0 and "Traceback" not in done.err, done
    assert done.seconds < 15 and done.peak < 1 << 30, done  # 10 s of answering, and what surrounds it
    shown = json.loads(forensics(model.parent, "show", "model", "--json").out)
    assert "answers" in json.dumps(shown) and not shown.get("transcripts")
