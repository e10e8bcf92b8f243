"""From a spool to sealed captures: real programs run under the watcher, sealed here, and asked as tables."""

from __future__ import annotations

import gzip
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forensics.capture import columns, scores, sources
from forensics.capture import seal as intake
from forensics.capture import watchedrun as watching
from forensics.capture.command import Ended
from forensics.capture.spool import Spool
from forensics.judge import library
from forensics.judge.diagnose import diagnose
from forensics.records import Diagnosis
from forensics.report.terminal.summary import run as shown_run
from forensics.store import facts
from forensics.store.loader import open_session
from forensics.store.session import Session
from forensics.store.store import Store
from forensics.tensors.measure import measure
from tests.support import tiny, watched

TRAIN = """
import json, os, shutil
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import load, generate
from mlx_lm.tuner.utils import linear_to_lora_layers
settings = {"rank": 4, "scale": 10.0, "dropout": 0.0, "keys": ["self_attn.q_proj", "self_attn.v_proj"]}
mx.random.seed(1)
model, tokenizer = load("model")
model.freeze()
linear_to_lora_layers(model, 1, settings)
chats = [json.loads(line)["messages"] for line in open("data/train.jsonl")][:4]
rows = [tokenizer.apply_chat_template(chat, return_dict=False) for chat in chats]
width = max(map(len, rows)) + 3
batch = mx.array([row + [0] * (width - len(row)) for row in rows])

def loss(model, batch):
    return nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]).mean()

step = nn.value_and_grad(model, loss)
optimizer = optim.Adam(1e-2)
for _ in range(10):
    value, gradients = step(model, batch)
    optimizer.update(model, gradients)
    mx.eval(model.parameters(), optimizer.state)
os.makedirs("adapters", exist_ok=True)
mx.save_safetensors("adapters/adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
config = {"fine_tune_type": "lora", "num_layers": 1, "lora_parameters": settings}
json.dump(config, open("adapters/adapter_config.json", "w"))
mx.save_safetensors("gone.safetensors", dict(tree_flatten(model.trainable_parameters())))
os.remove("gone.safetensors")
prompt = tokenizer.apply_chat_template(chats[0][:1], add_generation_prompt=True, return_dict=False)
generate(model, tokenizer, prompt=prompt, max_tokens=6)
"""

SCORER = (
    'def words(prompt, output, reference=None): return {"words": len(output.split()), "known":'
    " float(reference is not None)}"
)

FUSE = """
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm import load
from mlx_lm.tuner.utils import linear_to_lora_layers

mx.random.seed(1)
model, tokenizer = load("model")
model.freeze()
settings = {"rank": 4, "scale": 10.0, "dropout": 0.0, "keys": ["self_attn.q_proj", "self_attn.v_proj"]}
linear_to_lora_layers(model, 1, settings)
batch = mx.array([tokenizer.encode("What color is the sky?")])
loss = lambda model: nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]).mean()
step = nn.value_and_grad(model, loss)
optimizer = optim.SGD(0.1)
for _ in range(2):
    value, gradients = step(model)
    optimizer.update(model, gradients)
    mx.eval(model.parameters())
adapted = [(n, m) for n, m in model.named_modules() if hasattr(m, "fuse")]
model.update_modules(tree_unflatten([(n, m.fuse(dequantize=True)) for n, m in adapted]))
mx.save_safetensors("fused.safetensors", dict(tree_flatten(model.parameters())))
"""

TWO = """
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx_lm import load

teacher, tokenizer = load("model")
student, _ = load("model")
batch = mx.array([tokenizer.encode("What color is the sky?")])
loss = lambda model: ((model(batch) - mx.stop_gradient(teacher(batch)) * 2) ** 2).mean()
step = nn.value_and_grad(student, loss)
optimizer = optim.SGD(0.1)
value, gradients = step(student)
optimizer.update(student, gradients)
mx.eval(student.parameters())
"""


def seal(directory: Path, ran: watched.Ran, **plan: Any) -> tuple[Store, intake.Summary]:
    store = Store(directory / "store")
    return store, intake.seal(
        store, Spool(ran.spool), intake.Plan(("python", "program.py"), ran.status, 1.0, **plan)
    )


