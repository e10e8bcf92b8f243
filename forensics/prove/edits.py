"""The edits of a program that do what a proved cure did, each made from the program's own names.

Each gives the new text, None where it would have to guess: where there are two places that it can mean, or
none.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from typing import Any

from forensics.prove import loss_edits
from forensics.prove.program import Program, name, pairs

MLX_LM = {"rank": 8, "scale": 20.0, "dropout": 0.0}
"""mlx-lm's own settings of an adapter, where the run declared none."""


def _adapted(program: Program) -> str | None:
    """The declared adapter before the gradient function is made."""
    call = program.one("value_and_grad")
    if call is None or not call.args or not isinstance(call.args[0], (ast.Name, ast.Attribute)):
        return None
    model, told = program.source(call.args[0]), program.facts.get("adapter") or {}

    config: dict[str, Any] = {
        key: told[key] if told.get(key) is not None else value for key, value in MLX_LM.items()
    }
    if told.get("keys"):
        if not all("." in key for key in told["keys"]):
            return None  # mlx-lm takes whole names within a block
        config["keys"] = told["keys"]
    number = told.get("num_layers") or f"len({model}.layers)"
    made = f"linear_to_lora_layers({model}, {number}, {json.dumps(config)})"
    return program.inserted(
        call, [f"{model}.freeze()", made], "from mlx_lm.tuner.utils import linear_to_lora_layers"
    )


def _frozen(program: Program) -> str | None:
    """The base is frozen before adapters are put in; what unfreezes all again frees the adapter alone."""
    again = program.calls("unfreeze")
    if program.calls("freeze"):
        bare = len(again) == 1 and not again[0].args and not again[0].keywords
        freed = f'{program.source(again[0].func)}(keys=["lora_a", "lora_b"])' if bare else ""
        return program.replaced(again[0], freed) if bare else None
    call = program.one("linear_to_lora_layers")
    if call is None or not call.args:
        return None
    return program.inserted(call, [f"{program.source(call.args[0])}.freeze()"])


def _still(program: Program) -> str | None:
    """The model is put into eval mode before it is asked."""
    call = program.one("generate") or program.one("stream_generate")
    if call is None or not call.args:
        return None
    return program.inserted(call, [f"{program.source(call.args[0])}.eval()"])


OPTIMIZERS = (
    "SGD", "Adam", "AdamW", "Adafactor", "Lion", "RMSprop", "Muon", "AdaDelta", "Adagrad", "Adamax",
)  # fmt: skip


def _driven(program: Program) -> str | None:
    """A rate of 0 that is written down becomes the declared one; one made by `//` is divided by `/`."""
    rates = [
        next((word.value for word in call.keywords if word.arg == "learning_rate"), None)
        or (call.args[0] if call.args else None)
        for kind in OPTIMIZERS
        for call in program.calls(kind)
    ]
    zeros = [node for node in rates if node is not None and program.constant(node) == 0]
    written, rate = program.written(zeros[0]) if len(zeros) == 1 else None, program.facts.get("rate")
    if written is not None and rate:
        return program.replaced(written, repr(rate))
    floors = [
        node
        for each in rates
        if each is not None and (node := program.written(each)) is not None and _floored(node)
    ]
    if len(floors) != 1 or not isinstance(floors[0], ast.BinOp):
        return None
    left, right = (program.source(part) for part in (floors[0].left, floors[0].right))
    return program.replaced(floors[0], f"{left} / {right}")


def _floored(node: ast.expr) -> bool:
    """A division of whole numbers that leaves nothing."""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.FloorDiv)
        and all(
            isinstance(part, ast.Constant) and isinstance(part.value, int) for part in (node.left, node.right)
        )
        and 0 < node.left.value < node.right.value  # type: ignore[attr-defined]
    )


def _plain(program: Program) -> str | None:
    """`mx.compile(f)` becomes `f`; `@mx.compile` is left out."""
    marks = [
        decorator
        for function in ast.walk(program.tree)
        if isinstance(function, ast.FunctionDef)
        for decorator in function.decorator_list
        if any(
            isinstance(inner, (ast.Name, ast.Attribute)) and name(inner) == "compile"
            for inner in ast.walk(decorator)
        )
    ]
    calls = [
        call
        for call in program.calls("compile")
        if not any(call is inner for mark in marks for inner in ast.walk(mark))
    ]
    if len(marks) + len(calls) != 1:
        return None
    if calls:
        return program.replaced(calls[0], program.source(calls[0].args[0])) if calls[0].args else None
    lines = program.text.splitlines(keepends=True)
    del lines[marks[0].lineno - 1 : marks[0].end_lineno]
    return "".join(lines)


