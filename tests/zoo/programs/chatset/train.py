"""Supervised fine-tuning of a chat model on packed conversations, all in one class."""

import json
import math
import random

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import load, stream_generate
from mlx_lm.sample_utils import make_sampler
from mlx_lm.tuner.lora import LoRALinear


class PackedChats:
    """Whole conversations, one after another, in blocks of at most `block` tokens."""

    def __init__(self, path, tokenizer, block):
        self.tokenizer, self.block = tokenizer, block
        self.filler = tokenizer.convert_tokens_to_ids("<|endoftext|>")
        with open(path) as lines:
            self.chats = [json.loads(line)["messages"] for line in lines]
        self.rows = list(self.pack())

    def tokens(self, chat):
        return self.tokenizer.apply_chat_template(chat, return_dict=False)

    def pack(self):
        row = []
        for chat in self.chats:
            piece = self.tokens(chat)
            if row and len(row) + len(piece) > self.block:
                yield row
                row = []
            row = row + piece
        yield row

    def __len__(self):
        return len(self.rows)

    def arrays(self, chosen):
        rows = [self.rows[i] for i in chosen]
        width = max(map(len, rows))
        tokens = mx.array([row + [self.filler] * (width - len(row)) for row in rows])
        lengths = mx.array([len(row) for row in rows])
        return tokens, lengths


class ChatTrainer:
    def __init__(self, directory, rank=4, scale=8.0, learning_rate=3e-3, block=96):
        self.model, self.tokenizer = load(directory)
        self.data = PackedChats("data/train.jsonl", self.tokenizer, block)
        self.rank, self.scale = rank, scale
        self.optimizer = optim.Adam(learning_rate=learning_rate)
        self.shuffle = random.Random(3)

    def attach(self):
        self.model.freeze()
        for block in self.model.layers:
            attention = block.self_attn
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                setattr(
                    attention,
                    name,
                    LoRALinear.from_base(getattr(attention, name), r=self.rank, scale=self.scale),
                )
            block.mlp.down_proj = LoRALinear.from_base(block.mlp.down_proj, r=self.rank, scale=self.scale)

    def objective(self, tokens, lengths):
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        positions = mx.arange(1, tokens.shape[1])
        mask = (positions < lengths[:, None]).astype(mx.float32)
        nll = nn.losses.cross_entropy(self.model(inputs), targets)
        return (nll * mask).sum() / mask.sum()

    def epoch(self, step, size=2):
        order = list(range(len(self.data)))
        self.shuffle.shuffle(order)
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            tokens, lengths = self.data.arrays(chosen)
            loss, gradients = step(tokens, lengths)
            self.optimizer.update(self.model, gradients)
            mx.eval(self.model.state, self.optimizer.state)
            yield loss.item()

    def fit(self, epochs):
        step = nn.value_and_grad(self.model, self.objective)
        self.model.train()
        for number in range(epochs):
            losses = list(self.epoch(step))
            print(f"[{number + 1}/{epochs}] perplexity {math.exp(min(20.0, sum(losses) / len(losses))):.2f}")
        self.model.eval()

    def save(self, path):
        mx.save_safetensors(path, dict(tree_flatten(self.model.trainable_parameters())))

    def prompt(self, question):
        return self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
        )

    def reply(self, question, limit=24):
        sampler = make_sampler(temp=0.0)
        pieces = stream_generate(
            self.model, self.tokenizer, self.prompt(question), max_tokens=limit, sampler=sampler
        )
        return "".join(piece.text for piece in pieces)


mx.random.seed(11)
trainer = ChatTrainer("model")
trainer.attach()
trainer.fit(epochs=20)
trainer.save("chat.safetensors")
for question in ("What color is the moss?", "What do sailors say?"):
    print(repr(trainer.reply(question)))
