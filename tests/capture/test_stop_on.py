"""capture --stop-on and --tell: a run is judged while it goes on.

Where a finding is certain it is interrupted as Ctrl-C does it.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from forensics.capture.beside import STEPS, Beside
from forensics.capture.partial import sealed
from forensics.judge import library
from forensics.judge.early import askable, certain
from tests.support import command, training, watched

PADDED = """
batch = mx.concatenate([batch, mx.zeros((4, 6), batch.dtype)], axis=1)

def padded(model, batch):
    return nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]).mean()
"""
LOOP = """
import os, sys, time
lora()
value_and_grad = nn.value_and_grad(model, padded if "padded" in sys.argv else loss)
optimizer = optim.AdamW(1e-3)

def train(steps, wait=0.0, at=lambda i: None):
    for i in range(steps):
        value, gradients = value_and_grad(model, batch)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
        at(i)
        time.sleep(wait)
    print("trained to its end", flush=True)

def verdict(i):
    if i == 4:
        open(os.path.join(os.environ["FORENSICS_SPOOL"], "stop.json"), "w").close()
"""
SAVED = """
try:
    train({steps}, {wait})
except KeyboardInterrupt:
    print("interrupted", flush=True)
finally:
    mx.save_safetensors("adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
"""


def text(body: str) -> str:
    return training.HEAD + PADDED + LOOP + textwrap.dedent(body)


def ran(name: str, body: str, *words: str, options: dict[str, Any] | None = None) -> watched.Ran:
    """A program under the watcher alone, which looks for a verdict as under --stop-on."""
    place = training.laid_out(f"stop-{name}")
    return watched.run(place, text(body), *words, options={"judged_at": STEPS, **(options or {})})


@pytest.mark.long
@pytest.mark.parametrize(("loss", "found"), [("padded", ["padding-in-loss"]), ("right", [])])
def test_what_is_certain_after_three_steps_of_a_trainer_and_of_its_healthy_twin(
    tmp_path: Path, loss: str, found: list[str]
) -> None:
    spool = ran(f"certain-{loss}", "train(4)", loss).spool
    store, run = sealed(spool, tmp_path)
    assert [each.id for each in certain(store, run, "warning", tmp_path)] == found


@pytest.mark.long
def test_a_compiled_step_is_written_out_when_it_is_due_and_judged_as_another(tmp_path: Path) -> None:
    body = """
        state = [model.state, optimizer.state]
        update = lambda b: optimizer.update(model, value_and_grad(model, b)[1])
        step = mx.compile(update, inputs=state, outputs=state)
        for i in range(4):
            step(batch)
            mx.eval(state)
    """
    done = ran("compiled", body, "padded")
    assert done.rows("judged") == [{"step": 1}, {"step": 3}]
    store, run = sealed(done.spool, tmp_path)
    assert [each.id for each in certain(store, run, "error", tmp_path)] == ["padding-in-loss"]


@pytest.mark.long
def test_what_the_user_accepts_stops_nothing(tmp_path: Path) -> None:
    spool = ran("accepted", "train(4)", "padded").spool
    store, run = sealed(spool, tmp_path)
    (tmp_path / "forensics.toml").write_text('[[allow]]\nid = "padding-in-loss"\nreason = "we mean it"\n')
    assert certain(store, run, "error", tmp_path) == []


@pytest.mark.long
def test_a_spool_is_read_while_it_is_written_and_left_as_it_is(tmp_path: Path) -> None:
    spool = ran("torn", "train(4)", "padded").spool
    with (spool / "p0" / "steps.jsonl").open("a") as file:
        file.write('{"model":"m0","step":9')
    before = {path: path.stat().st_size for path in spool.rglob("*") if path.is_file()}
    sealed(spool, tmp_path)
    assert {path: path.stat().st_size for path in spool.rglob("*") if path.is_file()} == before


IGNORED = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
HANDLED = "import signal; signal.signal(signal.SIGINT, lambda *_: print('handler', flush=True))\n"
THREAD = """
import threading
mx.eval(model.parameters(), batch)

def work():
    with mx.stream(mx.new_stream(mx.cpu)):
        train(60, 0.05, verdict)

worker = threading.Thread(target=work, daemon=True)
worker.start()
try:
    worker.join()
except KeyboardInterrupt:
    print("interrupted", flush=True)
os._exit(0)  # mlx aborts where a process exits while another thread computes, with us or without
"""
PLAIN = SAVED.format(steps=12, wait="0.0, verdict")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("plain", PLAIN, ["interrupted"]),
        ("ignored", IGNORED + PLAIN, ["interrupted"]),
        ("handled", HANDLED + PLAIN, ["handler", "interrupted"]),
        ("thread", THREAD, ["interrupted"]),
    ],
)
def test_the_program_is_interrupted_at_its_next_step_and_its_own_handlers_run(
    name: str, body: str, says: list[str]
) -> None:
    done = ran(name, body)
    assert done.stdout.split() == says and done.status == 0
    if name != "thread":
        assert (done.spool.parent / "adapters.safetensors").exists()
        assert len(done.rows("steps")) == (7 if name == "handled" else 5)


@pytest.mark.long
def test_a_handler_that_ends_the_training_is_not_interrupted_again() -> None:
    body = """
        import signal
        ended = []
        signal.signal(signal.SIGINT, lambda *_: ended.append(1))
        for i in range(12):
            value, gradients = value_and_grad(model, batch)
            optimizer.update(model, gradients)
            verdict(i)
            if ended:
                break
        print("ended at", i)
    """
    assert ran("graceful", body).stdout.split() == ["ended", "at", "5"]


@pytest.mark.long
def test_without_the_options_nothing_is_looked_for() -> None:
    done = ran("without", PLAIN, options={"judged_at": None})
    assert done.stdout.split() == ["trained", "to", "its", "end"] and not done.rows("judged")


def test_capture_stops_a_faulty_run_and_keeps_what_it_saved(tmp_path: Path) -> None:
    place = training.laid_out("stop-command")
    command.write(place, text(SAVED.format(steps=600, wait=0.1)))
    words = ("capture", "--stop-on", "error", "--", sys.executable, "train.py", "padded")
    done = command.forensics(place, *words)
    assert done.status == 1 and done.out.split() == ["interrupted"]
    assert "stopped train: after step" in done.err and "padding-in-loss: Padding carries" in done.err
    assert (place / "adapters.safetensors").exists() and "saved" in done.points("train")


@pytest.mark.long
def test_tell_hands_the_finding_to_a_command_and_the_run_goes_on(tmp_path: Path) -> None:
    place = training.laid_out("stop-tell")
    command.write(place, text("train(5, 0.1)"))
    command.write(
        place, "import sys; open('told.json', 'w').write(sys.stdin.read()); print('told')", "tell.py"
    )
    words = ("capture", "--tell", f"{sys.executable} tell.py", "--", sys.executable, "train.py", "padded")
    done = command.forensics(place, *words)
    assert done.status == 0 and done.out.splitlines() == ["trained to its end"] and "told" in done.err
    told = json.loads((place / "told.json").read_text())
    assert (told["run"], told["finding"]["id"]) == ("train", "padding-in-loss") and told["step"] in STEPS


def test_a_command_to_tell_that_fails_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    for words in ("no-such-command-anywhere", f"{sys.executable} -c 'raise SystemExit(3)'"):
        Beside("error", False, words, said.append)._tell({"finding": {}})
    assert len(said) == 2 and "No such file" in said[0] and "exit status 3" in said[1]


def test_detectors_that_are_asked_early_say_why_and_hang_on_nothing_that_comes_later() -> None:
    """What waits for the end, for a save, a generation or the last state is no fact of a run under way."""
    ours = library.load()
    later = {
        "end",
        "saved",
        "reloaded",
        "generations",
        "asked",
        "written",
        "deltas",
        "fusions",
        "probes",
        "logits",
    }
    asked = askable(ours)
    assert {"padding-in-loss", "token-id-out-of-range"} <= {each.name for each in asked}
    for each in asked:
        assert (
            not later & set(each.names("needs"))
            and "moves" not in each.reads
            or each.name == "padding-in-loss"
        )
        assert each.confidence == "certain"