def _through(program: Program) -> str | None:
    """`stop_gradient(x)` becomes `x`."""
    call = program.one("stop_gradient")
    return program.replaced(call, program.source(call.args[0])) if call and len(call.args) == 1 else None


def _unclipped(program: Program) -> str | None:
    """A clipping to a norm of 0 is left out, where it puts its result in the place of what it was given."""
    call = program.one("clip_grad_norm")
    statement = next(
        (node for node in ast.walk(program.tree) if isinstance(node, ast.Assign) and node.value is call), None
    )
    if call is None or statement is None or len(call.args) != 2 or len(statement.targets) != 1:
        return None
    most, target = call.args[1], statement.targets[0]
    zero = program.constant(most) == 0
    first = target.elts[0] if isinstance(target, ast.Tuple) and target.elts else target
    same = program.source(first) == program.source(call.args[0])
    return program.without(call) if zero and same else None


def _stepped(program: Program) -> str | None:
    """The optimizer that was made is given each gradient."""
    made = program.one("value_and_grad")
    named = [
        node for node in ast.walk(program.tree) if isinstance(node, ast.Assign) and len(node.targets) == 1
    ]
    function = next((each.targets[0] for each in named if each.value is made), None)
    parts = [pair for each in named for pair in pairs(each.targets[0], each.value)]
    optimizers = [
        target for target, value in parts if isinstance(value, ast.Call) and name(value.func) in OPTIMIZERS
    ]
    if made is None or function is None or not made.args or len(optimizers) != 1 or program.calls("update"):
        return None
    steps = [
        each
        for each in named
        if isinstance(each.value, ast.Call)
        and program.source(each.value.func) == program.source(function)
        and isinstance(each.targets[0], ast.Tuple)
        and len(each.targets[0].elts) == 2
    ]
    if len(steps) != 1:
        return None
    gradients = program.source(steps[0].targets[0].elts[1])  # type: ignore[attr-defined]
    optimizer = program.source(optimizers[0])
    return program.after(steps[0], [f"{optimizer}.update({program.source(made.args[0])}, {gradients})"])


def _framed(program: Program) -> str | None:
    """The question goes through the tokenizer's chat template."""
    call = program.one("generate") or program.one("stream_generate")
    if call is None or not program.facts.get("framed") or len(call.args) < 2:
        return None
    prompt = next((keyword.value for keyword in call.keywords if keyword.arg == "prompt"), None)
    prompt = call.args[2] if prompt is None and len(call.args) > 2 else prompt
    if not isinstance(prompt, (ast.Name, ast.Constant, ast.JoinedStr)):
        return None
    asked = f'[{{"role": "user", "content": {program.source(prompt)}}}]'
    tokenizer = program.source(call.args[1])
    return program.replaced(prompt, f"{tokenizer}.apply_chat_template({asked}, add_generation_prompt=True)")


def _scaled(program: Program) -> str | None:
    """A scale that is written down becomes the declared one.

    A scale of 0 becomes mlx-lm's own where none was declared.
    """
    wanted = (program.facts.get("adapter") or {}).get("scale")
    found = [
        value
        for node in ast.walk(program.tree)
        if isinstance(node, (ast.keyword, ast.Dict))
        for key, value in _pairs(node)
        if key == "scale" and isinstance(value, ast.Constant) and isinstance(value.value, (int, float))
    ]
    if len(found) != 1:
        return None
    now = found[0].value
    new = MLX_LM["scale"] if not wanted and now == 0 else wanted
    return program.replaced(found[0], repr(new)) if new and new != now else None


def _pairs(node: ast.keyword | ast.Dict) -> list[tuple[Any, ast.expr]]:
    if isinstance(node, ast.keyword):
        return [(node.arg, node.value)]
    keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
    return list(zip(keys, node.values, strict=True))


def _masked(program: Program) -> str | None:
    """An attention that is given no mask gets the causal one."""
    call = program.one("scaled_dot_product_attention")
    if call is None:
        return None
    mask = next((word for word in call.keywords if word.arg == "mask"), None)
    if mask is None:
        last = [*call.args, *(word.value for word in call.keywords)][-1]
        source = program.source(last)
        return program.replaced(last, f'{source}, mask="causal"')
    none = isinstance(mask.value, ast.Constant) and mask.value.value is None
    return program.replaced(mask.value, '"causal"') if none else None


