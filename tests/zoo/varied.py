"""The same fault under other circumstances.

Another seed, another architecture, twice the layers, every identifier renamed.

A verdict that rests on a name or on one fixture's numbers does not survive these.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.zoo.zoo import Case, proved

WAYS = ("seed", "architecture", "layers", "names")


def varied(case: Case, way: str) -> Case:
    """The case under another circumstance; `names` changes the program's text when it is laid out."""
    if way == "names":
        return replace(case, varied=True, alter=rename)
    before = case.model
    other = {
        "seed": {"seed": 11},
        "architecture": {"model_type": "qwen2" if before.get("model_type") == "llama" else "llama"},
        "layers": {"layers": 2 * before.get("layers", 2)},
    }[way]
    return replace(
        case, varied=True, model={**before, **other}, alter=without_joined if way == "architecture" else None
    )


def without_joined(directory: Path, proof: str) -> str:
    """Programs that name phi3's joined projection name the one that llama and qwen2 have.

    Else the variation is a fault itself.
    """
    for path in directory.glob("*.py"):
        path.write_text(path.read_text().replace("self_attn.qkv_proj", "self_attn.q_proj"))
    return proof


def survives(case: Case, directory: Path) -> bool:
    """Is the fault still there, by its proof?

    The rule that changes programs is crude: one that no longer runs shows nothing.
    """
    try:
        return proved([case], directory, broken=True) == [True]
    except AssertionError:
        return False


def rename(directory: Path, proof: str) -> str:
    """Rename what the programs of a directory define, the same name everywhere.

    Returns the proof with the same names.
    """
    trees = {path: ast.parse(path.read_text()) for path in sorted(directory.glob("*.py"))}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    names = {name: f"zz{number}" for number, name in enumerate(sorted(own(nodes)))}
    renamed = Renamed(names, {name for node in nodes for name in kept(node)})
    for path, tree in trees.items():  # texts stay as they were, comments go
        path.write_text(ast.unparse(renamed.visit(tree)))
    return ast.unparse(renamed.visit(ast.parse(proof)))


def own(nodes: list[ast.AST]) -> set[str]:
    """Identifiers that programs define themselves and share with no library.

    Classes, functions, parameters, variables, attributes.
    """
    mine = {name for node in nodes for name in defined(node)}
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    taken = foreign(nodes, functions) | held_by_libraries()
    if any(
        (node.module or "").startswith("mlx_lm.tuner") for node in nodes if isinstance(node, ast.ImportFrom)
    ):
        taken |= held_by_adapters()
    return {name for name in mine - taken if not keyword.iskeyword(name) and not name.startswith("__")}


def defined(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
            yield name
    yield from kept(node)


def kept(node: ast.AST) -> Iterator[str]:
    """Attributes that an object of the program's own classes keeps or offers."""
    match node:
        case ast.ClassDef(body=body):
            yield from (each.name for each in body if isinstance(each, ast.FunctionDef))
        case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
            yield name


def foreign(nodes: list[ast.AST], functions: set[str]) -> set[str]:
    """Names that the programs share with others.

    Imported, passed by keyword to others, reached through an import, or written as text.
    """
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    brought = {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}
    held: set[str] = set()
    for node in nodes:
        match node:
            case ast.Attribute() if rooted(node) in brought:
                held |= set(ast.unparse(node).split("."))
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                held |= {word for alias in names for word in f"{alias.name}.{alias.asname or ''}".split(".")}
                held |= set((getattr(node, "module", None) or "").split("."))
            case ast.Call(func=called, keywords=words):
                last = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
                if last not in functions:
                    held |= {word.arg for word in words if word.arg}
            case ast.Constant(value=str(text)):
                # an option's name is its attribute's
                held |= set(re.findall(r"[A-Za-z]\w*", text.replace("-", "_")))
    return held


@cache
def held_by_libraries() -> frozenset[str]:
    """Names that objects of Python, mlx and mlx-lm's models hold."""
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim
    from mlx_lm.models import cache as caches
    from mlx_lm.models import llama, qwen2, qwen3
    from mlx_lm.tokenizer_utils import TokenizerWrapper

    held = {"model_type", "args", "mlp", "self", *dir(builtins)}
    for each in (
        mx.array,
        nn.Module,
        optim.Adam,
        TokenizerWrapper,
        dict,
        list,
        str,
        Path,
        caches.KVCache,
        random.Random,
    ):
        held |= set(dir(each))
    for model in (llama, qwen2, qwen3):
        for node in ast.walk(ast.parse(Path(str(model.__file__)).read_text())):
            held |= {*defined(node), *([node.attr] if isinstance(node, ast.Attribute) else [])}
    return frozenset(held).union(
        *map(held_by, (nn.Linear(2, 2), nn.QuantizedLinear(64, 64), nn.LayerNorm(2)))
    )


@cache
def held_by_adapters() -> frozenset[str]:
    from mlx_lm.tuner import dora, lora

    return held_by(lora.LoRALinear(2, 2)) | held_by(dora.DoRALinear(2, 2))


def held_by(module: Any) -> frozenset[str]:
    return frozenset([*module, *vars(module), *dir(type(module))])


def rooted(node: ast.expr) -> str:
    """The name in front of a chain of attributes, or nothing where there is another thing."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


class Renamed(ast.NodeTransformer):
    """Puts names in the place of others, wherever Python means them as names.

    Of attributes only those in `kept`.
    """

    def __init__(self, names: dict[str, str], kept: set[str]) -> None:
        self.names, self.kept = names, kept

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for part in ("name", "id", "attr", "arg"):
            word = getattr(node, part, None)
            if (
                isinstance(word, str)
                and not isinstance(node, ast.alias)
                and (part != "attr" or word in self.kept)
            ):
                setattr(node, part, self.names.get(word, word))
        if isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [self.names.get(word, word) for word in node.names]
        return node
