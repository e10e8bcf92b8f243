"""Held out: faults of saves, reloads and generations."""

from tests.exam.operators import Operator, all_of, swaps

TREE = r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)"


def kept(facts):
    return facts["saved"][-1] if facts["saved"] else {}


OPERATORS = [
    Operator(
        "save-failed/empty-dictionary",
        swaps("save", TREE, "{x_n: x_v for x_n, x_v in getattr(x_model, 'adapters', {}).items()}"),
        lambda faulty, twin: kept(faulty).get("names") == [],
        needs=("lora",),
        bars=("reloaded", "reloaded-apart"),
        also=("adapter-incomplete",),
    ),
    Operator(
        "saved-before-last-update/training-goes-on-after-the-save",
        all_of(
            swaps(
                "generation",
                r"\A",
                "x_late = nn.value_and_grad(x_model, x_loss_fn)\nfor x_batch in x_batches(x_rows, x_tok):\n    x_opt.update(x_model, x_late(x_model, *x_batch)[1])\n    mx.eval(x_model.parameters(), x_opt.state)\n#: ended(x_model)\n",
            ),
        ),
        lambda faulty, twin: kept(faulty).get("end", 1) < len(kept(faulty).get("names", [])),
        bars=("unsaved", "own", "anchored", "reloaded", "reloaded-apart", "fused", "z-term"),
    ),
]
