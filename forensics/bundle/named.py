"""What a name says of its value: a setting called `password` holds one, whatever it looks like."""

from __future__ import annotations

import re

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_SECRET = {
    "password", "passwd", "passwort", "passphrase", "passcode", "pwd", "secret", "secrets", "token", "apikey",
    "credential", "credentials", "auth", "authorization", "private", "bearer", "cookie",
}  # fmt: skip
_KEYS = {"api", "access", "private", "secret", "account", "signing", "encryption", "ssh", "service", "auth"}
_NEVER_NUMBERS = {"password", "passwd", "passwort", "passphrase", "passcode", "pwd", "secret", "credential"}
_OF_TOKENIZERS = {
    "bos",
    "eos",
    "unk",
    "sep",
    "pad",
    "cls",
    "mask",
    "image",
    "audio",
    "video",
    "boi",
    "eoi",
    "think",
    "end",
    "start",
    "stop",
}


def secret(name: str, value: object = "") -> bool:
    """Does a setting's name, at any place of a dotted one, say that its value is a secret?

    The name's last whole word decides: `hf_token`, `apiKey` and `db.credentials.user` do, `eos_token` and
    `max_tokens` do not. Numbers are secrets only under a name that never has one otherwise.
    """
    for part in name.split("."):
        words = [word.lower() for word in _WORDS.findall(part)]
        if not words:
            continue
        is_secret = words[-1] in _SECRET or (
            words[-1] in ("key", "keys") and len(words) > 1 and words[-2] in _KEYS
        )
        if is_secret and words[-1] == "token" and len(words) > 1 and words[-2] in _OF_TOKENIZERS:
            continue
        number = isinstance(value, (int, float))
        if is_secret and not isinstance(value, bool) and (not number or words[-1] in _NEVER_NUMBERS):
            return True
    return False


_FIELD = {
    "train", "trainer", "training", "pretrain", "finetune", "fine", "tune", "tuning", "lora",
    "dora", "qlora", "full", "sft", "dpo", "orpo", "grpo", "ppo", "rlhf", "rl", "reward", "main",
    "run", "test", "model", "models", "modeling", "data", "dataset", "datasets", "utils", "util",
    "loss", "losses", "eval", "evaluate", "evaluation", "generate", "generation", "inference",
    "chat", "fuse", "merge", "convert", "quantize", "config", "tokenizer", "optimizer", "callbacks",
    "distill", "mlx", "lm", "llm", "gpt", "demo", "example", "script", "loop", "step", "init",
    "notebook", "broken", "mended", "fixed", "right", "tiny", "app", "server", "benchmark", "sweep",
    "accumulate", "accumulation", "checkpoint",
}  # fmt: skip


def of_the_field(stem: str) -> bool:
    """Is a file's name made of words that half the field's scripts use, so that it tells nothing?

    Such a name is `train_lora`.
    """
    words = [word.lower() for word in _WORDS.findall(stem)]
    return bool(words) and all(word in _FIELD or (word.isdigit() and len(word) < 4) for word in words)


OPTIONS = frozenset({
    "affine", "mxfp4", "mxfp8", "nvfp4", "float16", "bfloat16", "float32", "float64", "int8",
    "uint8", "uint32", "gelu", "gelu_new", "gelu_fast", "gelu_approx", "gelu_pytorch_tanh", "silu",
    "relu", "relu2", "relu_squared", "swish", "tanh", "sigmoid", "softmax", "none", "mean", "sum",
    "max", "min", "left", "right", "same", "valid", "zeros", "lora", "dora", "full", "default",
    "linear", "dynamic", "yarn", "llama3", "longrope", "su", "mrope", "proportional", "cosine",
    "constant", "causal", "array", "adam", "adamw", "sgd", "adafactor", "lion", "muon", "rmsprop",
    "adagrad", "adadelta", "adamax", "full_attention", "sliding_attention", "linear_attention",
    "text", "chat", "completions", "greedy", "affine_quantized", "precise", "fast",
})  # fmt: skip
"""Values of attributes that libraries give, and users do not think of."""
