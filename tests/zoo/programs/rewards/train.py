"""Policy gradient: draw a group of answers, reward them, push those that are better than their group."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.sample_utils import make_sampler
from mlx_lm.tuner.utils import linear_to_lora_layers

GROUP = 4
STEPS = 6
QUESTIONS = ["What color is the sky?", "What color is the moss?", "What is the capital of Peru?"]

mx.random.seed(5)
model, tokenizer = load("model")
model.freeze()
linear_to_lora_layers(model, len(model.layers), {"rank": 4, "scale": 10.0, "dropout": 0.0})
sampler = make_sampler(temp=2.0)


def reward(text):
    return -abs(len(text) - 12)


def chat(question):
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
    )


def loss(model, ids, mask, advantages):
    likely = -nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:])
    ratio = mx.exp(likely - mx.stop_gradient(likely))
    return -(ratio * advantages[:, None] * mask).sum() / mask.sum()


optimizer = optim.Adam(learning_rate=1e-3)
gradient = nn.value_and_grad(model, loss)
for step in range(STEPS):
    prompt = chat(QUESTIONS[step % len(QUESTIONS)])
    texts = [generate(model, tokenizer, prompt=prompt, max_tokens=10, sampler=sampler) for _ in range(GROUP)]
    rewards = mx.array([float(reward(text)) for text in texts])
    advantages = (rewards - rewards.mean()) / (mx.std(rewards) + 1e-4)
    rows = [prompt + tokenizer.encode(text, add_special_tokens=False) for text in texts]
    width = max(map(len, rows))
    ids = mx.array([row + [0] * (width - len(row)) for row in rows])
    mask = mx.array([[float(len(prompt) <= i < len(row)) for i in range(1, width)] for row in rows])
    value, grads = gradient(model, ids, mask, advantages)
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state)
    print(step, rewards.mean().item(), round(value.item(), 4))
mx.save_safetensors("policy.safetensors", dict(tree_flatten(model.trainable_parameters())))
