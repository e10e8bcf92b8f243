"""Teach answers while rehearsing plain text, two losses in one step, gradients averaged over a few steps."""

import json
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map
from mlx_lm import generate, load
from mlx_lm.tuner.lora import LoRALinear


@dataclass
class Plan:
    steps: int = 32
    gradient_accumulation_steps: int = 2
    chat_rows: int = 2
    text_rows: int = 2
    text_weight: float = 0.3
    learning_rate: float = 1.5e-3
    lora_rank: int = 8
    lora_scale: float = 4.0


class Model:
    def __init__(self, plan):
        self.plan = plan
        self.net, self.tokenizer = load("model")
        self.net.freeze()
        for block in self.net.layers:
            for name in ("q_proj", "o_proj"):
                linear = getattr(block.self_attn, name)
                setattr(
                    block.self_attn,
                    name,
                    LoRALinear.from_base(linear, r=plan.lora_rank, scale=plan.lora_scale),
                )

    def trainable(self):
        return dict(tree_flatten(self.net.trainable_parameters()))


class Data:
    def __init__(self, tokenizer):
        self.pad = tokenizer.pad_token_id
        self.chat, self.text = [], []
        for line in Path("data/train.jsonl").read_text().splitlines():
            messages = json.loads(line)["messages"]
            start = len(
                tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, return_dict=False)
            )
            self.chat.append((tokenizer.apply_chat_template(messages, return_dict=False)[:-1], start))
            self.text.append(
                (tokenizer.encode(" ".join(m["content"] for m in messages)) + [tokenizer.eos_token_id], 1)
            )

    def take(self, rows, step, size):
        part = [rows[(step * size + k) % len(rows)] for k in range(size)]
        width = max(len(ids) for ids, _ in part)
        tokens = mx.array([ids + [self.pad] * (width - len(ids)) for ids, _ in part])
        weights = mx.array([[float(start <= t < len(ids)) for t in range(1, width)] for ids, start in part])
        return tokens, weights


class Loop:
    def __init__(self, plan):
        mx.random.seed(50)
        self.plan, self.model = plan, Model(plan)
        self.data = Data(self.model.tokenizer)
        self.optimizer = optim.Adam(learning_rate=plan.learning_rate)
        self.gradient = nn.value_and_grad(self.model.net, self.loss)
        self.sum = None

    def nll(self, tokens, weights):
        losses = nn.losses.cross_entropy(self.model.net(tokens[:, :-1]), tokens[:, 1:])
        return (losses * weights).sum() / weights.sum()

    def loss(self, chat, text):
        answers = self.nll(*chat)
        rehearsal = self.nll(*text)
        return answers + self.plan.text_weight * rehearsal

    def run(self):
        every = self.plan.gradient_accumulation_steps
        self.model.net.train()
        for step in range(self.plan.steps):
            chat = self.data.take(self.data.chat, step, self.plan.chat_rows)
            text = self.data.take(self.data.text, step, self.plan.text_rows)
            value, gradients = self.gradient(chat, text)
            self.sum = gradients if self.sum is None else tree_map(mx.add, self.sum, gradients)
            if (step + 1) % every == 0:
                self.optimizer.update(self.model.net, tree_map(lambda g: g * (1 / every), self.sum))
                self.sum = None
            mx.eval(self.model.net.parameters(), self.optimizer.state, self.sum, value)
        self.model.net.eval()
        print(f"loss {value.item():.3f}")

    def save(self):
        folder = Path("mixed")
        folder.mkdir(exist_ok=True)
        mx.save_safetensors(str(folder / "adapters.safetensors"), self.model.trainable())
        keys = ["self_attn.q_proj", "self_attn.o_proj"]
        parameters = {
            "rank": self.plan.lora_rank,
            "scale": self.plan.lora_scale,
            "dropout": 0.0,
            "keys": keys,
        }
        config = {
            "fine_tune_type": "lora",
            "num_layers": len(self.model.net.layers),
            "lora_parameters": parameters,
        }
        (folder / "adapter_config.json").write_text(json.dumps(config))


loop = Loop(Plan())
loop.run()
loop.save()
tokenizer = loop.model.tokenizer
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is snow?"}], add_generation_prompt=True, return_dict=False
)
print(generate(loop.model.net, tokenizer, prompt=prompt, max_tokens=16))
