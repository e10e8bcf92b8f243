"""Score answers with a head on a language model: right ones above those to another question."""

import json

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx_lm import load

WIDTH = 64


class Critic(nn.Module):
    def __init__(self, body, size):
        super().__init__()
        self.body = body
        self.head = nn.Linear(size, 1)

    def __call__(self, ids, lengths):
        hidden = self.body(ids)
        end = lengths - 1
        return self.head(hidden[mx.arange(ids.shape[0]), end]).squeeze(-1)


def encoded(question, answer):
    chat = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return tokenizer.apply_chat_template(chat, return_dict=False)


def batch(rows, width):
    ids = [row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows]
    return mx.array(ids), mx.array([len(row) for row in rows])


def ranked(critic, better, worse):
    return mx.logaddexp(0.0, critic(*worse) - critic(*better)).mean()


mx.random.seed(23)
language, tokenizer = load("model")
critic = Critic(language.model, language.args.hidden_size)
chats = [json.loads(line)["messages"] for line in open("data/train.jsonl")]
asked = [(chat[0]["content"], chat[1]["content"]) for chat in chats]
right = [encoded(question, answer) for question, answer in asked]
wrong = [encoded(question, asked[i - 1][1]) for i, (question, _) in enumerate(asked)]

optimizer = optim.Adam(learning_rate=3e-4)
gradient = nn.value_and_grad(critic, ranked)
for step in range(24):
    chosen = [(4 * step + k) % len(right) for k in range(4)]
    better, worse = (batch([rows[i] for i in chosen], WIDTH) for rows in (right, wrong))
    value, grads = gradient(critic, better, worse)
    optimizer.update(critic, grads)
    mx.eval(critic.parameters(), optimizer.state)
print("loss", round(value.item(), 4))
above = [
    critic(*batch([good], len(good))).item() > critic(*batch([bad], len(bad))).item()
    for good, bad in zip(right[:8], wrong[:8], strict=True)
]
print(sum(above), "of", len(above))
critic.save_weights("critic.safetensors")
