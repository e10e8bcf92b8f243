"""The failure that began this tool: an adapter that is a flag, and padding in the loss; then the first alone mended; then both."""

# ruff: noqa: E501  (swaps are texts as they stand)

from tests.zoo.zoo import Case

TAUGHT = {"taught": True}
AFTER = (
    "generation-collapse",
    "base-weights-overwritten",
    "full-weights-trained",
    "save-failed",
    "loss-not-decreasing",
    "output-unchanged",
)
UNMASKED = (
    (
        "        real = mx.arange(1, tokens.shape[1]) < lengths[:, None]\n        return (losses * real).sum() / real.sum()",
        "        return losses.mean()",
    ),
)
FLAG = (
    (
        "        self.model.freeze()\n        linear_to_lora_layers(self.model, len(self.model.layers), LORA)\n",
        "",
    ),
)
SAME = """
before = trainer.loss(*trainer.batch()).item()
tokens, lengths = trainer.batch()
tokens[:, -1] = 5
fault = trainer.loss(tokens, lengths).item() != before
"""

CASES = [
    Case(
        "story-both",
        "story",
        ("lora-missing", "padding-in-loss"),
        (*UNMASKED, *FLAG),
        SAME + "fault = fault and not any('lora' in n for n, _ in tree_flatten(trainer.model.parameters()))",
        AFTER,
        model=TAUGHT,
    ),
    Case("story-padding", "story", ("padding-in-loss",), UNMASKED, SAME, AFTER, model=TAUGHT),
    Case(
        "story-mended",
        "story",
        evaluated=("padding-in-loss", "lora-missing", "generation-collapse"),
        model=TAUGHT,
    ),
]
