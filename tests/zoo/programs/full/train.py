"""Full fine-tuning of every weight, at a small rate, in a compiled step."""

import argparse
import json
from functools import partial
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map
from mlx_lm import generate, load

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="model")
parser.add_argument("--data", default="data/train.jsonl")
parser.add_argument("--fine-tune-type", default="full", choices=["full"])
parser.add_argument("--steps", type=int, default=16)
parser.add_argument("--batch-size", type=int, default=4)
parser.add_argument("--learning-rate", type=float, default=2e-4)
parser.add_argument("--out", type=Path, default=Path("tuned"))
args = parser.parse_args()

mx.random.seed(2)
model, tokenizer = load(args.model)
start = dict(tree_flatten(model.parameters()))
print(f"{len(start)} tensors, {sum(v.size for v in start.values()):,} parameters")

examples = []
for line in open(args.data):
    messages = json.loads(line)["messages"]
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
    answer = tokenizer.encode(messages[-1]["content"], add_special_tokens=False) + [tokenizer.eos_token_id]
    examples.append((prompt + answer, len(prompt)))


def batch_of(part):
    width = max(len(ids) for ids, _ in part)
    x = mx.array([ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids, _ in part])
    at = mx.arange(1, width)[None]
    begin, end = mx.array([[s] for _, s in part]), mx.array([[len(ids)] for ids, _ in part])
    return x, ((at >= begin) & (at < end)).astype(mx.float32)


def loss_fn(x, mask):
    logits = model(x[:, :-1]).astype(mx.float32)
    losses = nn.losses.cross_entropy(logits, x[:, 1:])
    return (losses * mask).sum() / mask.sum()


optimizer = optim.AdamW(learning_rate=args.learning_rate, weight_decay=0.0)
value_and_grad = nn.value_and_grad(model, loss_fn)

losses = []
model.train()
for i in range(args.steps):
    first = (i * args.batch_size) % len(examples)
    x, mask = batch_of([examples[(first + k) % len(examples)] for k in range(args.batch_size)])
    value, grads = value_and_grad(x, mask)
    grads, norm = optim.clip_grad_norm(grads, 1.0)
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state, value)
    losses.append(value.item())
print("loss", round(losses[0], 3), "->", round(losses[-1], 3))
model.eval()

args.out.mkdir(exist_ok=True)
model.save_weights(str(args.out / "model.safetensors"))
(args.out / "config.json").write_text(Path(args.model, "config.json").read_text())

question = [{"role": "user", "content": "What color is the sun?"}]
prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_dict=False)
print(generate(model, tokenizer, prompt=prompt, max_tokens=16))
