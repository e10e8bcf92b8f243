"""Small programs that train a tiny model in the ways that people write it.

Each is run once a session, watched and plain.

Each ends by printing a digest of its weights and one draw of each random generator, so equal output means an
equal run.
"""

from __future__ import annotations

import functools
import tempfile
import textwrap
from pathlib import Path

from tests.support import quick, tiny, watched
from tests.support.once import once

HEAD = """
import copy, hashlib, json, random
from functools import partial
import numpy as np
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map
from mlx_lm import load
from mlx_lm.tuner.utils import linear_to_lora_layers

mx.random.seed(0); np.random.seed(0); random.seed(0)
model, tokenizer = load("model")
chats = [json.loads(line)["messages"] for line in open("data/train.jsonl")][:4]
rows = [tokenizer.apply_chat_template(chat, return_dict=False) for chat in chats]
width = max(map(len, rows))
batch = mx.array([row + [0] * (width - len(row)) for row in rows])

def lora(dropout=0.0):
    model.freeze()
    linear_to_lora_layers(model, 2, {"rank": 4, "scale": 10.0, "dropout": dropout})

def loss(model, batch):
    real = batch[:, 1:] != 0
    return (nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]) * real).sum() / real.sum()

def tell(tree):
    digest = hashlib.sha256()
    for name, array in sorted(tree_flatten(tree)):
        digest.update(name.encode() + bytes(memoryview(mx.contiguous(array).reshape(-1).view(mx.uint8))))
    drawn = mx.random.uniform().item(), np.random.rand(), random.random()
    print("weights", digest.hexdigest(), "draws", *drawn)
"""

