"""The edits of a program that do what a proved cure did, each made from the program's own names.

Each gives the new text, None where it would have to guess: where there are two places that it can mean, or
none.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from typing import Any

from forensics.prove.program import Program, name

MLX_LM = {"rank": 8, "scale": 20.0, "dropout": 0.0}
"""mlx-lm's own settings of an adapter, where the run declared none."""


def _unpadded(program: Program) -> str | None:
    """`cross_entropy(z, t).mean()` becomes the mean over targets that are no padding.

    Padding is known by its id.
    """
    pads, ends = program.facts.get("pads") or [], program.facts.get("ends") or []
    found = _of_cross_entropy(program, "mean")
    if len(found) != 1 or len(pads) != 1 or pads[0] in ends or found[0].args or found[0].keywords:
        return None
    losses = found[0].func.value  # type: ignore[attr-defined]
    if len(losses.args) < 2:
        return None
    real = f"({program.source(losses.args[1])} != {pads[0]})"
    return program.replaced(found[0], f"({program.source(losses)} * {real}).sum() / {real}.sum()")


def _of_cross_entropy(program: Program, wanted: str) -> list[ast.Call]:
    """Calls of this method of what a cross-entropy gives."""
    return [
        call
        for call in program.calls(wanted)
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Call)
        and name(call.func.value.func) == "cross_entropy"
    ]


def _turned(program: Program) -> str | None:
    """The one minus before a cross-entropy, or before a call of the function that holds it, goes.

    A loss made of log-probabilities that has none gets it.
    """
    functions = [node for node in ast.walk(program.tree) if isinstance(node, ast.FunctionDef)]
    holding = {each.name for each in functions if _calls_in(each, {"cross_entropy"})} | {"cross_entropy"}
    negated = [
        node
        for node in ast.walk(program.tree)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and _calls_in(node, holding)
    ]
    if len(negated) == 1:
        return program.replaced(negated[0], program.source(negated[0].operand))
    of_logs = [each for each in functions if _calls_in(each, {"log_softmax"})]
    if negated or len(of_logs) != 1 or _has_minus(of_logs[0]):
        return None
    returned = [node.value for node in ast.walk(of_logs[0]) if isinstance(node, ast.Return) and node.value]
    return program.replaced(returned[0], f"-({program.source(returned[0])})") if len(returned) == 1 else None


def _has_minus(function: ast.FunctionDef) -> bool:
    """Does it take anything but the number of an axis or a slice negative?"""
    return any(
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and not isinstance(node.operand, ast.Constant)
        for node in ast.walk(function)
    )


def _calls_in(tree: ast.AST, names: set[str]) -> bool:
    return any(isinstance(node, ast.Call) and name(node.func) in names for node in ast.walk(tree))


def _of_logits(program: Program) -> str | None:
    """`cross_entropy(softmax(z), t)` becomes `cross_entropy(z, t)`; a line `z = softmax(z)` goes."""
    call = program.one("cross_entropy")
    inner = call.args[0] if call and call.args else None
    if isinstance(inner, ast.Name):
        made = [
            each.value
            for each in ast.walk(program.tree)
            if isinstance(each, ast.Assign)
            and isinstance(each.value, ast.Call)
            and name(each.value.func) == "softmax"
            and [program.source(target) for target in each.targets] == [inner.id]
            and each.value.args
            and program.source(each.value.args[0]) == inner.id
        ]
        return program.without(made[0]) if len(made) == 1 else None
    if not isinstance(inner, ast.Call) or name(inner.func) != "softmax" or not inner.args:
        return None
    return program.replaced(inner, program.source(inner.args[0]))


def _shifted(program: Program) -> str | None:
    """`cross_entropy(model(x), x)` becomes that of each position's next token."""
    call = program.one("cross_entropy")
    if call is None or len(call.args) < 2 or not isinstance(call.args[0], ast.Call) or not call.args[0].args:
        return None
    outputs, target = call.args[0], program.source(call.args[1])
    if program.source(outputs.args[0]) != target:
        return None
    rest = "".join(f", {program.source(argument)}" for argument in [*call.args[2:], *call.keywords])
    return program.replaced(
        call, f"{program.source(call.func)}({program.source(outputs)}[:, :-1], {target}[:, 1:]{rest})"
    )


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


def _driven(program: Program) -> str | None:
    """A learning rate of 0 that is written down becomes the declared one."""
    rate = program.facts.get("rate")
    zeros = [
        node.value
        for node in ast.walk(program.tree)
        if isinstance(node, ast.keyword)
        and node.arg == "learning_rate"
        and isinstance(node.value, ast.Constant)
        and node.value.value == 0
    ]
    return program.replaced(zeros[0], repr(rate)) if rate and len(zeros) == 1 else None


def _averaged(program: Program) -> str | None:
    """`cross_entropy(z, t).sum()` becomes its mean."""
    found = [call for call in _of_cross_entropy(program, "sum") if not call.args]
    if len(found) != 1:
        return None
    losses = found[0].func.value  # type: ignore[attr-defined]
    return program.replaced(found[0], f"{program.source(losses)}.mean()")


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
    pairs = [pair for each in named for pair in _assigned(each.targets[0], each.value)]
    kinds = ("SGD", "Adam", "AdamW", "Adafactor", "Lion", "RMSprop", "Muon", "AdaDelta", "Adagrad", "Adamax")
    optimizers = [
        target for target, value in pairs if isinstance(value, ast.Call) and name(value.func) in kinds
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


def _assigned(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """(target, value), part by part where both are tuples."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=False))
    return [(target, value)]


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


EDITS: Mapping[str, Callable[[Program], str | None]] = {
    "padding-in-loss": _unpadded,
    "loss-sign-flipped": _turned,
    "probabilities-as-logits": _of_logits,
    "labels-not-shifted": _shifted,
    "lora-missing": _adapted,
    "base-not-frozen": _frozen,
    "dropout-in-generation": _still,
    "learning-rate-zero": _driven,
    "update-too-large": _averaged,
    "stale-compiled-function": _plain,
    "compile-state-not-captured": _plain,
    "compile-random-frozen": _plain,
    "gradients-zero": _through,
    "gradient-discarded": _unclipped,
    "optimizer-never-stepped": _stepped,
    "template-mismatch": _framed,
    "lora-scale-mismatch": _scaled,
    "lora-inert": _scaled,
}
"""Cures that have an edit; each gives the new text of a program, None where it would have to guess."""