def program(directory: Path, text: str, options: dict[str, Any] | None = None, **model: Any) -> watched.Ran:
    directory.mkdir(parents=True)
    (directory / "model").symlink_to(tiny.cached(**model), target_is_directory=True)
    tiny.write_data(directory / "data")
    ran = watched.run(directory, text, options=options)
    assert ran.status == 0, ran.stderr
    return ran


class Sealed:
    """One sealed run with its session."""

    def __init__(self, store: Store, summary: intake.Summary) -> None:
        self.store, self.summary = store, summary
        self.run = store.run(summary.run)
        self.session: Session = open_session(self.run.captures, [self.run])

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.session.rows(sql)

    def one(self, sql: str) -> Any:
        (row,) = self.rows(sql)
        return next(iter(row.values())) if len(row) == 1 else row

    def column(self, sql: str) -> list[Any]:
        return [next(iter(row.values())) for row in self.rows(sql)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    directory = tmp_path_factory.mktemp("trained") / "run"
    prompts = [{"id": "sky", "prompt": "What color is the sky?", "reference": "The sky is blue."}]
    ran = program(directory, TRAIN, {"prompts": prompts})
    (directory / "own.py").write_text(SCORER)
    yield Sealed(*seal(directory, ran, scorers=("own:words",), expect="lora"))


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    directory = tmp_path_factory.mktemp("fused") / "run"
    yield Sealed(*seal(directory, program(directory, FUSE, bits=4), reload=False))


# -- captures ------------------------------------------------------------------------------------------------


def test_points_in_order(trained: Sealed) -> None:
    assert trained.summary.points == ("loaded", "adapted", "start", "end", "saved", "reloaded")
    assert trained.summary.complete, trained.summary.missing
    assert [c.ref for c in trained.run.captures] == [f"test@{p}" for p in trained.summary.points]
    assert trained.column("SELECT sequence FROM captures ORDER BY sequence") == list(range(6))


def test_an_adapted_layer_keeps_its_name_and_its_bytes(trained: Sealed) -> None:
    moved = trained.rows("""
        SELECT a.name, b.name AS later, a.digest = b.digest AS same
        FROM placements a JOIN placements b USING (canonical)
        WHERE a.capture = 'test@loaded' AND b.capture = 'test@end' AND a.name <> b.name""")
    assert len(moved) == 2 * 2  # weight and bias of q and v of the last block
    assert all(row["same"] and ".linear." in row["later"] for row in moved)


def test_modules_are_known_by_their_shapes(trained: Sealed) -> None:
    adapters = trained.rows(
        "SELECT * FROM modules WHERE capture = 'test@end' AND kind = 'adapter' ORDER BY module"
    )
    keys = ("rank", "scale", "adapters", "layer")
    assert [(m["canonical"].rpartition(".")[2], *(m[key] for key in keys)) for m in adapters] == [
        ("q_proj", 4, 10.0, 1, 1), ("v_proj", 4, 10.0, 1, 1),
    ]  # fmt: skip
    kinds = set(trained.column("SELECT DISTINCT kind FROM modules WHERE capture = 'test@end'"))
    assert {"linear", "embedding", "norm", "adapter", "container"} <= kinds


def test_every_digest_is_kept_once_and_reads_as_itself(trained: Sealed) -> None:
    digests = trained.column("SELECT digest FROM tensors WHERE kept = 'pack'")
    assert len(digests) == len(set(digests)) > 40
    for digest in digests:
        raw = trained.store.packs.read(digest)
        assert raw is not None and measure(raw).digest == digest
    assert not trained.column(
        "SELECT DISTINCT digest FROM placements WHERE digest NOT IN (SELECT digest FROM tensors)"
    )


def test_only_the_adapter_moved(trained: Sealed) -> None:
    moved = trained.rows(
        """
        SELECT b.canonical, d.l2 FROM placements a JOIN placements b USING (canonical) LEFT JOIN deltas d
        ON d.digest_a = a.digest AND d.digest_b = b.digest
        WHERE a.capture = 'test@start' AND b.capture = 'test@end' AND a.digest <> b.digest
            AND b.role <> 'optimizer'"""
    )
    assert len(moved) == 4 and all("lora_" in row["canonical"] and row["l2"] > 0 for row in moved)


def test_the_reloaded_model_says_what_the_live_one_said(trained: Sealed) -> None:
    row = trained.one(
        "SELECT same_output, logits_max_abs FROM probe_deltas"
        " WHERE capture_a = 'test@end' AND capture_b = 'test@reloaded'"
    )
    assert row == {"same_output": True, "logits_max_abs": 0.0}
    assert trained.one("SELECT source FROM captures WHERE capture = 'test@reloaded'") == "reload"


def test_declared_and_observed_adapters(trained: Sealed) -> None:
    rows = trained.rows(
        "SELECT origin, via, capture, rank, scale, modules, keys FROM adapters"
        " WHERE kind = 'lora' ORDER BY capture, via"
    )
    declared = {row["via"] for row in rows if row["origin"] == "declared" and row["capture"] is None}
    assert {"call", "expect"} <= declared
    (own,) = [row for row in rows if row["origin"] == "declared" and row["capture"] == "test@saved"]
    assert (own["via"], own["rank"], own["scale"]) == ("saved-config", 4, 10.0)
    held = {row["capture"]: row for row in rows if row["origin"] == "observed"}
    assert set(held) == {f"test@{p}" for p in ("adapted", "start", "end", "saved", "reloaded")}
    assert all(
        json.loads(r["keys"]) == ["self_attn.q_proj", "self_attn.v_proj"] and r["modules"] == 2
        for r in held.values()
    )


# -- what was saved ------------------------------------------------------------------------------------------


def test_saved_tensors_are_read_as_they_lie(trained: Sealed) -> None:
    rows = trained.rows("SELECT file, canonical, digest, digest_on_disk, place FROM saved_tensors")
    there = [row for row in rows if row["file"] == "adapters.safetensors"]
    assert len(there) == 4 and all(
        row["digest"] == row["digest_on_disk"] and row["place"].startswith("program.py:") for row in there
    )
    gone = [row for row in rows if row["file"] == "gone.safetensors"]
    assert len(gone) == 4 and all(row["digest_on_disk"] is None for row in gone)


def test_a_saved_file_is_a_capture(trained: Sealed) -> None:
    same = trained.column("""
        SELECT a.digest = b.digest FROM placements a JOIN placements b USING (canonical)
        WHERE a.capture = 'test@saved' AND b.capture = 'test@end'""")
    assert same == [True] * 4
    saved = trained.one("SELECT source, format, model, updates FROM captures WHERE capture = 'test@saved'")
    assert saved == {
        "source": "file", "format": "adapter-mlx", "model": "m0", "updates": 10,
    }  # fmt: skip


# -- the run -------------------------------------------------------------------------------------------------


def test_events_in_one_order(trained: Sealed) -> None:
    rows = trained.rows("SELECT sequence, time, kind, place FROM events ORDER BY sequence")
    assert [row["sequence"] for row in rows] == list(range(len(rows)))
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows) and rows[0]["time"] >= 0
    assert {"load", "freeze", "convert", "grad", "update", "save", "generate", "exit"} <= {
        row["kind"] for row in rows
    }
    assert [row["place"] for row in rows if row["kind"] == "freeze"] == ["program.py:10"]