PROGRAMS = {
    "loop": """
        lora(0.1)
        optimizer = optim.AdamW(optim.linear_schedule(1e-3, 0.0, 100))
        value_and_grad = nn.value_and_grad(model, loss)
        model.train()
        for i in range(18):
            value, gradients = value_and_grad(model, batch)
            optimizer.update(model, gradients)
            mx.eval(model.parameters(), optimizer.state)
            print(value.item())
        mx.save_safetensors("adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
        tell(model.parameters())
    """,
    "compiled": """
        lora(0.1)
        optimizer, value_and_grad = optim.Adam(1e-3), nn.value_and_grad(model, loss)
        state = [model.state, optimizer.state, mx.random.state]

        @partial(mx.compile, inputs=state, outputs=state)
        def step(batch):
            value, gradients = value_and_grad(model, batch)
            optimizer.update(model, gradients)
            return value

        model.train()
        for i in range(5):
            value = step(batch)
            mx.eval(state, value)
            print(value.item())
        tell(model.parameters())
    """,
    "accumulated": """
        lora()
        optimizer, value_and_grad = optim.SGD(0.1, momentum=0.9), nn.value_and_grad(model, loss)
        for divide in (3, 1):
            for i in range(2):
                total = None
                for j in range(3):
                    value, gradients = value_and_grad(model, batch[j : j + 2])
                    total = gradients if total is None else tree_map(lambda a, b: a + b, total, gradients)
                optimizer.update(model, tree_map(lambda g: g / divide, total))
                mx.eval(model.parameters(), optimizer.state)
        tell(model.parameters())
    """,
    "without-state": """
        lora()
        optimizer, value_and_grad = optim.Adam(1e-3), nn.value_and_grad(model, loss)

        @mx.compile
        def step(batch):
            value, gradients = value_and_grad(model, batch)
            optimizer.update(model, gradients)
            return value

        for i in range(4):
            print(step(batch).item())
        try:
            mx.eval(model.parameters())
        except Exception as error:
            print(type(error).__name__)
        tell({})
    """,
    "outputs-only": """
        lora()
        optimizer, value_and_grad = optim.Adam(1e-3), nn.value_and_grad(model, loss)

        @partial(mx.compile, outputs=[model.state, optimizer.state])
        def step(batch):
            value, gradients = value_and_grad(model, batch)
            optimizer.update(model, gradients)
            return value

        for i in range(4):
            print(step(batch).item())
        tell(model.parameters())
    """,
    "by-hand": """
        lora()
        value_and_grad = nn.value_and_grad(model, loss)
        for i in range(11):
            value, gradients = value_and_grad(model, batch)
            model.update(tree_map(lambda p, g: p - 0.1 * g, model.trainable_parameters(), gradients))
            print(value.item())
        tell(model.parameters())
    """,
    "applied": """
        lora()
        optimizer, value_and_grad = optim.SGD(0.1), nn.value_and_grad(model, loss)
        for i in range(3):
            value, gradients = value_and_grad(model, batch)
            model.update(optimizer.apply_gradients(gradients, model))
        tell(model.parameters())
    """,
    "never-applied": """
        lora()
        optimizer, value_and_grad = optim.SGD(0.1), nn.value_and_grad(model, loss)
        for i in range(3):
            value, gradients = value_and_grad(model, batch)
            optimizer.apply_gradients(gradients, model)
        tell(model.parameters())
    """,
    "functional": """
        lora()
        optimizer, parameters = optim.Adam(1e-2), model.trainable_parameters()

        def of(parameters, batch):
            model.update(parameters)
            return loss(model, batch)

        value_and_grad = mx.value_and_grad(of)
        for i in range(4):
            value, gradients = value_and_grad(parameters, batch)
            parameters = optimizer.apply_gradients(gradients, parameters)
            mx.eval(parameters)
        model.update(parameters)
        tell(model.parameters())
    """,
    "tree": """
        del model
        tree = {"w": mx.random.normal((8, 4)), "b": mx.zeros((4,))}
        x, y = mx.random.normal((16, 8)), mx.random.randint(0, 4, (16,))

        def of(tree):
            return nn.losses.cross_entropy(x @ tree["w"] + tree["b"], y).mean()

        value_and_grad = mx.value_and_grad(of)
        for i in range(5):
            value, gradients = value_and_grad(tree)
            tree = tree_map(lambda p, g: p - 0.1 * g, tree, gradients)
            print(value.item())
        mx.savez("tree.npz", **tree)
        tell(tree)
    """,
    "tree-compiled": """
        del model
        tree = {"w": mx.random.normal((8, 4)), "b": mx.zeros((4,))}
        x, y = mx.random.normal((16, 8)), mx.random.randint(0, 4, (16,))

        def of(tree):
            return nn.losses.cross_entropy(x @ tree["w"] + tree["b"], y).mean()

        optimizer = optim.Adam(1e-2)
        optimizer.init(tree)

        @partial(mx.compile, inputs=optimizer.state, outputs=optimizer.state)
        def step(tree):
            value, gradients = mx.value_and_grad(of)(tree)
            return value, optimizer.apply_gradients(gradients, tree)

        for i in range(5):
            value, tree = step(tree)
            print(value.item())
        tell(tree)
    """,
    "preference": """
        reference = copy.deepcopy(model)
        reference.freeze()
        lora()
        chosen, rejected = batch[:2], batch[2:]

        def told(model, batch):
            real = batch[:, 1:] != 0
            return -(nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]) * real).sum(-1)

        def preference(model):
            of_model = told(model, chosen) - told(model, rejected)
            margin = of_model - told(reference, chosen) + told(reference, rejected)
            return -nn.log_sigmoid(0.1 * margin).mean()

        optimizer, value_and_grad = optim.Adam(1e-3), nn.value_and_grad(model, preference)
        for i in range(3):
            value, gradients = value_and_grad(model)
            optimizer.update(model, gradients)
            mx.eval(model.parameters(), optimizer.state)
            print(value.item())
        tell(model.parameters())
    """,
    "forward": """
        stale = mx.compile(lambda ids: model(ids))
        fresh = mx.compile(lambda ids: model(ids), inputs=[model.state])
        print(stale(batch[:1, :8]).sum().item(), fresh(batch[:1, :8]).sum().item())
        optimizer, value_and_grad = optim.Adam(1e-2), nn.value_and_grad(model, loss)
        for i in range(3):
            value, gradients = value_and_grad(model, batch)
            optimizer.update(model, gradients)
            mx.eval(model.parameters(), optimizer.state)
        print(stale(batch[:1, :8]).sum().item(), fresh(batch[:1, :8]).sum().item())
        sampler = mx.compile(lambda logits: mx.random.categorical(logits))
        print(sampler(mx.zeros((4, 8))).tolist(), sampler(mx.zeros((4, 8))).tolist())
        tell(model.parameters())
    """,
    "awkward": """
        import functools, inspect

        class Awkward:
            calls = 0

            def __init__(self, items):
                self.items = iter(items)

            def __call__(self, model, batch):
                "A loss with side effects."
                Awkward.calls += 1
                weight = next(self.items) + np.random.rand() + random.random()
                print("loss called", Awkward.calls, weight)
                hidden = model.model(batch[:, :-1])
                logits = model.lm_head(hidden)
                return nn.losses.cross_entropy(logits, batch[:, 1:]).mean() * weight

        lora(0.2)
        optimizer, of = optim.Lion(1e-4), Awkward(range(1, 100))
        value_and_grad = nn.value_and_grad(model, lambda *given, **named: of(*given, **named))
        model.train()
        for i in range(4):
            value, gradients = value_and_grad(model, batch=batch)
            optimizer.update(model, gradients)
            mx.eval(model.parameters(), optimizer.state)
            print(value.item(), next(of.items))

        def scaled(x, by=2.0):
            "Doc."
            return (x * by).sum()

        scaled.mark = "kept"
        class Holder:
            compiled, gradient = mx.compile(scaled), mx.grad(scaled)
        held = Holder()
        for made in (mx.compile(scaled), mx.value_and_grad(scaled), mx.grad(scaled, argnums=0),
                     held.compiled, held.gradient):
            print(made(mx.ones(3)), made.__name__, made.mark, made.__doc__)
            print(inspect.signature(made), callable(made))
            print(functools.wraps(made)(lambda: 0).__name__, made.__module__)
        print(mx.vmap(mx.grad(lambda x: (x**2).sum()))(mx.ones((2, 3))).tolist())
        print(mx.grad(mx.grad(lambda x: x**3))(mx.array(2.0)).item())
        wrong = [lambda: mx.compile(lambda x: 1 / 0)(mx.ones(1)), lambda: mx.grad(scaled)("text")]
        for wrong in (*wrong, lambda: optimizer.update(model, {"no": mx.ones(1)})):
            try:
                wrong()
            except Exception as error:
                print(type(error).__name__, str(error)[:60])
        tell(model.parameters())
    """,
    "class": """
        class Trainer:
            def __init__(self, model):
                self.model, self.history = model, []
                self.optimizer = optim.Adafactor(learning_rate=1e-3, relative_step=False)
                state = [model.state, self.optimizer.state]
                self.step = mx.compile(self._step, inputs=state, outputs=state)
                self.gradient = nn.value_and_grad(model, self.loss)

            def loss(self, batch):
                logits = self.model(batch[:, :-1])
                return nn.losses.cross_entropy(logits, batch[:, 1:]).mean(), logits.shape[1]

            def _step(self, batch):
                (value, length), gradients = self.gradient(batch)
                gradients, norm = optim.clip_grad_norm(gradients, 1.0)
                self.optimizer.update(self.model, gradients)
                return value, norm

            def train(self):
                for i in range(4):
                    value, norm = self.step(batch)
                    mx.eval(self.model.state, self.optimizer.state)
                    self.history.append((value.item(), norm.item()))

        trainer = Trainer(model)
        trainer.train()
        print(trainer.history)
        tell(model.parameters())
    """,
    "wrapped": """
        class Cooled(nn.Module):
            def __init__(self, inner):
                super().__init__()
                self.inner, self.temperature = inner, 2.0

            def __call__(self, ids):
                return self.inner(ids) / self.temperature

        cooled = Cooled(model)
        optimizer = optim.MultiOptimizer([optim.Adam(1e-3), optim.SGD(1e-3)], [lambda k, v: v.ndim > 1])
        value_and_grad = nn.value_and_grad(cooled, loss)
        for i in range(3):
            value, gradients = value_and_grad(cooled, batch)
            optimizer.update(cooled, gradients)
            mx.eval(cooled.parameters(), optimizer.state)
        tell(cooled.parameters())
    """,
}  # fmt: skip

