"""What was trained: too much, too little, or what nobody put into the trainable set."""

from tests.zoo.proofs import CLASSES, LOOP, PIPELINE
from tests.zoo.zoo import Case

TAUGHT = {"taught": True}
LLAMA = {"model_type": "llama", "taught": True}
AFTER = ("base-weights-overwritten", "reload-mismatch", "adapter-incomplete")
NOTHING = (
    "optimizer-never-stepped",
    "parameters-unchanged",
    "error-swallowed",
    "output-unchanged",
    "lora-inert",
    "saved-untrained",
)

CASES = [
    Case(
        "unfrozen-loop",
        "loop",
        ("base-not-frozen",),
        (("model.freeze()\nlinear_to_lora_layers", "linear_to_lora_layers"),),
        LOOP + "fault = adapters and moved",
        AFTER,
        model=TAUGHT,
    ),
    Case(
        "unfrozen-classes",
        "classes",
        ("base-not-frozen",),
        (
            (
                "            attached += len(found)\n",
                "            attached += len(found)\n            layer.unfreeze()\n",
            ),
        ),
        CLASSES + "fault = adapters and moved",
        AFTER,
        model=LLAMA,
    ),
    Case(
        "unfrozen-resume",
        "resume",
        ("base-not-frozen",),
        (("    model.freeze()\n    load_adapters", "    load_adapters"),),
        LOOP + "fault = adapters and moved",
        (*AFTER, "optimizer-restarted"),
        model=TAUGHT,
    ),
    Case(
        "frozen-moved-loop",
        "loop",
        ("frozen-but-changed",),
        (
            (
                "value_and_grad = nn.value_and_grad(model, loss_fn)",
                "value_and_grad = mx.value_and_grad(loss_fn)",
            ),
        ),
        LOOP
        + "fault = bool(moved) and all('lora_' in n for n, _ in tree_flatten(model.trainable_parameters()))",
        AFTER,
        model=TAUGHT,
    ),
    Case(
        "frozen-moved-handmade",
        "handmade",
        ("frozen-but-changed",),
        (
            (
                "    optimizer.update(model, grads)\n",
                "    optimizer.update(model, grads)\n"
                "    model.update(tree_map_with_path(lambda k, p: mx.clip(p, -0.2, 0.2) if 'proj' in k else p, model.parameters()))\n",
            ),
        ),
        LOOP
        + "fault = bool(moved) and all('lora_' in n for n, _ in tree_flatten(model.trainable_parameters()))",
        (*AFTER, "adapter-not-loaded"),
        model=TAUGHT,
    ),
    Case(
        "frozen-moved-pipeline",
        "pipeline",
        ("frozen-but-changed",),
        (("nn.value_and_grad(model, self.loss)", "mx.value_and_grad(self.loss)"),),
        PIPELINE
        + "fault = bool(moved) and all('lora_' in n for n, _ in tree_flatten(net.trainable_parameters()))",
        AFTER,
        model={"tied": True, "taught": True},
    ),
    Case(
        "nothing-pipeline",
        "pipeline",
        ("nothing-trainable",),
        (
            (
                '        model.freeze()\n        linear_to_lora_layers(model, self.config["layers"], self.config["lora"])\n',
                '        linear_to_lora_layers(model, self.config["layers"], self.config["lora"])\n        model.freeze()\n',
            ),
        ),
        PIPELINE + "fault = not tree_flatten(net.trainable_parameters())",
        NOTHING,
        model=TAUGHT,
    ),
    Case(
        "nothing-api",
        "api",
        ("nothing-trainable",),
        (
            (
                "    model.freeze()\n    linear_to_lora_layers(model, args.num_layers, args.lora_parameters)\n",
                "    linear_to_lora_layers(model, args.num_layers, args.lora_parameters)\n    model.freeze()\n",
            ),
        ),
        "fault = raised is not None and 'must specify' in str(raised).lower()",
        NOTHING,
        model=LLAMA,
    ),
    Case(
        "partly-loop",
        "loop",
        ("adapter-partly-frozen",),
        (("names = [", "model.freeze()\nmodel.unfreeze(keys=['lora_b'])\nnames = ["),),
        LOOP + "fault = len(tree_flatten(model.trainable_parameters())) < len(adapters)",
        model=TAUGHT,
    ),
    Case(
        "partly-stages",
        "stages",
        ("adapter-partly-frozen",),
        (
            (
                "        self.optimizer = optim",
                "        self.model.layers[0].freeze()\n        self.optimizer = optim",
            ),
        ),
        CLASSES + "fault = len(tree_flatten(trainer.model.trainable_parameters())) < len(adapters)",
        ("adapter-incomplete", "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "scales-qlora",
        "qlora",
        ("quantization-parameters-changed",),
        (
            (
                "    model.train()\n    return",
                "    model.unfreeze(keys=['lora_a', 'lora_b', 'scales'])\n    model.train()\n    return",
            ),
        ),
        LOOP + "fault = bool(moved) and all(n.endswith(('scales', 'biases')) for n in moved)",
        (*AFTER, "adapter-not-loaded"),
        model={"bits": 4, "taught": True},
    ),
    Case(
        "scales-compiled",
        "compiled",
        ("quantization-parameters-changed",),
        (
            (
                "linear_to_lora_layers(model, -1, lora)\n",
                "linear_to_lora_layers(model, -1, lora)\nmodel.unfreeze(keys=['bias', 'biases'])\n",
            ),
        ),
        LOOP + "fault = bool(moved) and all(n.endswith(('scales', 'biases')) for n in moved)",
        (*AFTER, "adapter-not-loaded"),
        model={"model_type": "phi3", "bits": 8, "taught": True},
    ),
]
