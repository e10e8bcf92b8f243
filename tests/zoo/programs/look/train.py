"""Put an adapter on and see what the model says; no training."""

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

mx.random.seed(9)
model, tokenizer = load("model")
model.freeze()
linear_to_lora_layers(
    model, 2, {"rank": 8, "scale": 10.0, "dropout": 0.0, "keys": ["self_attn.q_proj", "self_attn.v_proj"]}
)
model.eval()
count = sum(v.size for _, v in tree_flatten(model.trainable_parameters()))
print(f"{count} trainable parameters")
for question in ("What color is the sky?", "What is the capital of Spain?"):
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
    )
    print(generate(model, tokenizer, prompt=prompt, max_tokens=20))
