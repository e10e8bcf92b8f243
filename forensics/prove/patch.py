"""The smallest edit of the user's program that does what a proved cure did, as a unified diff to read.

It is never applied.

An edit is made from the program's own names, by its syntax tree, and only where there is one place that it
can mean. What would be a guess is left out.
"""

from __future__ import annotations

import ast
import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LARGEST = 1 << 20  # bytes of a program
_MLX_LM = {"rank": 8, "scale": 20.0, "dropout": 0.0}
"""mlx-lm's own settings of an adapter, where the run declared none."""


@dataclass(frozen=True)
class Program:
    """A file of the program: its text and tree, and what the run told the cures (see `repeat.told`)."""

    text: str
    tree: ast.Module
    facts: Mapping[str, Any]

    def source(self, node: ast.AST) -> str:
        return ast.get_source_segment(self.text, node) or ""

    def calls(self, name: str) -> list[ast.Call]:
        """Calls of a function of that name, whatever stands before it."""
        return [
            each for each in ast.walk(self.tree) if isinstance(each, ast.Call) and _name(each.func) == name
        ]

    def one(self, name: str) -> ast.Call | None:
        """The call of that name, where there is exactly one."""
        found = self.calls(name)
        return found[0] if len(found) == 1 else None

    def replaced(self, node: ast.expr, new: str) -> str:
        """The text with an expression replaced."""
        lines = self.text.encode().splitlines(keepends=True)
        assert node.end_lineno is not None and node.end_col_offset is not None
        first, last = node.lineno - 1, node.end_lineno - 1
        head, tail = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        return b"".join([*lines[:first], head + new.encode() + tail, *lines[last + 1 :]]).decode()

    def inserted(self, node: ast.AST, new: Sequence[str], imports: str = "") -> str | None:
        """The text with lines before the statement that holds `node`, indented as it is.

        A line of import is added where the text lacks it.
        """
        statement = next(
            (each for each in _statements(self.tree) if any(node is inner for inner in ast.walk(each))), None
        )
        if statement is None:
            return None
        lines = self.text.splitlines(keepends=True)
        indent = " " * statement.col_offset
        lines[statement.lineno - 1 : statement.lineno - 1] = [f"{indent}{line}\n" for line in new]
        if imports and imports.rpartition(" ")[2] not in {
            alias.asname or alias.name for each in _imports(self.tree) for alias in each.names
        }:
            last = max(
                (
                    each.end_lineno or 0
                    for each in self.tree.body
                    if isinstance(each, (ast.Import, ast.ImportFrom))
                ),
                default=0,
            )
            lines.insert(last, f"{imports}\n")
        return "".join(lines)


def patch(cwd: Path, files: Sequence[str], cures: Sequence[str], facts: Mapping[str, Any]) -> str:
    """A unified diff of these files of the program, relative to `cwd`, for these cures.

    Empty where none has an edit that is sure.
    """
    found = []
    for name in dict.fromkeys(files):
        path = cwd / name
        try:
            if not path.is_file() or path.stat().st_size > _LARGEST:
                continue
            before = path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        after = before
        for cure in cures:
            after = _edited(after, cure, facts)
        diff = difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=2
        )
        found.append("".join(line if line.endswith("\n") else f"{line}\n" for line in diff))
    return "".join(found)


def _edited(text: str, cure: str, facts: Mapping[str, Any]) -> str:
    """The text with the edit of one cure, where it has one and the result is Python."""
    edit = EDITS.get(cure)
    try:
        new = edit(Program(text, ast.parse(text), facts)) if edit else None
        if new is not None:
            ast.parse(new)
    except (SyntaxError, ValueError):
        return text
    return text if new is None else new


# -- edits ---------------------------------------------------------------------------------------------------


