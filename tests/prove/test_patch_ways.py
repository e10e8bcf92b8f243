"""The ways in which programs write one thing, and the edit of each; and programs of the zoo with theirs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from forensics.prove.patch import patch
from tests.prove.patched import walked
from tests.prove.subjects import of_zoo
from tests.prove.test_patch import FACTS


@pytest.mark.parametrize(
    ("name", "text", "gone", "there"),
    [
        (
            "probabilities-as-logits",
            "def loss(z, t):\n    z = mx.softmax(z, axis=-1)\n    return nn.losses.cross_entropy(z, t)\n",
            "softmax", "cross_entropy(z, t)",
        ),
        (
            "gradient-discarded",
            'cfg = {"most": 0.0}\nfor b in batches:\n    g = step(b)\n'
            '    g, n = optim.clip_grad_norm(g, cfg["most"])\n    optimizer.update(model, g)\n',
            "clip_grad_norm", "update(model, g)",
        ),
        (
            "loss-sign-flipped",
            "def loss(z, t):\n    ce = -nn.losses.cross_entropy(z, t)\n    return ce.mean()\n",
            "-nn", "ce = nn.losses.cross_entropy(z, t)",
        ),
        (
            "loss-sign-flipped",
            "def loss(z, t):\n    return nn.losses.cross_entropy(z, t).mean()\n"
            "step = nn.value_and_grad(model, lambda z, t: -loss(z, t))\n",
            "-loss", "lambda z, t: loss(z, t)",
        ),
        (
            "loss-sign-flipped",
            "def loss(z, t):\n    p = nn.log_softmax(z, axis=-1)\n    return (p * t).sum()\n",
            "return (p", "return -((p * t).sum())",
        ),
        (
            "loss-sign-flipped",
            "optimizer.update(model, tree_map(lambda g: -g, grads))\n", "lambda", "update(model, grads)",
        ),
        (
            "probabilities-as-logits",
            "def loss(x, t):\n    z = mx.softmax(model(x), axis=-1)\n    return cross_entropy(z, t)\n",
            "softmax", "z = model(x)\n",
        ),
        (
            "labels-not-shifted",
            "def loss(x):\n    z, t = model(x[:, :-1]), x[:, :-1]\n    return cross_entropy(z, t).mean()\n",
            "x[:, :-1]\n", "model(x[:, :-1]), x[:, 1:]",
        ),
        (
            "padding-in-loss",
            "def loss(z, t):\n    ce = nn.losses.cross_entropy(z, t)\n    return ce.mean()\n",
            "ce.mean()", "return (ce * (t != 0)).sum() / (t != 0).sum()",
        ),
        (
            "padding-in-loss",
            "def loss(z, t):\n    return nn.losses.cross_entropy(z, t, reduction='mean')\n",
            "reduction", "return (nn.losses.cross_entropy(z, t) * (t != 0)).sum() / (t != 0).sum()",
        ),
        (
            "ignore-index-as-token",
            "import mlx.core as mx\ndef loss(z, t):\n    ce = cross_entropy(z, t)\n    return ce.mean()\n",
            "ce.mean()",
            "ce = cross_entropy(z, mx.maximum(t, 0))\n    return (ce * (t >= 0)).sum() / (t >= 0).sum()",
        ),
        ("learning-rate-zero", "RATE = 2 // 1000\no = optim.SGD(RATE)\n", "//", "RATE = 2 / 1000"),
        ("learning-rate-zero", "RATE = 0.0\no = optim.Adam(RATE)\n", "0.0\n", "RATE = 0.001\n"),
        (
            "attention-not-causal",
            "y = mx.fast.scaled_dot_product_attention(q, k, v, scale=s)\n",
            "scale=s)", 'scale=s, mask="causal")',
        ),
        (
            "attention-not-causal",
            "y = mx.fast.scaled_dot_product_attention(q, k, v, scale=s, mask=None)\n",
            "None", 'mask="causal")',
        ),
        (
            "gradient-wrong",
            "@mx.custom_function\ndef f(x):\n    return x\n\n@f.vjp\ndef b(p, c, o):\n    return c\n\n"
            "y = f(x)\n",
            "vjp", "def f(x):\n    return x\n\ny = f(x)\n",
        ),
        (
            "lora-starts-nonzero",
            "self.lora_b = 0.1 * mx.random.normal((r, o)) / 2\n", "normal", "self.lora_b = mx.zeros((r, o))",
        ),
        (
            "uniform-decay",
            "o.update(m, g)\nm.update(tree_map(lambda p: p * 0.9, m.parameters()))\nf()\n",
            "tree_map", "o.update(m, g)\nf()\n",
        ),
        (
            "double-bos",
            "t = k.apply_chat_template(c, tokenize=False)\ni = k.encode(t)\n",
            "encode(t)", "k.encode(t, add_special_tokens=False)",
        ),
        (
            "base-not-frozen",
            "model.freeze()\nput_in(model)\nfor _, m in model.named_modules():\n    m.unfreeze()\n",
            "unfreeze()", 'm.unfreeze(keys=["lora_a", "lora_b"])',
        ),
    ],
)  # fmt: skip
def test_other_ways_to_write_it(tmp_path: Path, name: str, text: str, gone: str, there: str) -> None:
    (tmp_path / "train.py").write_text(text)
    (diff,) = (patch(tmp_path, ["train.py"], [name], FACTS),)
    done = subprocess.run(["patch", "-p1", "-s"], cwd=tmp_path, input=diff, text=True, check=False)
    after = (tmp_path / "train.py").read_text()
    assert done.returncode == 0 and gone in text and gone not in after and there in after, diff


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gradient-discarded", 'g, n = optim.clip_grad_norm(g, cfg["most"])\nmore(g)\n'),
        ("gradient-discarded", 'cfg = {"most": 1.0}\ng, n = clip_grad_norm(g, cfg["most"])\nmore(g)\n'),
        (
            "loss-sign-flipped",
            "def loss(z, t):\n    p = -nn.log_softmax(z, axis=-1)\n    return (p * t).sum()\n",
        ),
        ("base-not-frozen", 'model.freeze()\nmodel.unfreeze(keys=["bias"])\n'),
        ("labels-not-shifted", "z, t = model(x), x[:, 2:]\ncross_entropy(z, t)\n"),
        ("padding-in-loss", "ce = cross_entropy(z, t)\nce = ce * w\nx = ce.mean()\n"),
        ("padding-in-loss", "ce = cross_entropy(z, made(t))\nx = ce.mean()\n"),
        ("learning-rate-zero", "o = optim.SGD(2000 // 1000)\n"),
        ("attention-not-causal", "y = scaled_dot_product_attention(q, k, v, scale=s, mask=mask)\n"),
        ("uniform-decay", "m.update(tree_map(lambda p: p * 0.9, m.trainable_parameters()))\nf()\n"),
        ("double-bos", "i = k.encode(text)\n"),
    ],
)  # fmt: skip
def test_what_would_be_a_guess_has_none(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "train.py").write_text(text)
    assert patch(tmp_path, ["train.py"], [name], FACTS) == ""


ZOO = (
    "softmax-in-loss",
    "maskless-scratch",
    "nonzero-handmade",
    "decay-classes",
    "unshifted-packed",
    "rate-loop",
)


@pytest.mark.long
@pytest.mark.parametrize("name", ZOO)
def test_a_patched_program_of_the_zoo_no_longer_has_the_finding(tmp_path: Path, name: str) -> None:
    case = next(each for each in of_zoo(0) if each.name == name)
    found = walked(case, tmp_path / "program")
    assert found["outcome"] == "mended", found
