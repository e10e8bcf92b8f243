"""Capture without the command: in a script, early and late, by FORENSICS=, and in a real kernel.

After it all is as before.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from forensics.store.store import Store
from tests.support import tiny
from tests.support.command import LOOP, environment, forensics, write

SITE = Path(__file__).parents[2] / "forensics" / "watch" / "site"
MADE, TRAINED = textwrap.dedent(LOOP).split("for i in range(3):")
TRAINED = "for i in range(3):" + TRAINED


def run(directory: Path, text: str, **more: str) -> subprocess.CompletedProcess[str]:
    write(directory, text, "program.py")
    return subprocess.run(
        [sys.executable, "program.py"], cwd=directory, env=environment(more), capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def taught(directory: Path, name: str) -> str:
    """What is known of each step and token, but for times."""
    columns = "step, row, position, target_id, round(weight, 6) AS weight, role, relation"
    done = forensics(
        directory, "sql", f"SELECT {columns} FROM loss_tokens WHERE run = '{name}' ORDER BY ALL", "--json"
    )
    assert done.status == 0, done.err
    return done.out


LATE = (
    MADE
    + """
import forensics
from mlx.nn import value_and_grad as copied
def standing():
    return [nn.value_and_grad, copied, mx.compile, optim.SGD.__dict__.get("update"), optim.Optimizer.update,
            nn.Module.update, Net.__call__, Net.__dict__.get("__del__"), sys.excepthook, list(sys.meta_path),
            dict(__import__("os").environ)]
before = standing()
watching = forensics.capture("late")
assert copied is nn.value_and_grad is not before[0], "a copy under another name is rebound"
"""
    + TRAINED
    + """
watching.stop()
assert standing() == before, "every hook is gone"
assert [n for n in sys.modules if n.startswith("_forensics")] == ["_forensics_watch.permanent"]
assert watching.stop() is watching, "a second stop does nothing"
copied(model, lambda m: m(x).sum())(model)
print(watching.diagnosis.verdict, file=sys.stderr)
"""
)


@pytest.mark.long
def test_a_capture_that_begins_late_sees_what_the_command_sees_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    whole = forensics(
        tmp_path, "capture", "--name", "whole", "--", sys.executable, str(write(tmp_path, LOOP))
    )
    late = run(tmp_path, LATE)
    assert late.returncode == 0, late.stderr
    assert late.stdout == whole.out
    assert late.stderr.splitlines()[-1] == "healthy"
    assert len(taught(tmp_path, "late")) > 500
    assert taught(tmp_path, "late") == taught(tmp_path, "whole").replace("whole", "late")
    assert whole.points("late") == whole.points("whole")


EARLY = (
    "import forensics, sys\nforensics.capture('early')\n"
    + textwrap.dedent(LOOP)
    + "\nif sys.argv[1:]: sys.exit(3)\n"
)


@pytest.mark.long
def test_a_capture_that_begins_early_and_is_never_stopped_is_sealed_at_the_end(tmp_path: Path) -> None:
    done = run(tmp_path, EARLY)
    assert done.returncode == 0 and "forensics: early: loaded, start, end" in done.stderr, done.stderr
    assert forensics(tmp_path, "diagnose", "early").status == 0


def test_an_exception_in_the_block_is_the_programs_own_and_stands_in_the_run(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "import forensics\nwith forensics.capture('broken'):\n"
        + textwrap.indent(textwrap.dedent(LOOP) + "raise KeyError('mine')\n", "    "),
    )
    assert done.returncode == 1 and "KeyError: 'mine'" in done.stderr
    assert forensics(tmp_path, "list").store.run("broken").captures
    assert Store(tmp_path / ".forensics").runs.joinpath("broken").is_dir()


@pytest.mark.long
def test_a_function_compiled_before_works_as_it_did_and_the_run_says_that_it_was_not_seen(
    tmp_path: Path,
) -> None:
    program = (
        MADE
        + """
state = [model.state, optimizer.state]
@mx.compile
def quick(z): return z * 2
from functools import partial
def train():
    loss, gradients = step(model)
    optimizer.update(model, gradients)
    return loss
train = partial(mx.compile, inputs=state, outputs=state)(train)
import forensics
watching = forensics.capture("compiled", quiet=True) if {watched} else None
for i in range(3):
    loss = train()
    mx.eval(state, loss)
    print(loss.item())
if watching:
    watching.stop()
    assert watching.diagnosis.verdict == "inconclusive", watching.diagnosis
    print("the loss at its tokens" in str(watching.diagnosis), file=sys.stderr)
