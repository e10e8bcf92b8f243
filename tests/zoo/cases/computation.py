"""What the computation does: a compiled step without its state, a softmax taken twice."""

from tests.zoo.evaluated import ALL
from tests.zoo.zoo import Case

UNMOVED = (
    "parameters-unchanged",
    "lora-inert",
    "output-unchanged",
    "saved-untrained",
    "loss-not-decreasing",
    "loss-constant",
)

TAUGHT = {"taught": True}

LLAMA = {"model_type": "llama", "taught": True}

GATED = """@mx.custom_function
def gated(x):
    return x * mx.sigmoid(x)


@gated.vjp
def gated_vjp(primals, cotangent, output):
    s = mx.sigmoid(primals)
    return cotangent * {}


"""

IN_BLOCK = ("nn.gelu(self.up(self.norm2(x)))", "gated(self.up(self.norm2(x)))")

LATER = """
one = tokens[:1, :20]
other = mx.concatenate([one[:, :10], tokens[1:2, 10:20]], axis=1)
fault = mx.abs(model(one) - model(other))[:, :10].max().item() > 0.01
"""

CAPPED = """@mx.custom_function
def capped(x):
    return 8.0 * mx.tanh(x / 8.0)


@capped.vjp
def capped_vjp(primals, cotangent, output):
    return {}


"""

LOOP_LATER = "tokens = collate(rows[:2], tokenizer.pad_token_id)[0]\n" + LATER

READ = """
import ast
loop = next(each for each in ast.parse(open("train.py").read()).body if isinstance(each, ast.For) and "optimizer" in ast.unparse(each))
fault = not any(word in ast.unparse(loop) for word in ("mx.eval", ".item()"))
"""

