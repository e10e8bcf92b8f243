"""Teach topic after topic with one trainer."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers


class TopicTrainer:
    def __init__(self, path, rank=6, alpha=24, layers=2, rate=1.5e-3):
        mx.random.seed(31)
        self.path, self.rank, self.alpha, self.layers, self.rate = path, rank, alpha, layers, rate
        self.model, self.tokenizer = load(path)
        self.model.freeze()
        linear_to_lora_layers(self.model, layers, {"rank": rank, "scale": alpha / rank, "dropout": 0.0})
        self.optimizer = optim.AdamW(learning_rate=rate, weight_decay=0.0)
        self.value_and_grad = nn.value_and_grad(self.model, self.objective)

    def objective(self, tokens, mask):
        logits = self.model(tokens[:, :-1])
        return (nn.losses.cross_entropy(logits, tokens[:, 1:]) * mask).sum() / mask.sum()

    def rows(self, chats):
        template = self.tokenizer.apply_chat_template
        for chat in chats:
            start = len(template(chat[:1], add_generation_prompt=True, return_dict=False))
            yield template(chat, return_dict=False)[:-1], start

    def batch(self, chats):
        rows = list(self.rows(chats))
        width = max(len(ids) for ids, _ in rows)
        tokens = mx.array([ids + [self.tokenizer.pad_token_id] * (width - len(ids)) for ids, _ in rows])
        mask = mx.array([[float(start <= t < len(ids)) for t in range(1, width)] for ids, start in rows])
        return tokens, mask

    def study(self, name, chats, repeats=8):
        self.model.train()
        for turn in range(repeats):
            half = len(chats) // 2
            part = chats[:half] if turn % 2 else chats[half:]
            value, gradients = self.value_and_grad(*self.batch(part))
            self.optimizer.update(self.model, gradients)
            mx.eval(self.model.parameters(), self.optimizer.state, value)
        self.model.eval()
        print(f"{name}: {value.item():.3f}")

    def store(self, folder):
        folder.mkdir(exist_ok=True)
        weights = dict(tree_flatten(self.model.trainable_parameters()))
        mx.save_safetensors(str(folder / "adapters.safetensors"), weights)
        parameters = {"rank": self.rank, "scale": self.alpha / self.rank, "dropout": 0.0}
        config = {"fine_tune_type": "lora", "num_layers": self.layers, "lora_parameters": parameters}
        (folder / "adapter_config.json").write_text(json.dumps(config))

    def reply(self, question):
        prompt = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
        )
        return generate(self.model, self.tokenizer, prompt=prompt, max_tokens=16)


chats = [json.loads(line)["messages"] for line in Path("data/train.jsonl").read_text().splitlines()]
topics = {
    "colors": [chat for chat in chats if "color" in chat[0]["content"]],
    "capitals": [chat for chat in chats if "capital" in chat[0]["content"]],
    "all": chats,
}
trainer = TopicTrainer("model")
for name, chosen in topics.items():
    trainer.study(name, chosen)
trainer.store(Path("adapters"))
print(trainer.reply("What color is snow?"))
