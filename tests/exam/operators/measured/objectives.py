"""Held out: further faults of losses, references and fresh adapters."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, edits, swaps

ADAPTED = r"^#: adapted"
LOGPS = "nn.log_softmax(x_m(x_ids[:, :-1]).astype(mx.float32), axis=-1)"
ANCHOR = "x_anchor = mx.stop_gradient(x_logps({}, x_ids, x_mask))"
REFERENCE = 'x_ref, _ = load("base")\nx_ref.freeze()\n'
PRODUCT = """@mx.custom_function
def x_product(x, x_first, x_second):
    return (x @ x_first) @ x_second


@x_product.vjp
def x_product_back(x_given, x_cotangent, x_output):
    x, x_first, x_second = x_given
    x_down = x_cotangent @ x_second.T
    return x_down @ x_first.T, x[0].T @ x_down[0], (x[0] @ x_first).T @ x_cotangent[0]


"""


def another_first_loss(least):
    return lambda faulty, twin: abs(proofs.losses(faulty)[0] - proofs.losses(twin)[0]) > least


def first_gradients(faulty, twin):
    return proofs.gradients(faulty)[0], proofs.gradients(twin)[0]


def another_value_same_gradient(faulty, twin):
    one, two = first_gradients(faulty, twin)
    return abs(proofs.losses(faulty)[0] - proofs.losses(twin)[0]) > 1e-2 and abs(one - two) < 1e-5 * two


def same_value_another_gradient(faulty, twin):
    one, two = first_gradients(faulty, twin)
    return abs(proofs.losses(faulty)[0] - proofs.losses(twin)[0]) < 1e-5 and abs(one - two) > 0.01 * two


def softer(faulty, twin):
    one, two = first_gradients(faulty, twin)
    return one < 0.5 * two


def compared_with_itself(faulty, twin):
    return max(abs(loss - proofs.losses(faulty)[0]) for loss in proofs.losses(faulty)) < 1e-3


def starts_otherwise(faulty, twin):
    return faulty["fresh effect"] > 0.01 > twin["fresh effect"]


def switched(value):
    """Lines of a loop that set a flag on each adapted module, which no module reads."""
    return (
        "\\1for _, x_module in x_model.named_modules():\n\\1    if hasattr(x_module, 'lora_b'):\n"
        f"\\1        x_module.enabled = {value}\n"
    )


OPERATORS = [
    Operator(
        "probabilities-as-logits/teacher-softened-twice",
        all_of(
            edits(
                "loop",
                "nn.log_softmax(x_ref(x_ids[:, :-1]).astype(mx.float32), axis=-1)",
                "nn.log_softmax(mx.softmax(x_ref(x_ids[:, :-1]).astype(mx.float32), axis=-1), axis=-1)",
            ),
            swaps("loop", r"^( +)#: step", "\\1#: note('peak', mx.exp(x_soft).max())\n\\g<0>"),
        ),
        lambda faulty, twin: max(proofs.notes(faulty, "peak")) < 0.02,
        needs=("distilled",),
        mild=True,
    ),
    Operator(
        "probabilities-as-logits/preferences-of-softened-scores",
        edits(
            "loss",
            LOGPS,
            "nn.log_softmax(mx.softmax(x_m(x_ids[:, :-1]).astype(mx.float32), axis=-1), axis=-1)",
        ),
        softer,
        needs=("pairs",),
        bars=("compiled",),
    ),
    Operator(
        "loss-not-of-logits/final-norm-left-out",
        edits(
            "loss",
            "x_hidden = x_m.model(x_ids[:, :-1])",
            "x_hidden = x_m.model.embed_tokens(x_ids[:, :-1])\n"
            "    for x_block in x_m.model.layers:\n        x_hidden = x_block(x_hidden, 'causal')",
        ),
        another_first_loss(0.05),
        needs=("hidden",),
    ),
    Operator(
        "loss-not-of-logits/embedding-taken-for-the-head",
        edits("loss", "x_m.lm_head(x_hidden)", "x_m.model.embed_tokens.as_linear(x_hidden)"),
        another_first_loss(0.3),
        needs=("hidden",),
        bars=("partial",),
    ),
    Operator(
        "term-detached/bonus-read-as-a-number",
        edits(
            "loss",
            "return -(x_picked * x_weights).sum() / mx.maximum(x_weights.sum(), 1)\n",
            "x_spread = -(mx.exp(x_logp) * x_logp).sum(axis=-1)\n"
            "    x_bonus = ((x_spread * x_weights).sum() / x_weights.sum()).item()\n"
            "    return -(x_picked * x_weights).sum() / mx.maximum(x_weights.sum(), 1) - 0.05 * x_bonus\n",
        ),
        another_value_same_gradient,
        needs=("logits",),
        bars=("compiled",),
        mild=True,
    ),
    Operator(
        "gradient-wrong/backward-that-keeps-one-row",
        all_of(
            edits(
                "trained",
                "((x @ self.lora_a) @ self.lora_b)",
                "x_product(x, self.lora_a, self.lora_b)",
            ),
            swaps("trained", r"^class x_Low", PRODUCT + r"\g<0>"),
        ),
        same_value_another_gradient,
        needs=("own-class",),
        bars=("compiled", "own"),
    ),
    Operator(
        "reference-is-policy/shallow-copy",
        edits("loss", REFERENCE, "x_ref = copy.copy(x_model)\n"),
        compared_with_itself,
        needs=("dpo",),
        bars=("dropout",),
    ),
    Operator(
        "reference-is-policy/switched-off-by-a-flag-that-nothing-reads",
        swaps(
            "loop",
            r"^( +)x_anchor = mx\.stop_gradient\(x_logps\(x_ref, x_ids, x_mask\)\)\n",
            switched(False) + f"\\1{ANCHOR.format('x_model')}\n" + switched(True),
        ),
        compared_with_itself,
        needs=("dpo", "lora"),
        bars=("dropout",),
    ),
    Operator(
        "lora-starts-nonzero/bias-of-the-second-factor",
        all_of(
            edits(
                "trained",
                "self.scale = x_s\n",
                "self.scale = x_s\n        self.lora_bias = mx.random.uniform(-0.3, 0.3, (x_out,))\n",
            ),
            edits(
                "trained",
                "((x @ self.lora_a) @ self.lora_b)",
                "((x @ self.lora_a) @ self.lora_b + self.lora_bias)",
            ),
        ),
        starts_otherwise,
        needs=("own-class",),
    ),
    Operator(
        "lora-starts-nonzero/magnitudes-along-the-other-axis",
        swaps(
            "trained",
            ADAPTED,
            "for _, x_module in x_model.named_modules():\n    if hasattr(x_module, 'lora_b'):\n"
            "        x_sizes = mx.linalg.norm(x_module.linear.weight.astype(mx.float32), axis=0)\n"
            "        if x_sizes.shape == x_module.m.shape:\n            x_module.m = x_sizes\n#: adapted",
        ),
        starts_otherwise,
        needs=("dora",),
        bars=("fused",),
    ),
]
