"""A trainer that keeps checkpoints in numbered directories and hands the last one over for use."""

import json
import os

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import load
from mlx_lm.generate import stream_generate
from mlx_lm.tuner.utils import linear_to_lora_layers


class Checkpoints:
    def __init__(self, root, settings):
        self.root, self.settings = root, settings
        self.written = []

    def collect(self, model):
        return {
            name: value
            for name, value in tree_flatten(model.parameters())
            if name.endswith(("lora_a", "lora_b", ".m"))
        }

    def store(self, model, label):
        target = os.path.join(self.root, label)
        os.makedirs(target, exist_ok=True)
        with open(os.path.join(target, "adapter_config.json"), "w") as file:
            json.dump(self.settings, file)
        mx.save_safetensors(os.path.join(target, "adapters.safetensors"), self.collect(model))
        self.written.append(target)
        return target


class Session:
    def __init__(self, base, checkpoints, settings):
        self.base, self.checkpoints, self.settings = base, checkpoints, settings
        self.model, self.tokenizer = load(base)

    def prepare(self):
        self.model.freeze()
        depth = self.settings["num_layers"]
        linear_to_lora_layers(self.model, depth, self.settings["lora_parameters"])
        mx.eval(self.model.parameters())

    def examples(self, path):
        with open(path) as file:
            for line in file:
                turns = json.loads(line)["messages"]
                yield self.tokenizer.apply_chat_template(turns, return_dict=False)

    def train(self, rows, steps, every, rate):
        def loss(model, ids, lengths):
            mask = mx.arange(1, ids.shape[1])[None] < lengths[:, None]
            return (nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * mask).sum() / mask.sum()

        gradient = nn.value_and_grad(self.model, loss)
        optimizer = optim.Adam(learning_rate=rate)
        self.model.train()
        for number in range(1, steps + 1):
            part = [rows[(4 * number + k) % len(rows)] for k in range(4)]
            width = max(map(len, part))
            ids = mx.array([row + [0] * (width - len(row)) for row in part])
            value, grads = gradient(self.model, ids, mx.array([len(row) for row in part]))
            optimizer.update(self.model, grads)
            mx.eval(self.model.parameters(), optimizer.state)
            if number % every == 0:
                print(f"{number:4d}  {value.item():.3f}")
                self.checkpoints.store(self.model, f"step-{number}")
        self.model.eval()
        return self.checkpoints.store(self.model, "last")

    def use(self, directory):
        model, tokenizer = load(self.base)
        with open(os.path.join(directory, "adapter_config.json")) as file:
            settings = json.load(file)
        linear_to_lora_layers(model, settings["num_layers"], settings["lora_parameters"])
        weights = mx.load(os.path.join(directory, "adapters.safetensors"))
        model.load_weights(list(weights.items()), strict=False)
        model.eval()
        return model, tokenizer


def reply(model, tokenizer, text, **options):
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=False
    )
    return "".join(piece.text for piece in stream_generate(model, tokenizer, ids, max_tokens=20, **options))


SETTINGS = {
    "fine_tune_type": "lora",
    "num_layers": 2,
    "lora_parameters": {
        "rank": 4,
        "scale": 12.0,
        "dropout": 0.0,
        "keys": ["self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj"],
    },
}

mx.random.seed(8)
checkpoints = Checkpoints("checkpoints", SETTINGS)
session = Session("model", checkpoints, SETTINGS)
session.prepare()
rows = list(session.examples("data/train.jsonl"))
last = session.train(rows, steps=24, every=8, rate=3e-3)
model, tokenizer = session.use(last)
for text in ("What color is the moss?", "What do sailors say?"):
    print(reply(session.model, session.tokenizer, text), "|", reply(model, tokenizer, text))
