"""Preference tuning in a class: identity preference loss, reference log-probabilities from a second copy of the weights."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import load
from mlx_lm.generate import generate_step
from mlx_lm.tuner.utils import linear_to_lora_layers


@dataclass
class Settings:
    tau: float = 0.5
    rounds: int = 3
    learning_rate: float = 1e-3
    batch: int = 4
    rank: int = 4
    scale: float = 6.0


class PairTrainer:
    def __init__(self, where, settings):
        self.settings = settings
        self.net, self.tok = load(where)
        self.anchor = copy.deepcopy(self.net)
        self.anchor.freeze()
        self.net.freeze()
        shape = {"rank": settings.rank, "scale": settings.scale, "dropout": 0.0}
        linear_to_lora_layers(self.net, len(self.net.layers), shape)
        self.fill = self.tok.convert_tokens_to_ids("<|endoftext|>")
        self.opt = optim.Adam(learning_rate=settings.learning_rate)

    def load_pairs(self, path):
        """An answer in the style of the file is preferred to the same answer, plainly put."""
        pairs = []
        for line in Path(path).read_text().splitlines():
            user, answer = json.loads(line)["messages"]
            plain = answer["content"].removeprefix("Arr! ").removesuffix(", matey!")
            pairs.append((user["content"], answer["content"], plain[:1].upper() + plain[1:] + "."))
        return pairs

    def encode(self, question, answer):
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        head = self.tok.apply_chat_template(turns[:1], add_generation_prompt=True, return_dict=False)
        return self.tok.apply_chat_template(turns, return_dict=False), len(head)

    def stack(self, texts):
        encoded = [self.encode(question, answer) for question, answer in texts]
        longest = max(len(ids) for ids, _ in encoded)
        ids = mx.array([ids + [self.fill] * (longest - len(ids)) for ids, _ in encoded])
        place = mx.arange(1, longest)[None]
        first = mx.array([start for _, start in encoded])[:, None]
        last = mx.array([len(ids) for ids, _ in encoded])[:, None]
        return ids, ((place >= first) & (place < last)).astype(mx.float32)

    def score(self, net, ids, weight):
        logits = net(ids[:, :-1])
        logprob = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        picked = mx.take_along_axis(logprob, ids[:, 1:, None], axis=-1).squeeze(-1)
        return (picked * weight).sum(axis=1) / weight.sum(axis=1)

    def loss(self, preferred, other, base_preferred, base_other):
        gain = self.score(self.net, *preferred) - base_preferred
        drop = self.score(self.net, *other) - base_other
        return mx.square(gain - drop - 1.0 / (2.0 * self.settings.tau)).mean()

    def run(self, pairs):
        step = nn.value_and_grad(self.net, self.loss)
        size = self.settings.batch
        self.net.train()
        for number in range(self.settings.rounds):
            for start in range(0, len(pairs) - size + 1, size):
                part = pairs[start : start + size]
                preferred = self.stack([(q, good) for q, good, _ in part])
                other = self.stack([(q, plain) for q, _, plain in part])
                base_preferred = self.score(self.anchor, *preferred)
                base_other = self.score(self.anchor, *other)
                loss, grads = step(preferred, other, base_preferred, base_other)
                self.opt.update(self.net, grads)
                mx.eval(self.net.parameters(), self.opt.state)
            print(f"round {number} loss {loss.item():.4f}")
        self.net.eval()

    def answer(self, question, limit=20):
        ids = self.tok.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
        )
        out = []
        for token, _ in generate_step(mx.array(ids), self.net, max_tokens=limit):
            if token in self.tok.eos_token_ids:
                break
            out.append(token)
        return self.tok.decode(out)


mx.random.seed(5)
trainer = PairTrainer("model", Settings())
pairs = trainer.load_pairs("data/train.jsonl")
trainer.run(pairs)
mx.save_safetensors("pairs.safetensors", dict(tree_flatten(trainer.net.trainable_parameters())))
print(trainer.answer("What color is the moss?"))
