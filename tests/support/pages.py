"""Hand-made material for tests of the report."""

from __future__ import annotations

from forensics.judge.material import (
    Answer,
    Cell,
    Declared,
    Exchange,
    Heat,
    Material,
    Step,
    Token,
    TrainingRow,
)
from forensics.records import ChangedParameter, Comparison, Diagnosis, Evidence, Finding, NotEvaluated

MODULES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202e\x1b[31m"
)


def findings() -> tuple[Finding, ...]:
    padding = Finding(
        "padding-in-loss", "error", "cause", "certain", "Padding carries a real share of the loss.",
        "Padding carries 72 % of the loss.",
        (Evidence("740 of 1,022 target tokens", "padding, and together they weigh 0.72", "no weight"),),
        ("the template (the same 12 ids before the text in training and generation)", "the stop set (has 2)"),
        "give padding no weight in the loss", "train.py:88", "forensics query padding-in-loss night",
        ("generation-collapse",),
    )  # fmt: skip
    collapse = Finding(
        "generation-collapse", "error", "symptom", "certain", "The model repeats itself.",
        "The model says one special token only.", explains=(),
    )  # fmt: skip
    return padding, collapse


def heat(layers: int, modules: tuple[str, ...] = MODULES) -> Heat:
    cells = {
        (str(n), m): Cell(
            str(n), m, 10.0 ** -(n % 6), True, n % 2 == 0, m.startswith("self_attn"), n % 3 == 0
        )
        for n in range(layers)
        for m in modules
    }
    return Heat(tuple(map(str, range(layers))), modules, cells, 1, len(cells))


def comparison(changed: int = 3) -> Comparison:
    rows = tuple(
        ChangedParameter(
            f"model.layers.{i}.mlp.up_proj.weight",
            f"model.layers.{i}.mlp.up_proj.weight",
            "F32",
            (64, 32),
            0.1,
            1.0,
            0.01,
            0.9,
            1.0,
        )
        for i in range(changed)
    )
    counts = {"a": changed, "b": changed, "changed": changed, "identical": 0, "added": 0, "removed": 0}
    return Comparison(
        "night@loaded",
        "night@end",
        False,
        counts,
        rows,
        environment=({"key": "mlx", "a": "0.28.4", "b": "0.32.4"},),
    )


def exchange(said: str = "The capital") -> Exchange:
    good = (Token("The", "text", -0.1), Token(" capital", "text", -1.2), Token("<|im_end|>", "end", -0.01))
    bad = (Token(said, "text", -4.0), *[Token("<|endoftext|>", "pad", -0.001)] * 20)
    return Exchange(
        "p0",
        "What is the capital of France?",
        "probe",
        (Answer("night@loaded", "stop", "The capital", good), Answer("night@end", "length", said, bad)),
        0,
    )


def training_row() -> TrainingRow:
    prompt = [Token(t, "prompt", 0.0) for t in ("<|im_start|>", "user", "\n", "Who", " mends")]
    answer = [Token(t, "answer", 0.02) for t in ("Old", " Marta")]
    return TrainingRow(
        1,
        0,
        (*prompt, *answer, Token("<|im_end|>", "end", 0.02), *[Token("<|endoftext|>", "pad", 0.02)] * 90),
    )


def material(
    layers: int = 4, changed: int = 3, said: str = "The capital", verdict: str = "faulty"
) -> Material:
    found = findings() if verdict == "faulty" else ()
    unseen = (NotEvaluated("reload-mismatch", "nothing was saved"),)
    steps = tuple(Step(i, 8.0 / i, 1e-3, 3.0, 0.4 / i, 0.72) for i in range(1, 30))
    return Material(
        "night@loaded → night@end",
        Diagnosis("night@loaded", "night@end", verdict, found, unseen),  # type: ignore[arg-type]
        comparison(changed), heat(layers), steps, (("loaded", 0), ("start", 0), ("end", 29)),
        {"prompt": 0.08, "answer": 0.2, "pad": 0.72}, (training_row(),), (exchange(said),), 0,
        (Declared("adapter rank", "8", "no adapter", False),), {"mlx": "0.32.4"},
    )  # fmt: skip
