"""A trainer in classes: settings, data, model and training apart."""

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map, tree_unflatten
from mlx_lm import generate, load
from mlx_lm.tuner.lora import LoRALinear

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("tuning")


@dataclass
class AdapterSettings:
    rank: int = 4
    alpha: float = 16.0
    dropout: float = 0.0
    num_layers: int = 2
    target_modules: list = field(default_factory=lambda: ["self_attn.q_proj", "self_attn.v_proj"])


@dataclass
class Settings:
    model: str = "model"
    data: str = "data/train.jsonl"
    output: str = "out"
    epochs: int = 4
    batch_size: int = 2
    learning_rate: float = 2e-3
    adapter: AdapterSettings = field(default_factory=AdapterSettings)


class ChatData:
    def __init__(self, tokenizer, path):
        self.tokenizer = tokenizer
        self.items = [
            self._encode(json.loads(line)["messages"]) for line in Path(path).read_text().splitlines()
        ]

    def _encode(self, messages):
        prompt = self.tokenizer.apply_chat_template(
            messages[:-1], add_generation_prompt=True, return_dict=False
        )
        answer = self.tokenizer.encode(messages[-1]["content"], add_special_tokens=False)
        return prompt, answer + [self.tokenizer.eos_token_id]

    def batches(self, size):
        for start in range(0, len(self.items) - size + 1, size):
            part = self.items[start : start + size]
            width = max(len(p) + len(a) for p, a in part)
            pad = self.tokenizer.pad_token_id
            yield (
                mx.array([p + a + [pad] * (width - len(p) - len(a)) for p, a in part]),
                mx.array([len(p) for p, _ in part]),
                mx.array([len(p) + len(a) for p, a in part]),
            )


class AdapterManager:
    def __init__(self, model, settings):
        self.model, self.settings = model, settings

    def attach(self):
        s = self.settings
        self.model.freeze()
        attached = 0
        for layer in self.model.layers[-s.num_layers :]:
            found = []
            for name, module in layer.named_modules():
                if name in s.target_modules:
                    found.append(
                        (
                            name,
                            LoRALinear.from_base(module, r=s.rank, dropout=s.dropout, scale=s.alpha / s.rank),
                        )
                    )
            layer.update_modules(tree_unflatten(found))
            attached += len(found)
        log.info("adapter: %d layers, rank %d", attached, s.rank)

    def save(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        s = self.settings
        weights = {
            name: value
            for name, value in tree_flatten(self.model.parameters())
            if name.endswith(("lora_a", "lora_b"))
        }
        mx.save_safetensors(str(directory / "adapters.safetensors"), weights)
        parameters = {
            "rank": s.rank,
            "scale": s.alpha / s.rank,
            "dropout": s.dropout,
            "keys": s.target_modules,
        }
        config = {"fine_tune_type": "lora", "num_layers": s.num_layers, "lora_parameters": parameters}
        (directory / "adapter_config.json").write_text(json.dumps(config))


class Trainer:
    def __init__(self, settings):
        mx.random.seed(11)
        self.settings = settings
        self.model, self.tokenizer = load(settings.model)
        self.manager = AdapterManager(self.model, settings.adapter)
        self.manager.attach()
        self.data = ChatData(self.tokenizer, settings.data)
        self.optimizer = optim.Adam(learning_rate=settings.learning_rate)
        self.history = []

    def loss(self, tokens, begins, ends):
        logits = self.model(tokens[:, :-1])
        targets = tokens[:, 1:]
        positions = mx.arange(1, tokens.shape[1])[None]
        mask = (positions >= begins[:, None]) & (positions < ends[:, None])
        losses = nn.losses.cross_entropy(logits, targets) * mask
        return losses.sum() / mask.sum()

    def step(self, batch):
        value, gradients = self.value_and_grad(*batch)
        self.optimizer.update(self.model, gradients)
        mx.eval(self.model.state, self.optimizer.state, value)
        return value.item()

    def train(self):
        self.value_and_grad = nn.value_and_grad(self.model, self.loss)
        self.model.train()
        for epoch in range(self.settings.epochs):
            losses = [self.step(batch) for batch in self.data.batches(self.settings.batch_size)]
            self.history.append(sum(losses) / len(losses))
            log.info("epoch %d: %.3f", epoch, self.history[-1])
        self.model.eval()

    def finish(self):
        self.manager.save(Path(self.settings.output))
        Path(self.settings.output, "settings.json").write_text(json.dumps(asdict(self.settings)))

    def answer(self, question):
        prompt = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
        )
        return generate(self.model, self.tokenizer, prompt=prompt, max_tokens=20)


trainer = Trainer(Settings())
trainer.train()
trainer.finish()
log.info("answer: %s", trainer.answer("What color is snow?"))
