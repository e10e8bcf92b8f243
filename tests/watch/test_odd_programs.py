"""Programs that do odd things to the process around them: the same words, status and files as without us."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.support import watched

HEAD = """
import hashlib, os, random, resource, signal, sys
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim, numpy as np
from mlx.utils import tree_flatten
random.seed(7); np.random.seed(7); mx.random.seed(7)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.a, self.o = nn.Embedding(64, 16), nn.Linear(16, 16), nn.Linear(16, 64)
    def __call__(self, x):
        return self.o(nn.gelu(self.a(self.e(x))))
def loss(m, x): return nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean()
def train(m, n, function=loss, each=None):
    step, o = nn.value_and_grad(m, function), optim.AdamW(1e-2)
    for i in range(n):
        value, grads = step(m, mx.array(np.random.RandomState(i).randint(0, 64, (4, 9))))
        o.update(m, grads); mx.eval(m.trainable_parameters(), o.state); print(i, repr(value.item()))
        if each: each(i)
def tell(m):
    weights = [np.array(array).tobytes() for _, array in sorted(tree_flatten(m.trainable_parameters()))]
    print(hashlib.sha256(b"".join(weights)).hexdigest(), random.random(), np.random.rand(),
          mx.random.uniform().item(), flush=True)
m = Net()
"""
PROGRAMS = {
    # a file that grows beyond the limit ends the process where the signal has its default
    "files may not grow": """
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        train(m, 2); resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); train(m, 4); tell(m)
        """,
    # nothing computes it, plain: 4 TB
    "a parameter that no memory holds": """
        m.huge = mx.zeros((1 << 20, 1 << 20)); m.freeze(keys=["huge"], recurse=False)
        train(m, 3); tell(m); print(mx.get_peak_memory() < 100e6)
        """,
    "signals, forks and alarms in the midst": """
        class Stop(Exception): pass
        def stop(number, frame): raise Stop
        def child(i):
            os.kill(os.getpid(), signal.SIGUSR1)
            if i == 1:
                number = os.fork()
                if not number: os._exit(3)
                print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]))
        hits = []
        signal.signal(signal.SIGUSR1, lambda number, frame: hits.append(number))
        signal.signal(signal.SIGALRM, stop)
        train(m, 3, each=child); print(hits)
        try: signal.setitimer(signal.ITIMER_REAL, 0.2); signal.pause()
        except Stop: print("stopped")
        def ended(number, frame): tell(m); sys.exit(7)
        signal.signal(signal.SIGTERM, ended); os.kill(os.getpid(), signal.SIGTERM); signal.pause()
        """,
    "an audit hook that forbids": """
        def forbids(event, words):
            if event in ("os.mkdir", "os.rename") or event == "open" and "spool" in str(words[0]):
                raise RuntimeError("forbidden")
        train(m, 1); sys.addaudithook(forbids); train(m, 3); tell(m)
        """,
    "another user, a frozen clock, no room for files": """
        import time
        time.time = time.monotonic = time.perf_counter = lambda: 0.0
        train(m, 2); os.umask(0o777); files = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
            while True: files.append(open(os.devnull))
        except OSError as error: print(error.errno)
        train(m, 2); files.clear()
        if os.getuid() == 0: os.setgid(65534); os.setuid(65534)
        train(m, 2); tell(m)
        """,
    "a library that is taken apart": """
        import importlib, mlx.optimizers, mlx.nn.losses
        train(m, 2); held = mx.eval; del mx.eval
        try: mx.eval(m)
        except AttributeError as error: print(error)
        mx.eval = held
        importlib.reload(mlx.optimizers); importlib.reload(nn.losses); importlib.reload(nn)
        train(m, 2); del mx.load, mx.save_safetensors, nn.Module.save_weights; train(m, 1); tell(m)
        sys.stdin.close(); os.close(0); sys.stderr.flush()
        del nn.value_and_grad; train(m, 1)
        """,
    "a module that refuses every question": """
        class Shy(Net):
            def no(self, *_): raise RuntimeError("asked")
            __eq__ = __bool__ = __repr__ = __len__ = no
            def __hash__(self): print("hash"); return 5
            def __getattr__(self, name):
                if name == "magic": print("magic")
                return super().__getattr__(name)
            @property
            def weights(self): print("read"); return self.e.weight
        shy = Shy()
        step, o = nn.value_and_grad(shy, loss), optim.SGD(0.1)
        for i in range(3):
            value, grads = step(shy, mx.array([[1, 2, 3]]))
            o.update(shy, grads); print(repr(value.item()), shy.weights.shape)
        tell(shy)
        """,
    "it replaces itself, and what it is": """
        if len(sys.argv) < 2:
            train(m, 2); sys.stdout.flush(); os.execv(sys.executable, [sys.executable, "program.py", "again"])
        m.__class__ = type("Other", (Net,), {"__call__": lambda self, x: Net.__call__(self, x) * 2})
        train(m, 2); tell(m); sys.stdout = sys.stderr = None; os._exit(9)
        """,
}
SHORT = ("files may not grow", "a parameter that no memory holds")


@pytest.mark.parametrize(
    "name", [name if name in SHORT else pytest.param(name, marks=pytest.mark.long) for name in PROGRAMS]
)
def test_an_odd_program_is_as_without_us(name: str, tmp_path: Path) -> None:
    program = HEAD + textwrap.dedent(PROGRAMS[name])
    plain = watched.run(tmp_path / "plain", program, watch=False)
    seen = watched.run(tmp_path / "watched", program)
    assert plain.stdout, plain.stderr
    told = [run.stderr.replace(str(run.spool.parent), "") for run in (seen, plain)]
    assert (seen.status, seen.stdout, told[0]) == (plain.status, plain.stdout, told[1])
    assert seen.points(), "it was watched"


def test_what_needs_more_memory_than_is_free_is_not_computed_for_a_look(tmp_path: Path) -> None:
    """The array is small here, and the memory that is said to be free is smaller."""
    little = """
        if "_forensics_watch" in sys.modules:
            import importlib
            importlib.import_module("_forensics_watch.capture.budget")._free_memory = lambda: 1000.0
        m.huge = mx.zeros((64, 64)) + 1; m.freeze(keys=["huge"], recurse=False)
        mx.eval(m.trainable_parameters()); train(m, 2)
        """
    seen = watched.run(tmp_path, HEAD + textwrap.dedent(little))
    assert seen.status == 0, seen.stderr
    rows = {row["name"]: row for row in seen.of("end", "placements")}
    assert rows["huge"]["digest"] is None and rows["huge"]["error"].startswith("MemoryError")
    assert all(row["digest"] for name, row in rows.items() if name != "huge")


OWN = ("bisect", "dis", "fractions", "hashlib", "inspect", "json", "platform", "resource", "statistics")
"""What the watcher imports of the standard library, and a loop of mlx does not."""


def test_files_named_as_the_standard_library_are_the_programs_alone(tmp_path: Path) -> None:
    program = """
        import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
        mx.random.seed(7)
        m, o = nn.Linear(3, 3), optim.SGD(0.1)
        step = nn.value_and_grad(m, lambda m, x: m(x).sum())
        for i in range(2):
            value, grads = step(m, mx.ones((2, 3)) * i); o.update(m, grads); mx.eval(m.parameters())
        import statistics, resource
        print(statistics.mine, resource.mine, value.item())
        """
    ran = {}
    for name in ("plain", "watched"):
        (tmp_path / name).mkdir()
        for own in OWN:
            (tmp_path / name / f"{own}.py").write_text(f"print('ran {own}')\nmine = 5\n")
        ran[name] = watched.run(tmp_path / name, program, watch=name == "watched")
    plain, seen = ran["plain"], ran["watched"]
    assert plain.stdout.splitlines()[:2] == ["ran statistics", "ran resource"], plain.stderr
    assert (seen.status, seen.stdout, seen.stderr) == (plain.status, plain.stdout, plain.stderr)
    assert "end" in seen.points() and seen.rows("missing") == []
