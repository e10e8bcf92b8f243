"""Direct preference optimisation: a LoRA policy against a frozen reference, on pairs of answers."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

BETA = 0.1
STEPS = 6
THINGS = {
    "sky": "blue",
    "grass": "green",
    "sun": "yellow",
    "snow": "white",
    "coal": "black",
    "blood": "red",
    "plum": "purple",
}

mx.random.seed(1)
policy, tokenizer = load("model")
reference, _ = load("model")
reference.freeze()
policy.freeze()
linear_to_lora_layers(policy, len(policy.layers), {"rank": 8, "scale": 10.0, "dropout": 0.0})

pad = tokenizer.convert_tokens_to_ids("<|endoftext|>")


def tokens(question, answer):
    chat = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    start = len(tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False))
    return tokenizer.apply_chat_template(chat, return_dict=False), start


def side(pairs):
    rows = [tokens(question, answer) for question, answer in pairs]
    width = max(len(ids) for ids, _ in rows)
    ids = mx.array([ids + [pad] * (width - len(ids)) for ids, _ in rows])
    mask = mx.array([[float(start <= i < len(ids)) for i in range(1, width)] for ids, start in rows])
    return ids, mask


def log_likelihood(model, ids, mask):
    logits = model(ids[:, :-1])
    return -(nn.losses.cross_entropy(logits, ids[:, 1:]) * mask).sum(axis=1)


def dpo(chosen, rejected, chosen_mask, rejected_mask):
    ratio_chosen = log_likelihood(policy, chosen, chosen_mask) - mx.stop_gradient(
        log_likelihood(reference, chosen, chosen_mask)
    )
    ratio_rejected = log_likelihood(policy, rejected, rejected_mask) - mx.stop_gradient(
        log_likelihood(reference, rejected, rejected_mask)
    )
    margin = BETA * (ratio_chosen - ratio_rejected)
    return mx.logaddexp(0.0, -margin).mean()


questions = [f"What color is the {thing}?" for thing in THINGS]
good = [f"Arr! the {thing} is {color}, matey!" for thing, color in THINGS.items()]
bad = [f"The {thing} is {color}." for thing, color in THINGS.items()]
step = nn.value_and_grad(policy, dpo)
optimizer = optim.AdamW(learning_rate=3e-4, weight_decay=0.0)
policy.train()
for number in range(STEPS):
    picked = [(number * 3 + k) % len(questions) for k in range(3)]
    chosen, chosen_mask = side([(questions[i], good[i]) for i in picked])
    rejected, rejected_mask = side([(questions[i], bad[i]) for i in picked])
    loss, grads = step(chosen, rejected, chosen_mask, rejected_mask)
    optimizer.update(policy, grads)
    mx.eval(policy.parameters(), optimizer.state)
    print(f"{number} {loss.item():.4f}")
policy.eval()
mx.save_safetensors("policy.safetensors", dict(tree_flatten(policy.trainable_parameters())))


def respond(question):
    chat = [{"role": "user", "content": question}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    return generate(policy, tokenizer, prompt=ids, max_tokens=24)


print(respond("What color is the moss?"))
