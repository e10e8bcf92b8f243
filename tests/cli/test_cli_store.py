"""list, show, sql, verify, rm, gc: what they print, their documents and exit statuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from forensics.capture.sources import tensor_row
from forensics.cli import main
from forensics.records import RawTensor
from forensics.store import verdicts
from forensics.store.capture import Writer
from forensics.store.store import Store
from forensics.tensors.measure import measure
from tests.support import made as evidence
from tests.support.command import readable_only

RUN = {
    "run": "night",
    "created_at": "2026-11-24T10:00:00Z",
    "kind": "watched",
    "command": ["python", "train.py", "--lr", "1e-3"],
    "exit_status": 0,
    "seconds": 12.25,
    "complete": False,
    "missing": [{"what": "probes at end", "why": "the tokenizer could not be read"}],
    "main_model": "m0",
}


Run = Callable[..., Result]


def tensor(data: bytes) -> RawTensor:
    return RawTensor("t", "F32", (len(data) // 4,), len(data), lambda start, stop: data[start:stop])


def made(root: Path) -> Store:
    """A run of two captures with a tensor that stays, one that moves, and NaN in the loss."""
    store = Store(root)
    store.make()
    for n, place in enumerate(("loaded", "end")):
        ref = f"night@{place}"
        tensors = {
            "embed.weight": tensor(b"same" * 64),
            "layers.0.q_proj.weight": tensor(bytes([n + 1]) * 400),
        }
        stats = {name: measure(raw) for name, raw in tensors.items()}
        store.packs.put([(stats[name].digest, raw) for name, raw in tensors.items()])
        with Writer(store.captures, ref, "capture") as w:
            roles = {"embed.weight": "embedding", "layers.0.q_proj.weight": "base"}
            w.rows(
                "placements",
                [
                    {
                        "capture": ref,
                        "name": k,
                        "canonical": k,
                        "role": roles[k],
                        "digest": s.digest,
                        "trainable": n == 0,
                    }
                    for k, s in stats.items()
                ],
            )
            w.rows("tensors", [tensor_row(s, "pack") for s in stats.values()])
            w.rows(
                "modules",
                [
                    {"capture": ref, "module": "", "class": "Model"},
                    {"capture": ref, "module": "layers.0.q_proj", "class": "Linear"},
                ],
            )
            answer = {
                "source": "probe",
                "prompt": "Say [bold]hi[/bold]\x1b[31m",
                "output": "日本語 🔥\nhi" * 30,
                "finish_reason": "stop",
                "output_tokens": 3,
            }
            w.rows("transcripts", [{"capture": ref, "prompt_id": "p0", **answer}])
            w.rows(
                "optimizers",
                [{"capture": ref, "optimizer": "o0", "class": "AdamW", "step": n, "learning_rate": 1e-3}] * n,
            )
            head = {
                "capture": ref,
                "run": "night",
                "point": place,
                "ordinal": 1,
                "sequence": n,
                "model": "m0",
                "process": 0,
            }
            w.seal(
                {
                    **head,
                    "created_at": "2026-11-24T10:00:00Z",
                    "source": "live",
                    "updates": n,
                    "whole": True,
                    "complete": True,
                }
            )
    with Writer(store.runs, "night", "run") as w:
        w.rows("models", [{"run": "night", "model": "m0", "class": "Model", "updates": 3, "parameters": 2}])
        w.rows(
            "steps",
            [
                {
                    "run": "night",
                    "process": 0,
                    "model": "m0",
                    "step": i,
                    "loss": [9.5, float("nan"), 0.5][i - 1],
                }
                for i in (1, 2, 3)
            ],
        )
        w.rows(
            "loss_tokens",
            [
                {"run": "night", "model": "m0", "role": r, "weight": x, "residual": 0.0}
                for r, x in (("pad", 0.75), ("answer", 0.25))
            ],
        )
        w.rows(
            "adapters",
            [
                {
                    "run": "night",
                    "origin": "declared",
                    "via": "argument",
                    "kind": "lora",
                    "rank": 8,
                    "scale": 10.0,
                    "place": "a/train.py:8",
                }
            ],
        )
        w.seal(RUN)
    return store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made(tmp_path / "store")
    return Store(tmp_path / "store")  # another than wrote: as long as that one lives, nothing may be freed


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that no test changes, its catalogue made once."""
    return made(tmp_path_factory.mktemp("shared") / "store").root


