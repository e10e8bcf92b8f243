"""Which targets the rows of a batch have: those of other rows, those of a part of the answer."""

# ruff: noqa: E501  (swaps are texts as they stand)

from tests.zoo.cases.loss import COLLATED, TAUGHT, WORSE
from tests.zoo.zoo import Case

CASES = [
    Case(
        "apart-collator",
        "collator",
        ("targets-unrelated",),
        (('labels[row, :n] = f["labels"]', 'labels[len(features) - 1 - row, :n] = f["labels"]'),),
        COLLATED
        + "fault = all((target[row, trained[row]] != ids[row, 1:][trained[row]]).mean() > 0.1 for row in range(len(ids)))",
        (
            *WORSE,
            "padding-in-loss",
            "prompt-in-loss",
            "mask-off-by-one",
            "end-never-trained",
            "template-mismatch",
        ),
        model=TAUGHT,
    ),
    Case(
        "part-collator",
        "collator",
        ("answers-partly-masked",),
        (
            (
                "labels = [IGNORE] * len(prompt) + ids[len(prompt) :]",
                "answer = ids[len(prompt) :]\n    labels = [IGNORE] * len(prompt) + [t if i < 4 or i + 3 > len(answer) else IGNORE for i, t in enumerate(answer)]",
            ),
        ),
        COLLATED
        + "fault = any(trained[row, starts[row] - 1 : n - 1].mean() < 0.8 for row, n in enumerate(lengths))",
        WORSE,
        model=TAUGHT,
    ),
]