def _differentiated(program: Program) -> str | None:
    """A function with a backward pass of its own loses that, so that mlx differentiates it."""
    functions = program.functions()
    own = [each for each in functions if any(name(mark) == "custom_function" for mark in each.decorator_list)]
    passes = [each for each in functions if any(name(mark) == "vjp" for mark in each.decorator_list)]
    if len(own) != 1 or len(passes) != 1 or len(own[0].decorator_list) != 1:
        return None
    mark, backward = own[0].decorator_list[0], passes[0]
    lines = program.text.splitlines(keepends=True)
    first, last = backward.decorator_list[0].lineno - 1, backward.end_lineno or backward.lineno
    if first <= mark.lineno - 1:
        return None
    while last < len(lines) and not lines[last].strip():
        last += 1
    del lines[first:last]
    del lines[mark.lineno - 1]
    return "".join(lines)


def _zeroed(program: Program) -> str | None:
    """A `lora_b` that begins with random numbers begins with zeros."""
    found: list[tuple[ast.expr, ast.Call]] = []
    for node in ast.walk(program.tree):
        if isinstance(node, ast.Assign) and any(name(target) == "lora_b" for target in node.targets):
            drawn = [
                call
                for call in ast.walk(node.value)
                if isinstance(call, ast.Call) and name(call.func) in ("normal", "uniform")
            ]
            found.extend((node.value, call) for call in drawn)
    if len(found) != 1:
        return None
    value, call = found[0]
    shape = next((word.value for word in call.keywords if word.arg == "shape"), None)
    shape = call.args[0] if shape is None and name(call.func) == "normal" and call.args else shape
    library = program.source(call.func).partition(".random.")[0]
    if shape is None or library == program.source(call.func):
        return None
    return program.replaced(value, f"{library}.zeros({program.source(shape)})")


def _undecayed(program: Program) -> str | None:
    """A line that only makes every parameter smaller is left out."""
    found = []
    for call in program.calls("update"):
        inner = call.args[0] if len(call.args) == 1 and not call.keywords else None
        if not isinstance(inner, ast.Call) or name(inner.func) != "tree_map" or len(inner.args) != 2:
            continue
        function, tree = inner.args
        model = program.source(call.func).removesuffix(".update")
        shrinks = (
            isinstance(function, ast.Lambda)
            and isinstance(function.body, ast.BinOp)
            and isinstance(function.body.op, ast.Mult)
        )
        if shrinks and program.source(tree) == f"{model}.parameters()":
            found.append(call)
    return program.without(found[0]) if len(found) == 1 else None


def _single_bos(program: Program) -> str | None:
    """What the chat template wrote is encoded without another beginning."""
    call = program.one("encode")
    if call is None or len(call.args) != 1 or call.keywords:
        return None
    text = program.made(call.args[0])
    if not isinstance(text, ast.Call) or name(text.func) != "apply_chat_template":
        return None
    words = [word for word in text.keywords if word.arg == "tokenize"]
    plain = words and isinstance(words[0].value, ast.Constant) and words[0].value.value is False
    source = program.source(call.args[0])
    return program.replaced(call.args[0], f"{source}, add_special_tokens=False") if plain else None


EDITS: Mapping[str, Callable[[Program], str | None]] = {
    "padding-in-loss": loss_edits.unpadded,
    "loss-sign-flipped": loss_edits.turned,
    "probabilities-as-logits": loss_edits.of_logits,
    "labels-not-shifted": loss_edits.shifted,
    "lora-missing": _adapted,
    "base-not-frozen": _frozen,
    "dropout-in-generation": _still,
    "learning-rate-zero": _driven,
    "update-too-large": loss_edits.averaged,
    "stale-compiled-function": _plain,
    "compile-state-not-captured": _plain,
    "compile-random-frozen": _plain,
    "gradients-zero": _through,
    "gradient-discarded": _unclipped,
    "optimizer-never-stepped": _stepped,
    "template-mismatch": _framed,
    "lora-scale-mismatch": _scaled,
    "lora-inert": _scaled,
    "ignore-index-as-token": loss_edits.unignored,
    "attention-not-causal": _masked,
    "gradient-wrong": _differentiated,
    "lora-starts-nonzero": _zeroed,
    "uniform-decay": _undecayed,
    "double-bos": _single_bos,
}
"""Cures that have an edit; each gives the new text of a program, None where it would have to guess."""