def test_steps_have_their_shares_whether_kept_or_not(trained: Sealed) -> None:
    shares = "weight_prompt + weight_answer + weight_end + weight_pad"
    assert trained.column(f"SELECT {shares} FROM steps ORDER BY step") == pytest.approx([1.0] * 10)
    kept = trained.column("SELECT DISTINCT step FROM loss_tokens ORDER BY step")
    assert kept == [*range(1, 9)], "and steps 9 and 10 in brief"
    assert (
        trained.one("SELECT count(*) FROM steps WHERE step > 8 AND weight_pad > 0.1 AND mass_pad > 0.1") == 2
    )


@pytest.mark.parametrize("role", ["prompt", "answer", "end", "pad"])
def test_brief_rows_and_kept_positions_agree(trained: Sealed, role: str) -> None:
    rows = trained.rows(f"""
        SELECT s.weight_{role} AS brief,
            sum(abs(t.weight)) FILTER (t.role = '{role}') / sum(abs(t.weight)) AS kept
        FROM steps s JOIN loss_tokens t USING (run, process, model, step) GROUP BY s.step, brief""")
    assert len(rows) == 8 and all(
        row["brief"] == pytest.approx(row["kept"], rel=1e-3) and row["brief"] > 0 for row in rows
    )


def test_mass_on_padding_agrees(trained: Sealed) -> None:
    rows = trained.rows("""
        SELECT s.mass_pad AS brief, sum(t.mass) FILTER (t.role = 'pad') / sum(t.mass) AS kept
        FROM steps s JOIN loss_tokens t USING (run, process, model, step) GROUP BY s.step, brief""")
    assert len(rows) == 8 and all(row["brief"] == pytest.approx(row["kept"], rel=1e-3) for row in rows)