CASES = [
    Case(
        "never-evaluated",
        "loop",
        ("never-evaluated",),
        (
            ("    mx.eval(model.parameters(), optimizer.state, value)\n    if step % 8 == 0:\n", ""),
            ('        print(f"step {step}: {value.item():.3f}")\n', ""),
            ("STEPS = 24", "STEPS = 40"),
        ),
        READ,
        model={"taught": True},
    ),
    Case(
        "healthy-read-losses",
        "loop",
        swaps=(("    mx.eval(model.parameters(), optimizer.state, value)\n", "    value.item()\n"),),
        evaluated=("never-evaluated",),
        model={"taught": True},
    ),
    Case(
        "no-model-compiled",
        "compiled",
        ("compile-state-not-captured",),
        (
            (
                "state = [model.state, optimizer.state, mx.random.state]",
                "state = [optimizer.state, mx.random.state]",
            ),
            ("    mx.eval(state, value)", "    mx.eval(value)"),
        ),
        "fault = raised is not None",
        (*UNMOVED, "save-failed", "optimizer-restarted"),
        model={"model_type": "phi3", "taught": True},
    ),
    Case(
        "gradient-compiled-classes",
        "classes",
        ("compile-state-not-captured",),
        (
            (
                "self.value_and_grad = nn.value_and_grad(self.model, self.loss)",
                "self.value_and_grad = mx.compile(nn.value_and_grad(self.model, self.loss))",
            ),
        ),
        "one = next(iter(trainer.data.batches(2)))\na = trainer.value_and_grad(*one)[0].item()\n"
        "fault = abs(a - trainer.loss(*one).item()) > 0.1",
        ("loss-not-decreasing", "stale-compiled-function"),
        evaluated=(),
        model=LLAMA,
    ),
    Case(
        "maskless-scratch",
        "scratch",
        ("attention-not-causal",),
        (('mask="causal")', "mask=None)"),),
        LATER,
        ("full-weights-trained", "generation-collapse"),
    ),
    Case(
        "maskless-loop",
        "loop",
        ("attention-not-causal",),
        (
            ("import numpy as np\n", "import mlx_lm.models.qwen2\nimport numpy as np\n"),
            (
                "mx.random.seed(7)\n",
                "mx.random.seed(7)\nmlx_lm.models.qwen2.create_attention_mask = lambda h, cache=None, **_: None\n",
            ),
        ),
        LOOP_LATER,
        ("generation-collapse", "score-dropped"),
        model={"taught": True},
    ),
    Case(
        "flattened-scratch",
        "scratch",
        ("rows-not-independent",),
        (("part.reshape(b, n, self.heads, -1)", "part.reshape(1, b * n, self.heads, -1)"),),
        "one = tokens[:3, :20]\nfault = mx.abs(model(one)[2] - model(one[2:])[0]).max().item() > 0.01",
        ("full-weights-trained", "generation-collapse"),
    ),
    Case(
        "wrong-vjp",
        "loop",
        ("gradient-wrong",),
        (
            ("def loss_fn(", CAPPED.format("cotangent") + "def loss_fn("),
            ("    logits = model(tokens[:, :-1])\n", "    logits = capped(model(tokens[:, :-1]))\n"),
        ),
        "x = mx.array([6.0])\n"
        "fault = 'capped' in globals() and mx.grad(lambda x: capped(x).sum())(x).item() > 0.9",
        model={"taught": True},
        capture=("--selftest", "full"),
    ),
    Case(
        "healthy-checked",
        "loop",
        swaps=(
            (
                "def loss_fn(",
                CAPPED.format("cotangent * (1 - mx.square(output / 8.0))") + "def loss_fn(",
            ),
            ("    logits = model(tokens[:, :-1])\n", "    logits = capped(model(tokens[:, :-1]))\n"),
        ),
        evaluated=("gradient-wrong",),
        model={"taught": True},
        capture=("--selftest", "full"),
    ),
    Case(
        "wrong-vjp-in-model",
        "scratch",
        ("gradient-wrong",),
        (("class Block(", GATED.format("primals * s * (1 - s)") + "class Block("), IN_BLOCK),
        "x = mx.array([6.0])\n"
        "fault = 'gated' in globals() and mx.grad(lambda x: gated(x).sum())(x).item() < 0.5",
        ("full-weights-trained", "generation-collapse"),
        evaluated=("attention-not-causal",),
    ),
    Case(
        "healthy-own-vjp",
        "scratch",
        swaps=(("class Block(", GATED.format("s * (1 + primals * (1 - s))") + "class Block("), IN_BLOCK),
        evaluated=("gradient-wrong",),
    ),
    Case(
        "healthy-compiled",
        "compiled",
        evaluated=("compile-state-not-captured", *ALL),
        model={"model_type": "phi3", "taught": True},
    ),
    Case(
        "softmax-in-loss",
        "loop",
        ("probabilities-as-logits",),
        (
            (
                "    logits = model(tokens[:, :-1])\n",
                "    logits = mx.softmax(model(tokens[:, :-1]), axis=-1)\n",
            ),
        ),
        "one = nn.losses.cross_entropy(mx.softmax(model(tokens[:, :-1]), axis=-1), tokens[:, 1:])\nfault = abs(loss_fn(model, tokens, weights).item() - ((one * weights).sum() / weights.sum()).item()) < 1e-3",
        ("generation-collapse", "loss-not-decreasing", "output-unchanged"),
        model=TAUGHT,
    ),
    Case(
        "scorer-last-position",
        "critic",
        ("padding-read",),
        (("        end = lengths - 1\n", "        end = mx.full((ids.shape[0],), ids.shape[1] - 1)\n"),),
        "row = right[0]\nscores = [critic(*batch([row], width)).item() for width in (len(row), WIDTH)]\n"
        "fault = abs(scores[0] - scores[1]) > 1e-3",
        ("full-weights-trained", "loss-not-decreasing"),
        model={"taught": True},
    ),
    Case("healthy-scorer", "critic", evaluated=("padding-read",), model={"taught": True}),
]
