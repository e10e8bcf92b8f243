"""What the compiled computation does: a step without its state."""

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

LLAMA = {"model_type": "llama", "taught": True}

CASES = [
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
        "healthy-compiled",
        "compiled",
        evaluated=("compile-state-not-captured", *ALL),
        model={"model_type": "phi3", "taught": True},
    ),
]