def test_targets_are_next_tokens_with_their_words(trained: Sealed) -> None:
    assert trained.column("SELECT DISTINCT relation FROM loss_tokens WHERE weight <> 0") == ["next"]
    assert trained.column("SELECT DISTINCT token FROM loss_tokens WHERE target_id = 2") == ["<|im_end|>"]
    assert trained.one("SELECT count(*) FROM loss_tokens WHERE weight <> 0 AND token IS NULL") == 0
    assert (
        trained.one("SELECT count(*) FROM loss_tokens WHERE relation = 'next' AND token <> next_token") == 0
    )
    ends = trained.rows("SELECT position FROM loss_tokens t WHERE next_token IS NULL GROUP BY ALL")
    assert ends == trained.rows("SELECT max(position) AS position FROM loss_tokens"), (
        "a row's last position alone has no next input"
    )


def test_training_rows(trained: Sealed) -> None:
    rows = trained.rows("SELECT * FROM batch_rows WHERE step = 1 ORDER BY row")
    assert len(rows) == 4
    for row in rows:
        assert (
            row["frame"] == "template"
            and row["ends_with_end"]
            and row["end_tokens"] == 2
            and row["out_of_range"] == 0
        )
        assert (
            row["pad_tokens"] >= 3
            and row["tokens"] + row["pad_tokens"] == row["width"] + 1
            and not row["at_cap"]
        )
    assert len({row["head_digest"] for row in rows}) == 1 and len({row["prompt_digest"] for row in rows}) == 4


def test_a_generation_is_held_against_the_training_rows(trained: Sealed) -> None:
    row = trained.one(
        "SELECT capture, trained_on, framed, frame, head_digest, end_in_stop_set, place FROM generations"
    )
    head = trained.column("SELECT DISTINCT head_digest FROM batch_rows")
    assert row == {
        "capture": "test@end", "trained_on": True, "framed": True, "frame": "template",
        "head_digest": head[0], "end_in_stop_set": True, "place": "program.py:33",
    }  # fmt: skip
    said = trained.one("SELECT prompt_id, source, output_tokens FROM transcripts WHERE source = 'observed'")
    assert said == {"prompt_id": "g1", "source": "observed", "output_tokens": 6}
    assert trained.one("SELECT count(*) FROM tokens WHERE prompt_id = 'g1' AND class IS NOT NULL") == 6


def test_rows_of_the_data_set_are_counted(trained: Sealed) -> None:
    row = trained.one("SELECT records, rows_seen, rows_drawn, place FROM datasets WHERE file = 'train.jsonl'")
    assert row == {"records": 13, "rows_seen": 4, "rows_drawn": 40, "place": "program.py:12"}


def test_scores(trained: Sealed) -> None:
    end = trained.rows(
        "SELECT scorer, key, value FROM scores WHERE capture = 'test@end' AND prompt_id = 'sky'"
    )
    found = {(row["scorer"], row["key"]): row["value"] for row in end}
    assert found.keys() >= {
        ("special-share", ""),
        ("repetition", ""),
        ("length", ""),
        ("exact-match", ""),
        ("own:words", "words"),
    }
    assert found["exact-match", ""] == 0.0 and found["own:words", "known"] == 1.0


def test_environment_and_settings_stand_under_the_runs_name(trained: Sealed) -> None:
    keys = trained.column("SELECT key FROM environment WHERE capture = 'test'")
    assert {"forensics", "python", "mlx", "mlx-lm", "platform"} <= set(keys)
    assert (
        trained.one(
            "SELECT value FROM configs WHERE capture = 'test@end' AND kind = 'tokenizer' AND key = 'pad_id'"
        )
        == "0"
    )


