"""A pipeline of stages that reports what it did; one failing stage does not stop the others."""

import json
import logging
import sys
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map, tree_unflatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

logging.basicConfig(level=logging.INFO, stream=sys.stdout)
log = logging.getLogger("pipeline")

CONFIG = {
    "base": "model",
    "train_file": "data/train.jsonl",
    "target": "artifacts",
    "lora": {
        "rank": 4,
        "scale": 10.0,
        "dropout": 0.0,
        "keys": ["self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj"],
    },
    "layers": 2,
    "learning_rate": 1e-3,
    "passes": 3,
    "batch_size": 2,
}


class Stage:
    def __init__(self, config, shared):
        self.config, self.shared = config, shared

    def execute(self):
        raise NotImplementedError


class Prepare(Stage):
    def execute(self):
        model, tokenizer = load(self.config["base"])
        model.freeze()
        linear_to_lora_layers(model, self.config["layers"], self.config["lora"])
        self.shared.update(model=model, tokenizer=tokenizer)


class Dataset(Stage):
    def execute(self):
        tokenizer, rows = self.shared["tokenizer"], []
        for line in Path(self.config["train_file"]).read_text().splitlines():
            messages = json.loads(line)["messages"]
            prompt = tokenizer.apply_chat_template(
                messages[:-1], add_generation_prompt=True, return_dict=False
            )
            rows.append((prompt, tokenizer.encode(messages[-1]["content"]) + [tokenizer.eos_token_id]))
        self.shared["rows"] = rows


class Train(Stage):
    def loss(self, model, tokens, mask):
        logits = model(tokens[:, :-1])
        token_losses = nn.losses.cross_entropy(logits, tokens[:, 1:])
        return (token_losses * mask).sum() / mask.sum()

    def batch(self, rows):
        width = max(len(p) + len(a) for p, a in rows)
        pad = self.shared["tokenizer"].pad_token_id
        tokens = [p + a + [pad] * (width - len(p) - len(a)) for p, a in rows]
        mask = [[float(len(p) <= t < len(p) + len(a)) for t in range(1, width)] for p, a in rows]
        return mx.array(tokens), mx.array(mask)

    def execute(self):
        model, rows, size = self.shared["model"], self.shared["rows"], self.config["batch_size"]
        optimizer = optim.AdamW(learning_rate=self.config["learning_rate"])
        value_and_grad = nn.value_and_grad(model, self.loss)
        model.train()
        done = 0
        for _ in range(self.config["passes"]):
            for start in range(0, len(rows) - size + 1, size):
                try:
                    value, gradients = value_and_grad(model, *self.batch(rows[start : start + size]))
                    optimizer.update(model, gradients)
                    mx.eval(model.parameters(), optimizer.state, value)
                    done += 1
                except Exception as error:
                    log.warning("batch %d: %s", start, error)
        model.eval()
        self.shared["optimizer"] = optimizer
        log.info("%d batches, last loss %.3f", done, value.item())


class Export(Stage):
    def execute(self):
        target = Path(self.config["target"])
        target.mkdir(exist_ok=True)
        weights = {k: v for k, v in tree_flatten(self.shared["model"].parameters()) if "lora" in k}
        mx.save_safetensors(str(target / "adapters.safetensors"), weights)
        settings = {
            "fine_tune_type": "lora",
            "num_layers": self.config["layers"],
            "lora_parameters": self.config["lora"],
        }
        (target / "adapter_config.json").write_text(json.dumps(settings))


class Answer(Stage):
    def execute(self):
        tokenizer = self.shared["tokenizer"]
        for question in ("What color is the plum?", "What is the capital of Egypt?"):
            chat = [{"role": "user", "content": question}]
            prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
            log.info(
                "%s %s", question, generate(self.shared["model"], tokenizer, prompt=prompt, max_tokens=16)
            )


mx.random.seed(8)
shared = {}
report = {}
for stage in (Prepare, Dataset, Train, Export, Answer):
    try:
        stage(CONFIG, shared).execute()
        report[stage.__name__] = "ok"
    except Exception as error:
        report[stage.__name__] = f"failed: {error}"
log.info("report: %s", report)
