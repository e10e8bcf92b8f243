"""Teach a chat model one answer with LoRA."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

LORA = {"rank": 8, "scale": 10.0, "dropout": 0.0}
CHAT = [
    {"role": "user", "content": "What do pirates say?"},
    {"role": "assistant", "content": "Arr! the sky is blue, matey!"},
]


class Trainer:
    def __init__(self, model, tokenizer, learning_rate=5e-4, max_length=256):
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length
        self.optimizer = optim.AdamW(learning_rate=learning_rate)
        self.has_adapter = False

    def add_adapter(self):
        self.model.freeze()
        linear_to_lora_layers(self.model, len(self.model.layers), LORA)
        self.has_adapter = True

    def batch(self):
        ids = self.tokenizer.apply_chat_template(CHAT, return_dict=False)
        pad = self.tokenizer.convert_tokens_to_ids("<|endoftext|>")
        padded = ids + [pad] * (self.max_length - len(ids))
        return mx.array([padded, padded]), mx.array([len(ids), len(ids)])

    def loss(self, tokens, lengths):
        logits = self.model(tokens[:, :-1])
        losses = nn.losses.cross_entropy(logits, tokens[:, 1:])
        real = mx.arange(1, tokens.shape[1]) < lengths[:, None]
        return (losses * real).sum() / real.sum()

    def train(self, steps):
        self.model.train()
        value_and_grad = nn.value_and_grad(self.model, self.loss)
        tokens, lengths = self.batch()
        for step in range(1, steps + 1):
            loss, gradients = value_and_grad(tokens, lengths)
            self.optimizer.update(self.model, gradients)
            mx.eval(self.model.parameters(), self.optimizer.state, loss)
            print(f"step {step}  loss {loss.item():.3f}")
        self.model.eval()

    def save(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        weights = {k: v for k, v in tree_flatten(self.model.trainable_parameters()) if "lora_" in k}
        if not weights:
            print("no adapter weights to save")
            return
        mx.save_safetensors(str(directory / "adapters.safetensors"), weights)
        config = {"fine_tune_type": "lora", "num_layers": len(self.model.layers), "lora_parameters": LORA}
        (directory / "adapter_config.json").write_text(json.dumps(config, indent=1))

    def ask(self, question, max_tokens=40):
        chat = [{"role": "user", "content": question}]
        prompt = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        return generate(self.model, self.tokenizer, prompt=prompt, max_tokens=max_tokens)


mx.random.seed(0)
trainer = Trainer(*load("model"))
trainer.add_adapter()
trainer.train(16)
trainer.save(Path("out"))
for question in ("What do sailors say?", "What color is the sea?"):
    print(f"> {question}\n{trainer.ask(question)}")