loss = train()
print(loss.item())
"""
    )
    watched, plain = (
        run(tmp_path / str(each), program.replace("{watched}", str(each))) for each in (True, False)
    )
    assert watched.returncode == plain.returncode == 0, watched.stderr
    assert watched.stdout == plain.stdout and watched.stderr.strip() == "True"


@pytest.mark.parametrize(
    "call, said",
    [
        ("'a b'", "is no name for a run"),
        ("'x', tensors='some'", "is none of all, new"),
        ("'x', every=0", "is no count"),
        ("'x', prompts='missing.txt'", "prompts cannot be read"),
        ("'x', scorers='judge'", "module:function"),
    ],
)
def test_what_the_command_would_refuse_is_refused_with_what_to_do(
    tmp_path: Path, call: str, said: str
) -> None:
    done = run(tmp_path, f"import forensics\nforensics.capture({call})\n")
    last = done.stderr.strip().splitlines()[-3:]
    assert done.returncode == 1 and said in done.stderr, done.stderr
    assert last[-1].startswith("  do: "), "the exception carries its hint"


def test_a_second_capture_meanwhile_is_refused_and_within_a_watched_command_nothing_is_done_twice(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, "import forensics\nforensics.capture('one')\nforensics.capture('two')\n")
    assert "The capture one is running in this process." in done.stderr
    within = forensics(tmp_path, "capture", "--", sys.executable, str(write(tmp_path, EARLY, "twice.py")))
    assert within.status == 0 and "watched already, as twice" in within.err
    assert "early" not in [run["run"] for run in _listed(tmp_path)]


def _listed(directory: Path) -> list[dict[str, Any]]:
    done = run(
        directory, "import forensics, json\nprint(json.dumps([{'run': r['run']} for r in forensics.list()]))"
    )
    return list(json.loads(done.stdout))


@pytest.mark.long
def test_the_environment_asks_for_a_watch_of_a_program_that_an_app_starts(tmp_path: Path) -> None:
    plain = run(tmp_path, LOOP)
    done = run(tmp_path, LOOP, FORENSICS="app", PYTHONPATH=str(SITE))
    assert (done.returncode, done.stdout) == (0, plain.stdout)
    assert "forensics: app: loaded, start, end" in done.stderr
    assert forensics(tmp_path, "diagnose", "app").status == 0
    other = run(tmp_path, "print(1)", FORENSICS="other", PYTHONPATH=str(SITE))
    assert (other.returncode, other.stdout, other.stderr) == (
        0,
        "1\n",
        "",
    ), "a Python without mlx leaves nothing"
    bad = run(tmp_path, LOOP, FORENSICS="no name", PYTHONPATH=str(SITE))
    assert (bad.returncode, bad.stdout) == (0, plain.stdout) and "is no name for a run" in bad.stderr
    assert [each["run"] for each in _listed(tmp_path)] == ["app"]


def test_the_line_that_is_installed_for_every_python_does_nothing_until_it_is_asked(tmp_path: Path) -> None:
    line = (SITE / "mlx_forensics.pth").read_text().strip()
    assert "\n" not in line and line.startswith("import ")
    shown = "print(sorted(n for n in set(sys.modules) - have if 'forensics' in n), sys.meta_path[0])"
    text = f"import sys\nsys.path.append({str(SITE.parents[2])!r})\nhave = set(sys.modules)\n{line}\n{shown}"
    asleep, awake = (
        subprocess.run(
            [sys.executable, "-S", "-c", text],
            env=environment(more),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for more in ({}, {"FORENSICS": "app"})
    )
    assert asleep.startswith("[] ")
    assert "forensics.watch.unattended" in awake and "_Waiting" in awake


def test_the_run_button_of_an_ide_captures_whole(tmp_path: Path) -> None:
    """What launch.json in docs/python.md starts: the program under debugpy, the name in the environment."""
    pytest.importorskip("debugpy")
    (tmp_path / "train.py").write_text(MADE + TRAINED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-Xfrozen_modules=off", "-m", "debugpy", "--listen", f"127.0.0.1:{port}", "train.py"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env=environment({"FORENSICS": "button", "PYTHONPATH": str(SITE)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "helper failed" not in done.stderr, done.stderr
    run = Store(tmp_path / ".forensics").run("button")
    assert [capture.ref.partition("@")[2] for capture in run.captures] == ["loaded", "start", "end"]


# -- a real kernel -------------------------------------------------------------------------------------------

FAULTY = """for i in range(3):
    loss, gradients = step(model)
    mx.eval(loss)
"""


def notebook(directory: Path, *cells: str) -> list[Any]:
    """Run the cells in a kernel of their own; the cells with their outputs."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(
        book,
        timeout=120,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(directory)}},
    )
    client.execute()
    return list(book.cells)


def shown(cell: Any) -> str:
    """Everything that a cell printed or showed."""
    return "".join(
        output.get("text", "")
        + str(output.get("data", {}).get("text/plain", ""))
        + "\n".join(output.get("traceback", ()))
        for output in cell.outputs
    )


