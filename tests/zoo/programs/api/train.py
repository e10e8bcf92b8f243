"""Fine-tune with mlx-lm's own trainer."""

import json
import types
from pathlib import Path

import mlx.core as mx
import mlx.optimizers as optim
import numpy as np
from mlx_lm import generate, load
from mlx_lm.tuner.datasets import CacheDataset, load_dataset
from mlx_lm.tuner.trainer import TrainingArgs, train
from mlx_lm.tuner.utils import linear_to_lora_layers, print_trainable_parameters
from mlx_lm.utils import save_config

ITERS = 32
settings = {
    "model": "model",
    "data": "data",
    "train": True,
    "test": False,
    "mask_prompt": True,
    "fine_tune_type": "lora",
    "num_layers": 2,
    "lora_parameters": {
        "rank": 8,
        "scale": 6.0,
        "dropout": 0.0,
        "keys": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"],
    },
}


def main():
    mx.random.seed(1)
    np.random.seed(1)
    args = types.SimpleNamespace(**settings)
    model, tokenizer = load(args.model)
    train_set, valid_set, _ = load_dataset(args, tokenizer)

    model.freeze()
    linear_to_lora_layers(model, args.num_layers, args.lora_parameters)
    print_trainable_parameters(model)

    folder = Path("adapters")
    folder.mkdir(exist_ok=True)
    save_config(dict(settings), folder / "adapter_config.json")
    rate = optim.cosine_decay(1e-3, ITERS)
    optimizer = optim.AdamW(learning_rate=rate)
    train(
        model=model,
        optimizer=optimizer,
        train_dataset=CacheDataset(train_set),
        val_dataset=CacheDataset(valid_set),
        args=TrainingArgs(
            batch_size=2,
            iters=ITERS,
            val_batches=2,
            steps_per_report=16,
            steps_per_eval=ITERS,
            max_seq_length=128,
            adapter_file=str(folder / "adapters.safetensors"),
        ),
    )
    model.eval()
    for question in ("What color is grass?", "What is the capital of Japan?"):
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
        )
        print(question, generate(model, tokenizer, prompt=prompt, max_tokens=16))
    return model, tokenizer, optimizer


if __name__ == "__main__":
    model, tokenizer, optimizer = main()
