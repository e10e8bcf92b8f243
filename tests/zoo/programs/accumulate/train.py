"""LoRA with gradients gathered over several small batches, and a warm-up in front of a decaying rate."""

import json
from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

args = SimpleNamespace(
    model="model",
    data="data/train.jsonl",
    iters=48,
    batch_size=2,
    gradient_accumulation_steps=4,
    learning_rate=2e-3,
    warmup=2,
    lora_rank=4,
    lora_alpha=20.0,
    lora_layers=2,
)

mx.random.seed(21)
model, tokenizer = load(args.model)
model.freeze()
linear_to_lora_layers(
    model,
    args.lora_layers,
    {"rank": args.lora_rank, "scale": args.lora_alpha / args.lora_rank, "dropout": 0.0},
)

chats = [json.loads(line)["messages"] for line in Path(args.data).read_text().splitlines()]


def rows(chat):
    prompt = tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False)
    return prompt, tokenizer.encode(chat[1]["content"], add_special_tokens=False) + [tokenizer.eos_token_id]


data = [rows(chat) for chat in chats]


def micro_batch(i):
    part = [data[(i * args.batch_size + k) % len(data)] for k in range(args.batch_size)]
    width = max(len(p) + len(a) for p, a in part)
    tokens = mx.array([p + a + [tokenizer.pad_token_id] * (width - len(p) - len(a)) for p, a in part])
    mask = mx.array([[float(len(p) <= t < len(p) + len(a)) for t in range(1, width)] for p, a in part])
    return tokens, mask


def loss_fn(model, tokens, mask):
    return (nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:]) * mask).sum() / mask.sum()


updates = args.iters // args.gradient_accumulation_steps
warmup = optim.linear_schedule(1e-5, args.learning_rate, args.warmup)
decay = optim.cosine_decay(args.learning_rate, updates - args.warmup)
optimizer = optim.AdamW(learning_rate=optim.join_schedules([warmup, decay], [args.warmup]), weight_decay=0.0)
value_and_grad = nn.value_and_grad(model, loss_fn)

model.train()
gathered = None
count = 0
for i in range(args.iters):
    value, grads = value_and_grad(model, *micro_batch(i))
    gathered = grads if gathered is None else tree_map(lambda a, b: a + b, gathered, grads)
    count += 1
    if count == args.gradient_accumulation_steps:
        optimizer.update(model, tree_map(lambda g: g / args.gradient_accumulation_steps, gathered))
        gathered = None
        count = 0
    mx.eval(model.parameters(), optimizer.state, value, gathered)
    if i % 16 == 15:
        print(i + 1, f"{value.item():.3f}", f"{optimizer.learning_rate.item():.2e}")
model.eval()

folder = Path("adapters")
folder.mkdir(exist_ok=True)
mx.save_safetensors(str(folder / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
parameters = {"rank": args.lora_rank, "scale": args.lora_alpha / args.lora_rank, "dropout": 0.0}
(folder / "adapter_config.json").write_text(
    json.dumps({"fine_tune_type": "lora", "num_layers": args.lora_layers, "lora_parameters": parameters})
)
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is grass?"}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=16))
