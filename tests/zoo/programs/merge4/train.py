"""Tune a quantized model with LoRA on its projections and write a merged model that needs no adapter."""

import json
import os

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.generate import generate
from mlx_lm.tuner.lora import LoRALinear
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import dequantize_model, load, save


class Tuner:
    def __init__(self, source):
        self.source = source
        self.model, self.tokenizer, self.config = load(source, return_config=True)
        self.adapter = {"rank": 4, "scale": 4.0, "dropout": 0.0}

    def batches(self, path, size=3):
        chats = [json.loads(line)["messages"] for line in open(path)]
        ids = [self.tokenizer.apply_chat_template(chat, return_dict=False) for chat in chats]
        while True:
            for start in range(0, len(ids) - size + 1, size):
                yield ids[start : start + size]

    def objective(self, model, tokens, mask):
        losses = nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
        return (losses * mask).sum() / mask.sum()

    def tune(self, steps, rate):
        self.model.freeze()
        linear_to_lora_layers(self.model, len(self.model.layers), self.adapter)
        optimizer = optim.Adam(learning_rate=rate)
        step = nn.value_and_grad(self.model, self.objective)
        self.model.train()
        for number, rows in zip(range(steps), self.batches("data/train.jsonl"), strict=False):
            width = max(map(len, rows))
            tokens = mx.array([row + [0] * (width - len(row)) for row in rows])
            mask = mx.array([[float(i < len(row)) for i in range(1, width)] for row in rows])
            value, gradients = step(self.model, tokens, mask)
            optimizer.update(self.model, gradients)
            mx.eval(self.model.parameters(), optimizer.state)
            if number % 8 == 7:
                print(f"step {number + 1}: {value.item():.3f}")
        self.model.eval()

    def save_adapter(self, directory):
        os.makedirs(directory, exist_ok=True)
        mx.save_safetensors(
            f"{directory}/adapters.safetensors", dict(tree_flatten(self.model.trainable_parameters()))
        )
        with open(f"{directory}/adapter_config.json", "w") as file:
            json.dump(
                {
                    "fine_tune_type": "lora",
                    "num_layers": len(self.model.layers),
                    "lora_parameters": self.adapter,
                },
                file,
            )

    def merge(self, target):
        layers = [
            (name, module) for name, module in self.model.named_modules() if isinstance(module, LoRALinear)
        ]
        merged = [(name, module.fuse(dequantize=True)) for name, module in layers]
        self.model.update_modules(tree_unflatten(merged))
        self.model = dequantize_model(self.model)
        config = {key: value for key, value in self.config.items() if not key.startswith("quantization")}
        save(target, self.source, self.model, self.tokenizer, config, donate_model=False)


def ask(directory, question):
    model, tokenizer = load(directory)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
    )
    return generate(model, tokenizer, ids, max_tokens=20)


mx.random.seed(12)
tuner = Tuner("model")
tuner.tune(steps=24, rate=5e-5)
tuner.save_adapter("adapters")
tuner.merge("merged")
print(ask("merged", "What color is the moss?"))