def test_a_notebook_captures_cells_and_a_finding_names_the_cell_and_its_line(tmp_path: Path) -> None:
    cells = notebook(
        tmp_path,
        "import sys, os\nkept = (sys.excepthook, list(sys.meta_path), dict(os.environ))\n" + MADE,
        "import forensics\nwatching = forensics.capture('night')",
        FAULTY,
        "watching.stop()",
        "found = watching.diagnosis\nprint(found.verdict, [(f.id, f.where, f.source) for f in found.findings"
        " if f.severity == 'error'])",
        "print(kept == (sys.excepthook, list(sys.meta_path), dict(os.environ)), [r['run'] for r in"
        " forensics.list()])",
        "forensics.open('nihgt')",
    )
    assert "faulty" in shown(cells[4]), [shown(c) for c in cells]
    assert "optimizer-never-stepped" in shown(cells[4])
    assert "In[3]:2" in shown(cells[4]) and "step(model)" in shown(cells[4])
    assert shown(cells[5]).strip() == "True ['night']"
    assert "do: " in shown(cells[6]), "an exception carries its hint"


def test_the_cell_magic_captures_one_cell_and_shows_what_came_of_it(tmp_path: Path) -> None:
    cells = notebook(
        tmp_path,
        MADE,
        "%load_ext forensics",
        "%%capture_run first --every 1\n" + TRAINED,
        "%%capture_run second --quiet\n1/0",
        "%%capture_run third --evry 1\npass",
        "%%capture_run faulty --quiet\n" + FAULTY,
        "import forensics\nprint([(f.id, f.where) for f in forensics.diagnose('faulty').findings if"
        " f.where])",
        "%unload_ext forensics",
        "%%capture_run fourth\npass",
    )
    html = str([output.get("data", {}).get("text/html", "") for output in cells[2].outputs])
    assert "HEALTHY" in html.upper() and "0 3.0982" in shown(cells[2]), shown(cells[2])
    assert "ZeroDivisionError" in shown(cells[3])
    assert "evry" in shown(cells[4]) and "do: " in shown(cells[4])
    assert "In[6]:3" in shown(cells[6]), (
        "the line of the cell as the notebook shows it, the magic being its first"
    )
    assert "not found" in shown(cells[8])
    store = Store(tmp_path / ".forensics")
    assert "step-1" in [capture.ref.partition("@")[2] for capture in store.run("first").captures]


LORA = """
import json, sys
from pathlib import Path
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate as answered, load
from mlx_lm.tuner.utils import linear_to_lora_layers as adapted
mx.random.seed(0)
model, tokenizer = load("base")
CAPTURE
setting = {"rank": 4, "scale": 8.0, "dropout": 0.0}
model.freeze()
adapted(model, 2, setting)
optimizer = optim.Adam(1e-3)
chat = [{"role": "user", "content": "What color is the sky?"},
        {"role": "assistant", "content": "The sky is blue."}]
x = mx.array([tokenizer.apply_chat_template(chat, return_dict=False)])
step = nn.value_and_grad(model, lambda m, x: nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean())
for _ in range(4):
    loss, gradients = step(model, x)
    optimizer.update(model, gradients)
    mx.eval(model.parameters(), optimizer.state)
out = Path("adapters")
out.mkdir(exist_ok=True)
mx.save_safetensors(str(out / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": setting}
(out / "adapter_config.json").write_text(json.dumps(config))
prompt = tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False)
print(repr(answered(model, tokenizer, prompt=prompt, max_tokens=6)), loss.item())
"""


@pytest.mark.long
def test_a_model_that_was_loaded_before_by_a_copied_function_is_known_and_reloaded(tmp_path: Path) -> None:
    tiny.build(tmp_path / "base")
    path = write(tmp_path, LORA.replace("CAPTURE", ""))
    whole = forensics(tmp_path, "capture", "--name", "whole", "--", sys.executable, str(path))
    late = run(
        tmp_path,
        LORA.replace("CAPTURE", "import forensics\nwatching = forensics.capture('late')")
        + "watching.stop()\n",
    )
    assert late.returncode == 0 and late.stdout == whole.out, late.stderr
    assert (
        whole.points("late")
        == whole.points("whole")
        == ["loaded", "adapted", "start", "end", "saved", "reloaded"]
    )
    assert taught(tmp_path, "late") == taught(tmp_path, "whole")
    judged = [json.loads(forensics(tmp_path, "diagnose", name, "--json").out) for name in ("whole", "late")]
    assert [each["verdict"] for each in judged] == ["healthy", "healthy"]
    assert [{c["id"] for c in each["clean"]} for each in judged][0] == {c["id"] for c in judged[1]["clean"]}


def test_a_command_of_ours_is_not_watched_though_the_shell_asks_for_it(tmp_path: Path) -> None:
    tiny.build(tmp_path / "base")
    done = forensics(tmp_path, "capture", "./base", env={"FORENSICS": "shell"})
    assert done.status == 0, done.err
    assert [each["run"] for each in _listed(tmp_path)] == ["base"]
