"""Reading every day, through real processes.

Several runs side by side, ranks, texts, PIVOT, Parquet, frames, --open, allowances.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import forensics as package
from forensics.store.store import Store
from tests.support import tiny
from tests.support.command import LOOP, Done, forensics, write


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the runs `good` and `bad`, which trains with another rate."""
    directory = tmp_path_factory.mktemp("runs")
    for name, rate in (("good", "0.1"), ("bad", "0.0")):
        path = write(directory, LOOP.replace("SGD(0.1)", f"SGD({rate})"), f"{name}.py")
        done = forensics(directory, "capture", "--name", name, "--", sys.executable, str(path))
        assert done.status == 0, done.err
    return directory


def answered(done: Done) -> list[dict[str, object]]:
    assert done.status == 0, done.err
    return list(json.loads(done.out)["rows"])


@pytest.mark.long
def test_a_question_of_several_runs_stands_side_by_side(runs: Path) -> None:
    done = forensics(runs, "query", "training-steps", "good", "bad", env={"COLUMNS": "200"})
    assert done.status == 0, done.err
    for head in ("learning_rate", "good", "bad", "0.1"):
        assert head in done.out
    rows = answered(forensics(runs, "query", "training-steps", "good", "bad", "good", "--json"))
    assert [(row["run"], row["step"]) for row in rows] == [
        (r, s) for r in ("good", "bad", "good") for s in (1, 2, 3)
    ]
    lines = forensics(runs, "query", "trainable-set", "good", "bad", "--csv").out.splitlines()
    assert lines[0].startswith("run,role,") and {line.partition(",")[0] for line in lines[1:]} == {
        "good",
        "bad",
    }
    assert forensics(runs, "query", "training-steps", "good", "none").status == 2


@pytest.mark.long
def test_modules_are_ranked_by_how_far_training_moved_them(runs: Path) -> None:
    rows = answered(forensics(runs, "query", "changed-modules", "good", "--json"))
    moved = [row["relative"] for row in rows]
    assert moved == sorted(moved, key=lambda value: -float(str(value))) and len(moved) == 2
    told = forensics(runs, "query", "changed-modules", "good").err
    assert "asked of good@start and good@end" in told
    told = forensics(runs, "query", "changed-modules", "good@loaded", "good@end").err
    assert "asked of good@loaded and good@end" in told
    assert answered(forensics(runs, "query", "changed-modules", "bad", "--json")) == []


def test_training_rows_show_their_text_where_it_was_recorded() -> None:
    rows = package.open("snapshots/broken-stub").query("training-rows")
    assert rows and all(row["text"] is None or isinstance(row["text"], str) for row in rows)


@pytest.mark.long
def test_sql_pivots_and_describes_and_still_changes_nothing(runs: Path) -> None:
    rows = answered(
        forensics(
            runs, "sql", "PIVOT steps ON run USING first(learning_rate) GROUP BY step ORDER BY step", "--json"
        )
    )
    assert [(row["step"], round(float(str(row["good"])), 6), row["bad"]) for row in rows] == [
        (n, 0.1, 0.0) for n in (1, 2, 3)
    ]
    assert "learning_rate" in forensics(runs, "sql", "DESCRIBE steps").out
    for text in (
        "PIVOT steps ON run USING first(loss); DROP TABLE steps",
        "DELETE FROM steps -- PIVOT",
        "IMPORT DATABASE 'x' -- pivot",
    ):
        done = forensics(runs, "sql", text)
        assert done.status == 2 and done.out == "", text
    assert len(answered(forensics(runs, "sql", "SELECT step FROM steps", "--json"))) == 6