def _unpadded(program: Program) -> str | None:
    """`cross_entropy(z, t).mean()` becomes the mean over targets that are no padding.

    Padding is known by its id.
    """
    pads, ends = program.facts.get("pads") or [], program.facts.get("ends") or []
    found = [
        each
        for each in program.calls("mean")
        if isinstance(each.func, ast.Attribute)
        and isinstance(each.func.value, ast.Call)
        and _name(each.func.value.func) == "cross_entropy"
    ]
    if len(found) != 1 or len(pads) != 1 or pads[0] in ends or found[0].args or found[0].keywords:
        return None
    losses = found[0].func.value  # type: ignore[attr-defined]
    if len(losses.args) < 2:
        return None
    real = f"({program.source(losses.args[1])} != {pads[0]})"
    return program.replaced(found[0], f"({program.source(losses)} * {real}).sum() / {real}.sum()")


def _turned(program: Program) -> str | None:
    """`return -loss` of the function that holds the cross-entropy loses its sign."""
    negated = [
        each.value
        for each in ast.walk(program.tree)
        if isinstance(each, ast.Return)
        and isinstance(each.value, ast.UnaryOp)
        and isinstance(each.value.op, ast.USub)
        and _has_cross_entropy(each.value)
    ]
    return program.replaced(negated[0], program.source(negated[0].operand)) if len(negated) == 1 else None


def _has_cross_entropy(tree: ast.AST) -> bool:
    return any(isinstance(each, ast.Call) and _name(each.func) == "cross_entropy" for each in ast.walk(tree))


def _of_logits(program: Program) -> str | None:
    """`cross_entropy(softmax(z), t)` becomes `cross_entropy(z, t)`."""
    call = program.one("cross_entropy")
    inner = call.args[0] if call and call.args else None
    if not isinstance(inner, ast.Call) or _name(inner.func) != "softmax" or not inner.args:
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
    rest = "".join(f", {program.source(each)}" for each in [*call.args[2:], *call.keywords])
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
        key: told[key] if told.get(key) is not None else value for key, value in _MLX_LM.items()
    }
    if told.get("keys"):
        config["keys"] = told["keys"]
    number = told.get("num_layers") or f"len({model}.layers)"
    made = f"linear_to_lora_layers({model}, {number}, {json.dumps(config)})"
    return program.inserted(
        call, [f"{model}.freeze()", made], "from mlx_lm.tuner.utils import linear_to_lora_layers"
    )


def _frozen(program: Program) -> str | None:
    """The base is frozen before adapters are put in."""
    call = program.one("linear_to_lora_layers")
    if call is None or not call.args:
        return None
    model = program.source(call.args[0])
    frozen = [
        each
        for each in program.calls("freeze")
        if isinstance(each.func, ast.Attribute) and program.source(each.func.value) == model
    ]
    return None if frozen else program.inserted(call, [f"{model}.freeze()"])


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
        each.value
        for each in ast.walk(program.tree)
        if isinstance(each, ast.keyword)
        and each.arg == "learning_rate"
        and isinstance(each.value, ast.Constant)
        and each.value.value == 0
    ]
    return program.replaced(zeros[0], repr(rate)) if rate and len(zeros) == 1 else None


EDITS: Mapping[str, Callable[[Program], str | None]] = {
    "padding-in-loss": _unpadded,
    "loss-sign-flipped": _turned,
    "probabilities-as-logits": _of_logits,
    "labels-not-shifted": _shifted,
    "lora-missing": _adapted,
    "base-not-frozen": _frozen,
    "dropout-in-generation": _still,
    "learning-rate-zero": _driven,
}
"""Cures that have an edit; each gives the new text of a program, None where it would have to guess."""


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _imports(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    return (each for each in ast.walk(tree) if isinstance(each, (ast.Import, ast.ImportFrom)))


def _statements(tree: ast.Module) -> list[ast.stmt]:
    """Simple statements, in which no other stands."""
    return [each for each in ast.walk(tree) if isinstance(each, ast.stmt) and not hasattr(each, "body")]
