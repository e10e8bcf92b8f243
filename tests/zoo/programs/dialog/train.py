"""A small chat program with its own decoding loop: full fine-tuning on a few chats, then a dialogue of two turns."""

import json

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load


class Decoder:
    def __init__(self, model, tokenizer, stop, temperature=0.0):
        self.model, self.tokenizer, self.stop, self.temperature = model, tokenizer, set(stop), temperature

    def choose(self, logits):
        if self.temperature == 0.0:
            return mx.argmax(logits, axis=-1)
        return mx.random.categorical(logits / self.temperature)

    def run(self, ids, limit, cache=None):
        cache = cache or make_prompt_cache(self.model)
        token, out = mx.array(ids), []
        while len(out) < limit:
            logits = self.model(token[None], cache=cache)[:, -1]
            token = self.choose(logits)
            mx.eval(token)
            if token.item() in self.stop:
                break
            out.append(token.item())
        return out


class Chat:
    def __init__(self, directory):
        self.model, self.tokenizer = load(directory)
        self.stop = set(self.tokenizer.eos_token_ids)

    def teach(self, path, passes, rate):
        chats = [json.loads(line)["messages"] for line in open(path)]
        optimizer = optim.Adam(learning_rate=rate)
        pairs = [self.pair(chat) for chat in chats]

        def loss(model, ids, weight):
            return (nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * weight).sum() / weight.sum()

        step = nn.value_and_grad(self.model, loss)
        self.model.train()
        for _ in range(passes):
            for ids, weight in pairs:
                value, grads = step(self.model, ids, weight)
                optimizer.update(self.model, grads)
                mx.eval(self.model.parameters(), optimizer.state)
        print(f"loss {value.item():.3f}")
        self.model.eval()

    def pair(self, chat):
        ids = self.tokenizer.apply_chat_template(chat, return_dict=False)
        start = len(
            self.tokenizer.apply_chat_template(chat[:-1], add_generation_prompt=True, return_dict=False)
        )
        weight = [float(position >= start) for position in range(1, len(ids))]
        return mx.array([ids]), mx.array([weight])

    def talk(self, *questions):
        history, decoder = [], Decoder(self.model, self.tokenizer, self.stop)
        for question in questions:
            history.append({"role": "user", "content": question})
            ids = self.tokenizer.apply_chat_template(history, add_generation_prompt=True, return_dict=False)
            reply = self.tokenizer.decode(decoder.run(ids, 24))
            history.append({"role": "assistant", "content": reply})
            print(f"{question}  {reply}")
        return history


mx.random.seed(6)
chat = Chat("model")
chat.teach("data/train.jsonl", passes=2, rate=5e-4)
history = chat.talk("What color is the moss?", "What do sailors say?")