# -- quantized, fused ----------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_quantized_weight_has_a_value(fused: Sealed) -> None:
    row = fused.rows(
        "SELECT role, packing, value_digest IS NOT NULL AS v FROM placements WHERE capture = 'test@loaded'"
    )
    assert {bool(r["packing"]) for r in row if r["v"]} == {True}, "how each is packed"
    assert {r["role"] for r in row if r["v"]} == {"base", "embedding", "head"} and {"scales", "biases"} <= {
        r["role"] for r in row
    }


@pytest.mark.long
def test_fused_weights_hold_the_adapter_once(fused: Sealed) -> None:
    rows = fused.rows(
        "SELECT module, k, cosine, capture_adapter FROM fusions WHERE capture_fused = 'test@saved'"
    )
    assert {row["module"].rpartition(".")[2] for row in rows} == {"q_proj", "v_proj"}
    assert all(row["k"] == pytest.approx(1.0, abs=1e-3) and row["cosine"] > 0.999 for row in rows)


# -- several models, and what goes wrong ---------------------------------------------------------------------


def test_the_model_that_was_updated_is_the_main_one(tmp_path: Path) -> None:
    sealed = Sealed(*seal(tmp_path / "run", program(tmp_path / "run", TWO), reload=False))
    assert sealed.run.main_model == "m1"
    assert [c.ref for c in sealed.run.captures] == ["test@loaded:m0", "test@loaded", "test@start", "test@end"]
    assert sealed.one("SELECT residual FROM steps") > 0.05, "no cross-entropy"


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spool of a small run, to be damaged in copies."""
    return program(tmp_path_factory.mktemp("spool") / "run", TWO).spool


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> watched.Ran:
    """A run that trains and saves, not sealed yet."""
    return program(tmp_path_factory.mktemp("ran") / "run", TRAIN)


def copy(spool: Path, tmp_path: Path) -> Path:
    shutil.copytree(spool, tmp_path / "spool")
    return tmp_path / "spool"


def sealed(tmp_path: Path, spool: Path, status: int | None = 0) -> intake.Summary:
    return intake.seal(Store(tmp_path / "store"), Spool(spool), intake.Plan((), status, None, reload=False))


def test_a_killed_run_is_incomplete_and_usable(spool: Path, tmp_path: Path) -> None:
    own = copy(spool, tmp_path)
    (own / "p0" / "exit.json").unlink()
    for table in ("captures", "events", "steps"):
        path = own / "p0" / f"{table}.jsonl"
        path.write_bytes(path.read_bytes()[:-9])  # the last line is cut off
    summary = sealed(tmp_path, own, -9)
    assert not summary.complete and summary.points == ("loaded:m0", "loaded", "start")
    assert {
        "what": "the end of process 0",
        "why": "it was ended by signal 9",
        "kind": "process-end",
        "process": "0",
    } in summary.missing


def edited(path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    rows = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.long
def test_rows_of_a_save_that_the_disk_cut_short_are_no_evidence(ran: watched.Ran, tmp_path: Path) -> None:
    """A full disk kept half of the rows of whole files.

    What they do not name is read from the file, or the save is left out.
    """
    own = copy(ran.spool, tmp_path)
    table = own / "p0" / "saved_tensors.jsonl"
    edited(table, lambda rows: [row for row in rows if "lora_a" in row["name"]])
    summary = sealed(tmp_path, own)
    assert [gap["what"] for gap in summary.missing if gap.get("kind") == "save"] == [
        "rows of saved_tensors of adapters.safetensors", "rows of saved_tensors of gone.safetensors",
    ]  # fmt: skip
    told = Sealed(Store(tmp_path / "store"), summary)
    saves = told.rows(
        "SELECT file, count(*) AS n, count(digest_on_disk) AS there FROM saved_tensors GROUP BY file"
    )
    assert saves == [{"file": "adapters.safetensors", "n": 4, "there": 4}]
    assert not summary.complete
    found = diagnose(told.store, [summary.run])
    assert isinstance(found, Diagnosis)
    assert "adapter-incomplete" not in [finding.id for finding in found.findings]
    assert any("rows of saved_tensors of adapters.safetensors" in note for note in found.notes)


def test_a_table_whose_last_row_is_cut_off_is_a_gap(spool: Path, tmp_path: Path) -> None:
    own = copy(spool, tmp_path)
    path = own / "p0" / "steps.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert {
        "what": "rows of steps",
        "why": "the last one is cut off",
        "kind": "rows",
        "table": "steps",
    } in sealed(tmp_path, own).missing


@pytest.mark.long
def test_a_run_whose_parent_was_killed_says_what_nobody_saw(ran: watched.Ran, tmp_path: Path) -> None:
    own = copy(ran.spool, tmp_path)
    kinds = [gap.get("kind") for gap in sealed(tmp_path, own, None).missing]
    assert "exit" in kinds and "reload" in kinds
    assert "exit" not in [
        gap.get("kind") for gap in sealed(tmp_path / "other", copy(ran.spool, tmp_path / "other"), 0).missing
    ]


def test_a_scorer_that_fails_is_said_and_missing_and_shown(spool: Path, tmp_path: Path) -> None:
    store, said = Store(tmp_path / "store"), list[str]()
    names = ("nosuch:fn", "math:absent", "operator:truediv", "operator:eq")
    settings = watching.Settings(scorers=names, reload=False)
    watching.seal_spool(
        store,
        copy(spool, tmp_path),
        ("python", "program.py"),
        Ended(0, 1.0),
        settings,
        said.append,
        said.append,
    )
    *warnings, summary = said
    reasons = [
        "ModuleNotFoundError: No module named 'nosuch'",
        "AttributeError: module 'math' has no attribute 'absent'",
        "TypeError: ",
    ]
    expected = [
        f"forensics: the scores of {name} are missing: {why}"
        for name, why in zip(names, reasons, strict=False)
    ]
    assert (
        len(warnings) == 3
        and all(map(str.startswith, warnings, expected))
        and " (incomplete: the scores of nosuch:fn, " in summary
    )
    sealed = Sealed(store, intake.Summary("test", (), False, 0))
    library.load().install(sealed.session)
    assert {r["what"] for r in sealed.rows("SELECT what FROM what_is_missing('test')")} == {
        f"the scores of {name}" for name in names[:3]
    }
    assert sealed.rows("SELECT complete FROM runs") == [{"complete": False}]
    told = shown_run(facts.of_run(sealed.run), 200).plain
    assert "nosuch:fn failed on " in told and "No module named 'nosuch'" in told and "operator:eq 0" in told


def test_scores_of_a_run_without_answers_are_missing(tmp_path: Path) -> None:
    assert scores.fill(Spool(tmp_path), [], ("own:words",), {}) == [
        {"what": "the scores of own:words", "why": "there was no answer to score", "kind": "scores"}
    ]
    assert scores.fill(Spool(tmp_path), [], (), {}) == []


def test_what_a_killed_run_did_not_count_is_counted_by_its_steps_and_else_unknown(
    spool: Path, tmp_path: Path
) -> None:
    own = copy(spool, tmp_path)
    (own / "p0" / "exit.json").unlink()
    path = own / "p0" / "models.jsonl"
    early = [
        json.loads(line) | dict.fromkeys(("updates", "gradients", "writes", "saves"), 0)
        for line in path.read_text().splitlines()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in early))
    run = Sealed(Store(tmp_path / "store"), sealed(tmp_path, own, -9))
    teacher, student = run.rows("SELECT updates, gradients, writes, saves FROM models ORDER BY model")
    assert student == {"updates": 1, "gradients": 1, "writes": None, "saves": None}
    assert set(teacher.values()) == {None}
    assert run.store.run(run.summary.run).main_model == "m1"


def test_bytes_that_are_others_are_no_evidence(spool: Path, tmp_path: Path) -> None:
    own = copy(spool, tmp_path)
    last = max(own.glob("p0/c*/tensors.safetensors"))
    data = bytearray(last.read_bytes())
    data[-1] ^= 1
    last.write_bytes(data)
    summary = sealed(tmp_path, own)
    assert not summary.complete and any("not those of their digest" in m["why"] for m in summary.missing)
    store = Store(tmp_path / "store")
    for digest in store.packs.digests():
        raw = store.packs.read(digest)
        assert raw is not None and measure(raw).digest == digest


def test_a_cut_tensor_file_costs_its_bytes_alone(spool: Path, tmp_path: Path) -> None:
    own = copy(spool, tmp_path)
    first = min(own.glob("p0/c*/tensors.safetensors"))
    first.write_bytes(first.read_bytes()[:-100])
    summary = sealed(tmp_path, own)
    assert not summary.complete and len(summary.points) == 4


def test_a_full_disk_keeps_what_fits(spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forensics.store.packs import Packs

    def full(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Packs, "adopt", full)
    summary = sealed(tmp_path, copy(spool, tmp_path))
    assert not summary.complete and len(summary.points) == 4
    assert any("No space left on device" in m["why"] for m in summary.missing)


def test_sealing_twice_gives_the_same(spool: Path, tmp_path: Path) -> None:
    own = copy(spool, tmp_path)
    one = sealed(tmp_path, own)
    tables = {p: gzip.decompress(p.read_bytes()) for p in (tmp_path / "store" / "captures").rglob("*.gz")}
    two = sealed(tmp_path, own)
    assert one.points == two.points and tables
    for path in (tmp_path / "store" / "captures").rglob("*.gz"):
        assert gzip.decompress(path.read_bytes()) == tables[path]


def test_an_empty_spool_is_a_run_without_captures(tmp_path: Path) -> None:
    own = tmp_path / "spool"
    own.mkdir()
    (own / "options.json").write_text(json.dumps({"version": 1, "run": "none", "started": time.time()}))
    summary = sealed(tmp_path, own)
    assert summary == intake.Summary("none", (), False, summary.nbytes, (intake.UNUSED,))


def test_what_an_earlier_run_measured_is_not_measured_again(
    spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(tmp_path, copy(spool, tmp_path))
    store = Store(tmp_path / "store")
    before = {str(row["digest"]): row for row in sources.earlier(store.captures, ())}
    again = tmp_path / "again"
    shutil.copytree(spool, again)
    for file in again.glob("p0/c*/*.safetensors"):
        file.unlink()  # the watcher writes no bytes that the store has
    options = json.loads((again / "options.json").read_text())
    (again / "options.json").write_text(json.dumps({**options, "run": "again"}))
    monkeypatch.setattr(
        "forensics.tensors.measure.measure", lambda raw: pytest.fail(f"{raw.name} was measured again")
    )
    assert sealed(tmp_path, again).complete
    assert {str(row["digest"]): row for row in sources.earlier(store.captures, ())} == before


@pytest.mark.long
@pytest.mark.parametrize(
    ("tensors", "kept"),
    [("none", {"none", "file"}), ("new", {"pack", "file"}), ("trainable", {"pack", "file"})],
)
def test_what_moved_is_measured_whatever_is_kept(tmp_path: Path, tensors: str, kept: set[str]) -> None:
    ran = program(tmp_path / "run", TRAIN.replace("range(10)", "range(2)"), {"tensors": tensors})
    found = Sealed(*seal(tmp_path / "run", ran, tensors=tensors))
    assert found.summary.complete and set(found.column("SELECT DISTINCT kept FROM tensors")) == kept
    assert found.one("SELECT count(*) FROM deltas WHERE l2 > 0") == 4
    assert found.one("SELECT count(*) FROM tensors WHERE l2 IS NULL AND size > 0") == 0
    base = "SELECT DISTINCT kept FROM tensors JOIN placements USING (digest) WHERE capture = 'test@loaded'"
    assert found.column(base) == ["file"], "the base lies in the file that it was loaded from"
    adapter = (
        "SELECT DISTINCT kept FROM tensors JOIN placements USING (digest)"
        " WHERE capture = 'test@start' AND role = 'lora_a'"
    )
    assert found.column(adapter) == ["none" if tensors == "none" else "pack"]


def test_a_line_is_named_as_shortly_as_it_is_clear() -> None:
    told = {
        "/home/jo/night/train.py:88": "train.py:88",
        "/home/jo/lib/loss.py:3": "../lib/loss.py:3",
        "/opt/x.py:1": "/opt/x.py:1",
        "/home/jo/night/.venv/lib/python3.11/site-packages/mlx_lm/tuner/trainer.py:210": (
            "mlx_lm/tuner/trainer.py:210"
        ),
        "<stdin>:4": "<stdin>:4",
        "program": "program",
    }
    assert {where: columns.place(where, "/home/jo/night") for where in told} == told
    assert columns.place("/opt/x.py:1", None) == "/opt/x.py:1" and columns.place(None, "/home") is None
