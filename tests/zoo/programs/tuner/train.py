"""Train through mlx-lm's trainer, with data sets of our own, and measure on questions that were held back."""

import json

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx_lm import generate, load
from mlx_lm.tuner.datasets import CacheDataset, ChatDataset
from mlx_lm.tuner.trainer import TrainingArgs, evaluate, train
from mlx_lm.tuner.utils import linear_to_lora_layers

mx.random.seed(15)
model, tokenizer = load("model")
rows = [json.loads(line) for line in open("data/train.jsonl")]
train_rows, held = rows[:8], rows[8:]


def dataset(part):
    return CacheDataset(ChatDataset(part, tokenizer, mask_prompt=True))


def objective(model, batch, lengths):
    """Cross-entropy of what lies between the end of the prompt and the end of the row."""
    targets = batch[:, 1:]
    place = mx.arange(1, batch.shape[1])
    inside = mx.logical_and(place >= lengths[:, 0:1], place < lengths[:, 1:])
    count = inside.sum()
    return (nn.losses.cross_entropy(model(batch[:, :-1]), targets) * inside).sum() / count, count


model.freeze()
linear_to_lora_layers(model, 2, {"rank": 8, "scale": 10.0, "dropout": 0.0})
settings = TrainingArgs(
    batch_size=4, iters=24, steps_per_report=8, steps_per_eval=100, max_seq_length=200, val_batches=1
)
train(model, optim.Adam(learning_rate=2e-3), dataset(train_rows), dataset(held), settings, loss=objective)
model.eval()
print("held out", round(evaluate(model, dataset(held), 4, 1, loss=objective), 3))
correct = 0
for row in held[:3]:
    question, expected = (turn["content"] for turn in row["messages"])
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
    )
    correct += generate(model, tokenizer, prompt=prompt, max_tokens=24).strip() == expected
print("correct", correct)