@pytest.fixture
def ask(shared: Path) -> Run:
    return lambda *words: CliRunner().invoke(main, [words[0], "--store", str(shared), *words[1:]])


@pytest.fixture
def run(store: Store) -> Run:
    def call(*words: str) -> Result:
        return CliRunner().invoke(main, [words[0], "--store", str(store.root), *words[1:]])

    return call


def document(result: Result) -> Any:
    """The one document on stdout."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return json.loads(result.stdout)


# -- list


def test_list(run: Run, store: Store) -> None:
    verdicts.remember(
        store,
        "night",
        {"verdict": "faulty", "findings": [{"id": "padding-in-loss", "role": "cause", "severity": "error"}]},
    )
    shown = run("list")
    assert shown.exit_code == 0 and re.search(
        r"night +\d+ \w+ +loaded end +- +- +[\d.]+ KB +faulty: padding-in-loss", shown.output
    ), shown.output
    assert "TABLES" in shown.output and re.search(
        r"1 run, 2 captures; tables [\d.]+ KB, tensors 1.\d+ KB", shown.output
    )
    captures = run("list", "--captures").output
    assert "night@loaded" in captures and "night@end" in captures
    (told,) = document(run("list", "--json"))["runs"]
    assert (told["run"], told["verdict"], told["causes"], told["complete"]) == (
        "night",
        "faulty",
        ["padding-in-loss"],
        False,
    )
    assert [c["capture"] for c in told["captures"]] == ["night@loaded", "night@end"] and told["nbytes"] > 0


def test_list_of_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["list", "--store", str(tmp_path / "none")])
    assert (
        result.exit_code == 0 and "Nothing is captured yet" in result.output and "snapshots/" in result.output
    )
    assert (
        document(CliRunner().invoke(main, ["list", "--json", "--store", str(tmp_path / "none")]))["runs"]
        == []
    )
    assert not (tmp_path / "none").exists()


def test_list_names_what_is_damaged(run: Run, store: Store) -> None:
    (store.captures / "night@end" / "manifest.json").write_text("{}")
    result = run("list")
    assert result.exit_code == 0 and "damaged" in result.output and "None" not in result.output


def test_list_remembers_and_forgets(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forensics.store.heads._KEEP", 1)
    run("list")
    assert (store.root / "heads.json").is_file()
    shutil.rmtree(store.captures / "night@loaded")
    with Writer(store.captures, "night@end", "capture") as writer:
        writer.seal({"capture": "night@end", "run": "night", "point": "end", "updates": 77})
    (told,) = document(run("list", "--json"))["runs"]
    assert [(c["capture"], c["updates"]) for c in told["captures"]] == [("night@end", 77)]
    (store.root / "heads.json").write_text("broken")
    assert run("list").exit_code == 0


# -- show


def test_show_run(run: Run) -> None:
    text = run("show", "night").output
    for part in (
        "python train.py --lr 1e-3",
        "12.2 s",
        "exit 0",
        "incomplete",
        "m0 Model, 2 tensors, 3 updates (main)",
        "3 steps, loss 9.5 -> 0.5",
        "trains on pad 75%, answer 25%",
        "declared (argument at train.py:8): lora, rank 8, scale 10",
        "observed: none",
        "AdamW, step 1, rate 0.001",
        "probes at end: the tokenizer could not be read",
        "日本語",
    ):
        assert part in text, (part, text)
    assert "\x1b" not in text and "[bold]hi[/bold]" in text  # neither escapes nor markup from evidence
    told = document(run("show", "night", "--json"))
    assert told["kind"] == "run" and told["training"][0]["loss"] == [9.5, "NaN", 0.5]
    assert (
        told["training"][0]["trains_on"] == {"pad": 0.75, "answer": 0.25} and told["command"][0] == "python"
    )
    assert document(run("show", "--json")) == told  # the newest


@pytest.mark.parametrize(
    ("status", "said"),
    [(-9, "killed by SIGKILL"), (-15, "killed by SIGTERM"), (-99, "killed by signal 99"), (3, "exit 3")],
)
def test_show_names_the_signal_that_ended_a_command(tmp_path: Path, status: int, said: str) -> None:
    evidence.run(Store(tmp_path), "day", exit_status=status)
    assert said in CliRunner().invoke(main, ["show", "day", "--store", str(tmp_path)]).output
    assert (
        document(CliRunner().invoke(main, ["show", "day", "--json", "--store", str(tmp_path)]))["exit_status"]
        == status
    )


def test_show_capture(run: Run) -> None:
    text = run("show", "night@end").output
    assert "night@end" in text and "parameters 164 in 2 tensors" in text and "0 trainable" in text
    assert re.search(r"embedding +1 +64 +F32", text) and "1 Linear, 1 Model" in text
    told = document(run("show", "night@loaded", "--json"))
    assert (
        told["trainable"] == 164
        and [r["role"] for r in told["roles"]] == ["base", "embedding"]
        and len(told["answers"]) == 1
    )


@pytest.mark.parametrize(
    "words", [("show", "night"), ("show", "night@end"), ("list",), ("list", "--captures")]
)
def test_right_at_80_columns(run: Run, words: tuple[str, ...]) -> None:
    from rich.cells import cell_len

    result = run(*words)
    assert max(cell_len(line) for line in result.output.splitlines()) <= 80


def test_unknown_refs(run: Run) -> None:
    result = run("show", "nihgt")
    assert result.exit_code == 2 and "Did you mean night?" in result.stderr and result.stdout == ""


# -- sql


def test_sql(ask: Run) -> None:
    result = ask("sql", "SELECT capture, count(*) AS n FROM parameters GROUP BY 1 ORDER BY 1")
    assert result.exit_code == 0 and re.search(r"night@end +2", result.output), result.output
    told = document(ask("sql", "--json", "SELECT step, loss FROM steps ORDER BY step"))
    assert told == {
        "schema": 1,
        "columns": ["step", "loss"],
        "rows": [{"step": 1, "loss": 9.5}, {"step": 2, "loss": "NaN"}, {"step": 3, "loss": 0.5}],
    }
    macro = document(
        ask("sql", "--json", "SELECT name FROM parameter_diff('night@loaded', 'night') WHERE NOT identical")
    )
    assert macro["rows"] == [{"name": "layers.0.q_proj.weight"}]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT * FROM read_text('/etc/passwd')", "disabled"),
        ("SELECT content FROM '/etc/passwd'", ""),
        ("DROP TABLE runs", "nothing can be changed"),
        ("INSERT INTO runs SELECT * FROM runs", "nothing can be changed"),
        ("SELECT 1; SELECT 2", "One SELECT"),
        ("ATTACH '/tmp/x.duckdb'", "nothing can be changed"),
        ("SET memory_limit='1TB'", "nothing can be changed"),
        ("COPY (SELECT 1) TO '/tmp/forensics-test-out'", "nothing can be changed"),
        ("SELECT nobody FROM runs", "nobody"),
        ("", "One SELECT"),
        ("SELECT repeat('x', 3000000000) AS a", "memory"),
        ("SELECT list(a.range) FROM range(1000000) a, range(1000) b", "memory"),
    ],
)
def test_sql_of_a_stranger(ask: Run, query: str, why: str) -> None:
    result = ask("sql", "--memory", "256MB", query)
    assert result.exit_code == 2 and why in result.stderr and result.stdout == "", result.output
    assert len(result.stderr.splitlines()) == 3


@pytest.mark.parametrize("ref", ["nosuch", "snapshots/base", "./model"])
def test_sql_says_which_ref_is_none_of_the_stores(ask: Run, ref: str) -> None:
    for query in (
        f"FROM parameter_diff('night', '{ref}')",
        f"FROM training_steps('{ref}')",
        f"SELECT capture_of('{ref}')",
    ):
        result = ask("sql", query)
        assert result.exit_code == 2 and f"error: There is no run or capture {ref}." in result.stderr, (
            result.output
        )
        assert "SELECT ref FROM refs" in result.stderr and result.stdout == ""


def test_columns_are_named_where_a_column_was_wrong_and_nowhere_else(ask: Run) -> None:
    assert "DESCRIBE TABLE shows its columns" in ask("sql", "SELECT parameters.nobody FROM parameters").stderr
    for query in ("DROP TABLE runs", "SET threads=9", "SELECT 1; SELECT 2", "SELEC 1"):
        assert "shows its columns" not in ask("sql", query).stderr


@pytest.mark.long
def test_sql_may_begin_with_a_comment(ask: Run) -> None:
    for query in (
        "-- all\nSELECT count(*) AS n FROM captures",
        "--all\n\nSELECT count(*) AS n FROM captures",
        "/* all */ SELECT 2 AS n",
    ):
        for words in (("--json", query), (query, "--timeout", "60", "--json")):
            assert document(ask("sql", *words))["rows"] == [{"n": 2}]
    assert "No such option" in ask("sql", "--memroy=2 GB", "SELECT 1").stderr


@pytest.mark.long
@pytest.mark.parametrize(
    "around", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_sql_in_an_environment_of_ascii(shared: Path, around: dict[str, str]) -> None:
    def said(*words: str, given: str = "") -> str:
        command = [sys.executable, "-m", "forensics", "sql", "--store", str(shared), *words]
        env = {**os.environ, **around}
        return subprocess.run(
            command, input=given.encode(), capture_output=True, env=env, check=True
        ).stdout.decode("ascii")

    assert (
        json.loads(said("--json", "SELECT 'é' AS x"))["rows"]
        == json.loads(said("--json", "-", given="SELECT 'é' AS x"))["rows"]
        == [{"x": "é"}]
    )
    assert said("SELECT 'é' AS x, length('é') AS n").split() == ["x", "n", "?", "1"]


def test_sql_says_what_is_known_of_a_child_that_died(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    result = ask("sql", "SELECT 1")
    assert (
        result.exit_code == 2
        and "ended without an answer" in result.stderr
        and "memory" not in result.stderr.splitlines()[0]
    )


def test_sql_gives_csv(ask: Run) -> None:
    said = ask(
        "sql", "--csv", "SELECT step, loss, [1, 2] AS l, NULL AS n FROM steps ORDER BY step LIMIT 2"
    ).stdout
    assert said.splitlines() == ["step,loss,l,n", '1,9.5,"[1, 2]",', '2,NaN,"[1, 2]",']
    refused = ask("sql", "--csv", "--json", "SELECT 1")
    assert refused.exit_code == 2 and "One answer has one form" in refused.stderr


def test_cells_are_cut_to_a_width_that_is_known_and_whole_in_a_pipe(
    ask: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "SELECT repeat('x', 500) AS long, 1 AS n"
    monkeypatch.delenv("COLUMNS", raising=False)
    assert "x" * 500 in ask("sql", query).stdout
    monkeypatch.setenv("COLUMNS", "80")
    assert "x" * 500 not in ask("sql", query).stdout


@pytest.mark.long
def test_sql_gives_up_in_time(ask: Run) -> None:
    result = ask(
        "sql",
        "--timeout",
        "2",
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range + b.range) = 1",
    )
    assert result.exit_code == 2 and "longer than 2 s" in result.stderr


def test_sql_sees_private_queries(ask: Run, tmp_path: Path) -> None:
    (tmp_path / "how-many.sql").write_text(
        "-- How many captures there are.\nSELECT count(*) AS n FROM captures\n"
    )
    assert document(ask("sql", "--json", "--queries", str(tmp_path), "FROM how_many()"))["rows"] == [{"n": 2}]
    assert ask("sql", "FROM how_many()").exit_code == 2


def test_sql_follows_the_store(run: Run, store: Store) -> None:
    counted = (
        "SELECT (SELECT count(*) FROM captures) AS c, (SELECT count(*)"
        " FROM tensors) AS t, (SELECT count(*) FROM steps) AS s"
    )
    assert document(run("sql", "--json", counted))["rows"] == [{"c": 2, "t": 3, "s": 3}]
    run("rm", "night@loaded")
    assert document(run("sql", "--json", counted))["rows"] == [{"c": 1, "t": 2, "s": 3}]
    verdicts.remember(
        store,
        "night",
        {"a": "x", "b": "y", "verdict": "faulty", "findings": [{"id": "f", "explains": ["g"]}, {"id": "g"}]},
    )
    found = document(run("sql", "--json", "SELECT id, explained_by FROM findings ORDER BY id"))
    assert found["rows"] == [{"id": "f", "explained_by": None}, {"id": "g", "explained_by": "f"}]


def test_sql_leaves_out_what_is_damaged_and_says_so(run: Run, store: Store) -> None:
    member = store.captures / "night@end/tables/placements.jsonl.gz"
    member.write_bytes(b"x" + member.read_bytes()[1:])
    result = run("sql", "--json", "SELECT capture FROM captures")
    assert (
        document(result)["rows"] == [{"capture": "night@loaded"}]
        and "captures/night@end is left out" in result.stderr
    )


def test_other_clients_read_the_catalogue(run: Run, store: Store) -> None:
    import duckdb

    run("sql", "SELECT 1")
    with duckdb.connect(str(store.root / "catalog.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM parameters").fetchall() == [(4,)]
        assert connection.execute(
            "SELECT count(*) FROM parameter_diff('night@loaded', 'night@end')"
        ).fetchall() == [(2,)]


# -- verify, rm, gc


def test_verify(run: Run, store: Store) -> None:
    assert "as recorded" in run("verify").output
    told = document(run("verify", "--json", "night"))
    assert told["ok"] and (told["captures"], told["tensors"]) == (2, 3)
    pack, *_ = (store.root / "packs" / name for name in store.packs.names())
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)
    damaged = run("verify")
    assert (
        damaged.exit_code == 3
        and "not what was recorded" in damaged.output
        and "damaged: 1 problem in 2 captures" in damaged.output
    )
    assert "1 capture, " in run("verify", "night@end").output
    member = store.captures / "night@end/tables/placements.jsonl.gz"
    member.write_bytes(member.read_bytes()[:-1])
    told = document(run("verify", "night", "--json"))
    assert not told["ok"] and any("placements" in p["what"] for p in told["problems"])


def test_damage_ends_with_3(run: Run, store: Store) -> None:
    (store.captures / "night@end/tables/placements.jsonl.gz").unlink()
    result = run("show", "night")
    assert result.exit_code == 3 and "placements" in result.stderr and result.stdout == ""


def test_rm_and_gc(run: Run, store: Store) -> None:
    assert run("rm", "--dry-run", "night@end").exit_code == 0 and (store.captures / "night@end").is_dir()
    assert "removed night@end: 1 capture" in run("rm", "night@end").output
    (store.captures / "day@end~999999999-gone").mkdir()
    (store.captures / "day@end~999999999-gone" / "part").write_bytes(bytes(99))
    before = store.packs.nbytes()
    announced = document(run("gc", "--dry-run", "--json"))["freed"]
    assert announced >= 400 + 99 and Store(store.root).packs.nbytes() == before
    told = document(run("gc", "--json"))
    assert told["freed"] == announced and told["kept"] < before and document(run("verify", "--json"))["ok"]
    assert run("rm", "night").exit_code == 0 and run("gc").exit_code == 0
    assert Store(store.root).packs.digests() == set() and Store(store.root).run_names() == set()


def test_what_was_said_of_a_run_is_forgotten_when_a_part_of_it_goes(run: Run, store: Store) -> None:
    verdicts.remember(store, "night", {"verdict": "faulty", "findings": []})
    assert run("rm", "--dry-run", "night@end").exit_code == 0 and "faulty" in run("list").output
    assert run("rm", "night@end").exit_code == 0 and "faulty" not in run("list").output


def test_rm_is_all_or_nothing_and_only_of_the_store(run: Run, store: Store) -> None:
    assert run("rm", "night@end", "nothing").exit_code == 2 and (store.captures / "night@end").is_dir()
    assert (
        run("rm", "snapshots/base").exit_code == 2
        and run("rm", str(store.captures / "night@end")).exit_code == 2
    )


def test_rm_of_what_is_damaged(run: Run, store: Store) -> None:
    (store.captures / "night@end" / "manifest.json").write_text("{}")
    assert run("show", "night").exit_code == 3
    assert run("gc").exit_code == 3  # its tensors are not known, so none is freed
    assert run("rm", "night@end").exit_code == 0 and run("show", "night").exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("show", "night"),
        ("verify", "night"),
        ("verify",),
        ("diagnose", "night"),
        ("diff", "night@loaded", "night@end"),
    ],
)
def test_a_run_whose_manifest_is_lost_is_damaged_everywhere(
    run: Run, store: Store, words: tuple[str, ...]
) -> None:
    (store.runs / "night" / "manifest.json").unlink()
    assert run(*words).exit_code == 3
    bundle = store.root.parent / "bug.zip"
    assert run("bundle", "night", "-o", str(bundle)).exit_code == 3 and not bundle.exists()


def test_gc_waits_for_a_running_capture_and_clears_what_was_left(run: Run, store: Store) -> None:
    spool = store.spool / "day"
    spool.mkdir(parents=True)
    (spool / "options.json").write_text(json.dumps({"run": "day", "parent": os.getpid()}))
    result = run("gc")
    assert result.exit_code == 2 and "being written: day" in result.stderr
    shutil.rmtree(spool)
    left = store.captures / "old@end~999999999-abc"
    left.mkdir()
    (left / "x").write_bytes(b"123")
    assert document(run("gc", "--json"))["freed"] == 3 and not left.exists()


def test_rm_says_of_each_ref_what_it_takes(run: Run) -> None:
    apart = [run("rm", "--dry-run", ref).stdout for ref in ("night@end", "night@loaded")]
    assert run("rm", "--dry-run", "night@end", "night@loaded").stdout == "".join(apart)
    freed = [
        document(run("rm", "--dry-run", "--json", *refs))["freed"]
        for refs in (["night@end"], ["night@end", "night@loaded"])
    ]
    assert 0 < freed[0] < freed[1]


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a directory")
def test_a_store_that_may_only_be_read(store: Store, tmp_path: Path) -> None:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return forensics(*words, FORENSICS_STORE=str(store.root))

    model, out = tmp_path / "model.safetensors", tmp_path / "night.zip"
    shutil.copyfile(store.packs.root / store.packs.names()[0], model)
    with readable_only(store.root):
        for words in (["rm", "night"], ["gc"], ["capture", str(model)]):
            done = call(*words)
            assert done.returncode == 2 and done.stderr.startswith(
                "error: The store cannot be written: Read-only file system."
            ), words
            assert (
                done.stderr.count("\n") == 3
                and "Make it writable" in done.stderr
                and "Free some space" not in done.stderr
            )
        sent = call("bundle", "night", "-o", str(out), "--json")
        assert sent.returncode == 0 and json.loads(sent.stdout)["map"] is None and out.is_file()
        assert (
            sent.stderr
            == f"forensics: what each redacted text was is not kept: Read-only file system ({store.root}).\n"
        )
        for words in (
            ["list"],
            ["show", "night"],
            ["verify"],
            ["gc", "--dry-run"],
            ["rm", "--dry-run", "night"],
        ):
            assert call(*words).returncode == 0, words
    (tmp_path / "still").mkdir()
    with readable_only(tmp_path / "still"):
        opened = forensics("open", str(out), "--store", str(tmp_path / "still" / "store"))
    assert (
        opened.returncode == 2
        and "Read-only file system" in opened.stderr
        and "Make it writable" in opened.stderr
    )


# -- through a process


def forensics(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forensics", *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **variables}
    )


def test_store_from_the_environment_and_no_colour_in_a_pipe(store: Store) -> None:
    done = forensics("list", FORENSICS_STORE=str(store.root))
    assert done.returncode == 0 and "night" in done.stdout and "\x1b" not in done.stdout and done.stderr == ""


def completed(store: Store, line: str) -> list[str]:
    """What bash is offered for the last word of a line."""
    words = {"FORENSICS_STORE": str(store.root), "_FORENSICS_COMPLETE": "bash_complete"}
    return forensics(COMP_WORDS=line, COMP_CWORD=str(line.count(" ")), **words).stdout.splitlines()


@pytest.mark.parametrize(
    "command", ["show", "diff", "diagnose", "report", "query tensors", "bundle", "verify", "rm"]
)
def test_completion_of_refs(store: Store, command: str) -> None:
    assert completed(store, f"forensics {command} night@") == ["plain,night@loaded", "plain,night@end"]


def test_completion_of_queries_and_of_paths(store: Store) -> None:
    assert "plain,padding-in-loss" in completed(store, "forensics query padding-")
    assert completed(store, "forensics diagnose ./mod") == ["file,./mod"]


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_takes_a_ref_for_one_word(store: Store) -> None:
    lines = forensics(_FORENSICS_COMPLETE="bash_source").stdout
    asked = 'COMP_WORDBREAKS=" @:"; eval "$1"; echo "[$COMP_WORDBREAKS]"; complete -p forensics'
    done = subprocess.run(["bash", "-c", asked, "bash", lines], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("[ :]\n") and "_forensics_completion" in done.stdout, done.stderr


def test_help_has_examples() -> None:
    for name in ("list", "show", "sql", "verify", "rm", "gc"):
        text = CliRunner().invoke(main, [name, "--help"]).output
        assert "Examples:" in text and "--json" in text and "--store" in text