def test_parquet_keeps_numbers_and_what_is_no_number(runs: Path, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    target = tmp_path / "it's.parquet"
    text = (
        "SELECT 'NaN'::DOUBLE AS x, 1::BIGINT AS n, [1.5, NULL]::DOUBLE[] AS l, {'a': 1} AS s,"
        " 1.25::DECIMAL(5,2) AS d, 'é' AS n"
    )
    done = forensics(runs, "sql", text, "--parquet", str(target))
    assert (done.status, done.out) == (0, "") and "1 row in" in done.err
    found = duckdb.connect().read_parquet(str(target))
    assert found.columns == ["x", "n", "l", "s", "d", "n_6"]
    x, n, listed, struct, decimal, letter = found.fetchall()[0]
    assert x != x and (n, listed, float(decimal), letter) == (1, [1.5, None], 1.25, "é") and "1" in struct
    asked = forensics(runs, "query", "training-steps", "good", "bad", "--parquet", str(target))
    assert asked.status == 0, asked.err
    assert duckdb.connect().read_parquet(str(target)).aggregate("count(*)").fetchall() == [(6,)]


@pytest.mark.parametrize(
    "words",
    [
        ["sql", "SELECT 1", "--parquet", "no/such/x.parquet"],
        ["sql", "SELECT 1", "--parquet", "x.parquet", "--csv"],
        ["query", "--parquet", "x.parquet"],
        ["report", "good", "--open", "-o", "-"],
        ["query", "training-steps", "good", "bad", "--adapter", "x"],
    ],
)  # fmt: skip
def test_what_cannot_be_is_three_lines(runs: Path, words: list[str]) -> None:
    done = forensics(runs, *words)
    assert done.status == 2 and done.out == "", done.err
    assert len(done.err.strip().splitlines()) == 3 and "do: " in done.err


def test_answers_are_frames_of_the_library_that_is_there(runs: Path) -> None:
    case = package.open("good", store=runs / ".forensics")
    statement = "SELECT step, loss, 'NaN'::DOUBLE AS x FROM steps ORDER BY step"
    rows = case.sql(statement)
    assert rows.columns == ["step", "loss", "x"] and case.sql(f"{statement} LIMIT 0").columns == rows.columns
    for name, read in (("pyarrow", case.arrow), ("polars", case.pl), ("pandas", case.df)):
        try:
            __import__(name)
        except ImportError:
            with pytest.raises(Exception, match=f"{name} is not installed") as refused:
                read(statement)
            assert f"pip install {name}" in str(refused.value.__notes__)
            continue
        frame = read(statement)
        assert list(frame["step"].to_pylist() if name == "pyarrow" else frame["step"]) == [1, 2, 3]


@pytest.mark.long
def test_report_opens_the_page(runs: Path, tmp_path: Path) -> None:
    note = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {note}\n')
    browser.chmod(0o755)
    done = forensics(
        runs, "report", "good", "--open", "-o", str(tmp_path / "a b.html"), env={"BROWSER": f"{browser} %s"}
    )
    assert done.status == 0, done.err
    assert note.read_text().strip() == (tmp_path / "a b.html").as_uri()
    none = forensics(
        runs,
        "report",
        "good",
        "--open",
        "-o",
        str(tmp_path / "x.html"),
        env={"BROWSER": "/no/such %s", "PATH": os.devnull},
    )
    assert none.status == 0 and "no browser could be opened" in none.err


@pytest.mark.parametrize(
    "until, status", [("2999-01-01", 0), ("2001-01-01", 1), ('"2999-01-01"', 0), ('"soon"', 2), ("7", 2)]
)  # fmt: skip
def test_what_is_allowed_until_a_day_counts_again_after_it(
    runs: Path, tmp_path: Path, until: str, status: int
) -> None:
    ids = ("learning-rate-zero", "parameters-unchanged", "loss-not-decreasing", "loss-constant")
    entries = "".join(f'[[allow]]\nid = "{each}"\nreason = "a dry run"\nuntil = {until}\n' for each in ids)
    (tmp_path / "forensics.toml").write_text(entries)
    done = forensics(tmp_path, "diagnose", "bad", "--store", str(runs / ".forensics"))
    assert done.status == status, done.out + done.err
    assert Store(runs / ".forensics").holds("bad")


def test_list_shows_steps_loss_and_verdict(runs: Path) -> None:
    forensics(runs, "diagnose", "bad")
    shown = forensics(runs, "list").out
    assert "STEPS" in shown and "LOSS" in shown and "faulty" in shown
    good = next(
        run for run in json.loads(forensics(runs, "list", "--json").out)["runs"] if run["run"] == "good"
    )
    assert good["steps"] == 3 and round(good["last_loss"], 3) == 2.991
    assert "steps" in package.list(store=runs / ".forensics")[0]


def names(directory: Path) -> list[str]:
    return [run["run"] for run in json.loads(forensics(directory, "list", "--json").out)["runs"]]


@pytest.mark.long
def test_gc_keeps_the_newest_runs_and_what_they_need(tmp_path: Path) -> None:
    path = write(tmp_path, LOOP)
    for name in ("one", "two", "three"):
        assert forensics(tmp_path, "capture", "--name", name, "--", sys.executable, str(path)).status == 0
    dry = json.loads(forensics(tmp_path, "gc", "--keep", "2", "--dry-run", "--json").out)
    assert dry["removed"] == ["one"] and dry["freed"] > 0 and len(names(tmp_path)) == 3
    assert forensics(tmp_path, "gc", "--keep", "2").out.startswith("removed one\n")
    assert names(tmp_path) == ["two", "three"]
    assert forensics(tmp_path, "verify").status == 0, "what is left has its tensors"
    assert forensics(tmp_path, "gc", "--max-size", "1GB").out.startswith("freed 0 B")
    assert forensics(tmp_path, "gc", "--max-size", "1KB").out.startswith("removed two\n")
    assert names(tmp_path) == ["three"], "the newest stays, whatever it takes"
    for words in (["--keep", "0"], ["--max-size", "much"], ["--max-size", "0GB"]):
        assert forensics(tmp_path, "gc", *words).status == 2
    assert names(tmp_path) == ["three"]


@pytest.mark.parametrize(
    "limit, said", [("1KB", "more than the 1KB"), ("1GB", ""), ("big", "cannot be understood")]
)
def test_capture_says_where_the_store_is_larger_than_the_project_wants(
    tmp_path: Path, limit: str, said: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.forensics]\nmax_store = "{limit}"\n')
    done = forensics(tmp_path, "capture", "--", sys.executable, str(write(tmp_path, LOOP)))
    assert done.status == 0 and names(tmp_path) == ["train"]
    assert said in done.err if said else "max_store" not in done.err and "more than" not in done.err


FUSE = """
import json, shutil, sys
from pathlib import Path
import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm import load
from mlx_lm.tuner.utils import linear_to_lora_layers
lora = {"rank": 4, "scale": 8.0, "dropout": 0.0}
model, _ = load("base")
model.freeze()
linear_to_lora_layers(model, 2, lora)
mx.random.seed(1)
for _, each in model.named_modules():
    if hasattr(each, "lora_b"):
        each.lora_b = mx.random.normal(each.lora_b.shape) * 0.05
Path("adapters").mkdir()
mx.save_safetensors("adapters/adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": lora}
Path("adapters/adapter_config.json").write_text(json.dumps(config))
for name, factor in (("fused", 1.0), ("weaker", 0.5)):
    model, _ = load("base", adapter_path="adapters")
    for _, each in model.named_modules():
        if hasattr(each, "lora_b"):
            each.lora_b = each.lora_b * factor
    adapted = [(path, each) for path, each in model.named_modules() if hasattr(each, "fuse")]
    model.update_modules(tree_unflatten([(path, each.fuse()) for path, each in adapted]))
    if name == "weaker":
        model.model.norm.weight = model.model.norm.weight * 2
    shutil.copytree("base", name)
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(f"{name}/model.safetensors", weights, {"format": "mlx"})
"""


@pytest.mark.long
def test_diff_says_whether_a_fused_model_is_base_plus_adapter(tmp_path: Path) -> None:
    tiny.build(tmp_path / "base")
    subprocess.run(
        [sys.executable, str(write(tmp_path, FUSE, "fuse.py"))], cwd=tmp_path, check=True, capture_output=True
    )
    right = forensics(tmp_path, "diff", "./base", "./fused", "--adapter", "./adapters")
    assert "Fused    base + adapter: the update of the adapter is in it 1.00 times" in right.out, right.err
    assert "nothing else differs" in right.out
    wrong = json.loads(
        forensics(tmp_path, "diff", "./base", "./weaker", "--adapter", "./adapters", "--json").out
    )["fusion"]
    assert (wrong["holds"], round(wrong["k"], 2), wrong["layers"], wrong["others"]) == (False, 0.5, 14, 1)
    assert forensics(tmp_path, "capture", "./base", "--adapter", "./adapters", "--name", "onbase").status == 0
    assert (
        json.loads(forensics(tmp_path, "diff", "onbase", "./fused", "--json").out)["fusion"]["holds"] is True
    )
    assert json.loads(forensics(tmp_path, "diff", "./base", "./fused", "--json").out)["fusion"] is None
    none = forensics(tmp_path, "diff", "./base", "./none", "--adapter", "./adapters")
    assert none.status == 2 and none.out == "" and len(none.err.splitlines()) == 3