COMMAND = (
    "lora --model model --train --data data --iters 12 --batch-size 2 --num-layers 2 --grad-checkpoint -c"
    " config.yaml"
)
OPTIONS = "--grad-accumulation-steps 2 --steps-per-eval 6 --val-batches 1 --adapter-path adapters"


@functools.cache
def ran(name: str, *, watch: bool = True) -> watched.Ran:
    """Run one of PROGRAMS, or `mlx-lm`.

    The latter is mlx-lm's own command, with dropout, checkpointing and accumulation.
    """
    return run_text(name, None if name == "mlx-lm" else program(name), watch=watch)


def run_text(name: str, text: str | None, *, watch: bool = True) -> watched.Ran:
    """Run a program's text, or mlx-lm's command without one, beside a model and data: once a session."""
    return once(f"{name}/{'watched' if watch else 'plain'}", lambda place: _run(place, text, watch))


def laid_out(name: str) -> Path:
    """A directory of its own with a model and data."""
    return _furnished(Path(tempfile.mkdtemp(prefix=f"{name}-", dir=quick.agreed(quick.MADE))))


def _furnished(directory: Path) -> Path:
    (directory / "model").symlink_to(tiny.cached(), target_is_directory=True)
    tiny.write_data(directory / "data")
    return directory


def _run(directory: Path, text: str | None, watch: bool) -> watched.Ran:
    _furnished(directory)
    if text is not None:
        return watched.run(directory, text, watch=watch)
    (directory / "config.yaml").write_text("lora_parameters:\n  rank: 4\n  scale: 10.0\n  dropout: 0.1\n")
    return watched.run(directory, "-m mlx_lm", *COMMAND.split(), *OPTIONS.split(), watch=watch)


def program(name: str) -> str:
    return HEAD + textwrap.dedent(PROGRAMS[name])
