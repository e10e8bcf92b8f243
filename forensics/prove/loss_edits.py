"""Edits of the loss as the program writes it: what is counted, by which sign, against which target."""

from __future__ import annotations

import ast
from collections.abc import Callable

from forensics.prove.program import Program, name


def unpadded(program: Program) -> str | None:
    """The mean of a cross-entropy becomes the mean over targets that are no padding.

    Padding is known by its id.
    """
    pads, ends = program.facts.get("pads") or [], program.facts.get("ends") or []
    if len(pads) != 1 or pads[0] in ends:
        return None
    return _over(program, lambda target: f"({target} != {pads[0]})", lambda target: target)


def unignored(program: Program) -> str | None:
    """The mean of a cross-entropy becomes the mean over targets that are tokens: no id is below 0."""
    library = next(
        (
            alias.asname
            for each in ast.walk(program.tree)
            if isinstance(each, ast.Import)
            for alias in each.names
            if alias.name == "mlx.core"
        ),
        None,
    )
    if library is None:
        return None
    return _over(program, lambda target: f"({target} >= 0)", lambda target: f"{library}.maximum({target}, 0)")


def _over(program: Program, mask: Callable[[str], str], taught: Callable[[str], str]) -> str | None:
    """The one plain mean of a cross-entropy, of `taught(target)`, over `mask(target)`."""
    means = [call for call in _of_cross_entropy(program, "mean") if not call.args and not call.keywords]
    reduced = [call for call in program.calls("cross_entropy") if _reduction(call) == "mean"]
    mean = program.only([*means, *reduced])
    if mean is None:
        return None
    losses = mean.func.value if mean in means and isinstance(mean.func, ast.Attribute) else mean
    call = program.made(losses)
    if not isinstance(call, ast.Call) or len(call.args) < 2 or not program.plain(call.args[1]):
        return None
    target = program.source(call.args[1])
    made, real = _of_each(program, call, taught(target)), mask(target)
    if losses is call:
        return program.replaced(mean, f"({made} * {real}).sum() / {real}.sum()")
    text = program.replaced(mean, f"({program.source(losses)} * {real}).sum() / {real}.sum()")
    return Program(text, program.tree, {}).replaced(call, made)  # which stands before it


def _reduction(call: ast.Call) -> object:
    found = [word.value for word in call.keywords if word.arg == "reduction"]
    return found[0].value if found and isinstance(found[0], ast.Constant) else None


def _of_each(program: Program, call: ast.Call, target: str) -> str:
    """The call with another target, and of each position by itself."""
    rest = [program.source(each) for each in call.args[2:]]
    rest += [program.source(each) for each in call.keywords if each.arg != "reduction"]
    return f"{program.source(call.func)}({', '.join([program.source(call.args[0]), target, *rest])})"


def _of_cross_entropy(program: Program, wanted: str) -> list[ast.Call]:
    """Calls of this method of what a cross-entropy gives, or of a name that it alone is given."""
    found = []
    for call in program.calls(wanted):
        losses = program.made(call.func.value) if isinstance(call.func, ast.Attribute) else None
        if isinstance(losses, ast.Call) and name(losses.func) == "cross_entropy":
            found.append(call)
    return found


def turned(program: Program) -> str | None:
    """The one minus before a cross-entropy, or before a call of the function that holds it, goes.

    A loss made of log-probabilities that has none gets it.
    """
    functions = program.functions()
    holding = {each.name for each in functions if _calls_in(each, {"cross_entropy"})} | {"cross_entropy"}
    negated = [
        node
        for node in ast.walk(program.tree)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and _calls_in(node, holding)
    ]
    if len(negated) == 1:
        return program.replaced(negated[0], program.source(negated[0].operand))
    if not negated and (gradients := _negated_gradients(program)) is not None:
        return gradients
    of_logs = [each for each in functions if _calls_in(each, {"log_softmax"})]
    if negated or len(of_logs) != 1 or _has_minus(of_logs[0]):
        return None
    returned = [node.value for node in ast.walk(of_logs[0]) if isinstance(node, ast.Return) and node.value]
    return program.replaced(returned[0], f"-({program.source(returned[0])})") if len(returned) == 1 else None


def _negated_gradients(program: Program) -> str | None:
    """`tree_map(lambda g: -g, gradients)`, handed to an update, becomes the gradients."""
    found = [
        part
        for call in program.calls("update")
        for part in call.args
        if isinstance(part, ast.Call)
        and name(part.func) == "tree_map"
        and len(part.args) == 2
        and isinstance(part.args[0], ast.Lambda)
        and isinstance(part.args[0].body, ast.UnaryOp)
        and isinstance(part.args[0].body.op, ast.USub)
        and isinstance(part.args[0].body.operand, ast.Name)
    ]
    return program.replaced(found[0], program.source(found[0].args[1])) if len(found) == 1 else None


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


def of_logits(program: Program) -> str | None:
    """`cross_entropy(softmax(z), t)` becomes `cross_entropy(z, t)`, also where the line before makes it.

    A line `z = softmax(z)` goes.
    """
    call = program.one("cross_entropy")
    inner = call.args[0] if call and call.args else None
    if inner is None:
        return None
    if isinstance(inner, ast.Name):
        again = [
            each.value
            for each in ast.walk(program.tree)
            if isinstance(each, ast.Assign)
            and isinstance(each.value, ast.Call)
            and name(each.value.func) == "softmax"
            and [program.source(target) for target in each.targets] == [inner.id]
            and each.value.args
            and program.source(each.value.args[0]) == inner.id
        ]
        if again:
            return program.without(again[0]) if len(again) == 1 else None
        inner = program.made(inner)
    if not isinstance(inner, ast.Call) or name(inner.func) != "softmax" or not inner.args:
        return None
    return program.replaced(inner, program.source(inner.args[0]))


def shifted(program: Program) -> str | None:
    """`cross_entropy(model(x), x)` becomes that of each position's next token.

    So does a target that is cut at its end as the inputs are: `x[:, :-1]` becomes `x[:, 1:]`.
    """
    call = program.one("cross_entropy")
    if call is None or len(call.args) < 2:
        return None
    cut = program.made(call.args[1])
    if isinstance(cut, ast.Subscript) and _slice(program, cut) == "[:,:-1]":
        return program.replaced(cut, f"{program.source(cut.value)}[:, 1:]")
    outputs, target = call.args[0], program.source(call.args[1])
    if not isinstance(outputs, ast.Call) or not outputs.args or program.source(outputs.args[0]) != target:
        return None
    rest = "".join(f", {program.source(argument)}" for argument in [*call.args[2:], *call.keywords])
    return program.replaced(
        call, f"{program.source(call.func)}({program.source(outputs)}[:, :-1], {target}[:, 1:]{rest})"
    )


def _slice(program: Program, node: ast.Subscript) -> str:
    """The part in brackets, without blanks."""
    return program.source(node).removeprefix(program.source(node.value)).replace(" ", "")


def averaged(program: Program) -> str | None:
    """`cross_entropy(z, t).sum()` becomes its mean."""
    found = [call for call in _of_cross_entropy(program, "sum") if not call.args]
    if len(found) != 1:
        return None
    losses = found[0].func.value  # type: ignore[attr-defined]
    return program.replaced(found[0], f"{program.source(losses)}.mean()")
