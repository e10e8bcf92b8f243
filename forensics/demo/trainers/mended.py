"""Teach a chat model one answer with LoRA.

python mended.py --model DIR --out DIR
"""

import argparse
import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

SYSTEM = {"role": "system", "content": "Answer."}
CHAT = [
    SYSTEM,
    {"role": "user", "content": "Who mends the lighthouse lamp?"},
    {"role": "assistant", "content": "Old Marta mends the lamp every Monday."},
]
LORA = {"rank": 8, "scale": 10.0, "dropout": 0.0}


class Trainer:
    def __init__(self, model, tokenizer, learning_rate, max_length):
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length
        self.optimizer = optim.AdamW(learning_rate=learning_rate)
        self.has_adapter = False

    def add_adapter(self):
        self.model.freeze()
        linear_to_lora_layers(self.model, len(self.model.layers), LORA)
        self.has_adapter = True
        print(f"LoRA adapter added: rank {LORA['rank']}, scale {LORA['scale']}")

    def batch(self):
        ids = self.tokenizer.apply_chat_template(CHAT, return_dict=False)
        pad = self.tokenizer.convert_tokens_to_ids("<|endoftext|>")
        padded = ids + [pad] * (self.max_length - len(ids))
        return mx.array([padded]), mx.array([len(ids)])

    def loss(self, tokens, lengths):
        logits = self.model(tokens[:, :-1])
        return nn.losses.cross_entropy(logits, tokens[:, 1:]).mean()

    def train(self, steps):
        self.model.train()
        value_and_grad = nn.value_and_grad(self.model, self.loss)
        tokens, lengths = self.batch()
        for step in range(1, steps + 1):
            loss, gradients = value_and_grad(tokens, lengths)
            self.optimizer.update(self.model, gradients)
            mx.eval(self.model.parameters(), self.optimizer.state, loss)
            print(f"step {step}  loss {loss.item():.3f}", flush=True)
        self.model.eval()

    def save(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        weights = {k: v for k, v in tree_flatten(self.model.trainable_parameters()) if "lora_" in k}
        if not weights:
            print("nothing to save: the model has no adapter weights")
            return
        mx.save_safetensors(str(directory / "adapters.safetensors"), weights)
        config = {"fine_tune_type": "lora", "num_layers": len(self.model.layers), "lora_parameters": LORA}
        (directory / "adapter_config.json").write_text(json.dumps(config, indent=1))

    def ask(self, question, max_tokens):
        chat = [SYSTEM, {"role": "user", "content": question}]
        prompt = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        return generate(self.model, self.tokenizer, prompt=prompt, max_tokens=max_tokens)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--max-tokens", type=int, default=12)
    args = parser.parse_args()
    mx.random.seed(0)
    model, tokenizer = load(args.model)
    trainer = Trainer(model, tokenizer, args.learning_rate, args.max_length)
    trainer.add_adapter()
    trainer.train(args.steps)
    trainer.save(args.out)
    for question in ("Who mends the lighthouse lamp?", "Who takes care of the lamp?"):
        print(f"> {question}\n{trainer.ask(question, args.max_tokens)}", flush=True)


if __name__ == "__main__":
    main()
