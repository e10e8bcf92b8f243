"""A file of the user's program as its syntax tree.

It gives texts of the file with something replaced, put in or left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

_Node = TypeVar("_Node", bound=ast.AST)


@dataclass(frozen=True)
class Program:
    """A file of the program: its text and tree, and what the run told the cures (see `repeat.cure_facts`).

    Args:
        line: that of the finding in this file, where it is known: of several places the one in the function
        around it is meant.
    """

    text: str
    tree: ast.Module
    facts: Mapping[str, Any]
    line: int | None = None

    def source(self, node: ast.AST) -> str:
        return ast.get_source_segment(self.text, node) or ""

    def calls(self, wanted: str) -> list[ast.Call]:
        """Calls of a function of that name, whatever stands before it."""
        return [
            node for node in ast.walk(self.tree) if isinstance(node, ast.Call) and name(node.func) == wanted
        ]

    def functions(self) -> list[ast.FunctionDef]:
        """All functions and methods, whatever they stand in."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]

    def one(self, wanted: str) -> ast.Call | None:
        """The call of that name, where `only` finds one."""
        return self.only(self.calls(wanted))

    def only(self, found: Sequence[_Node]) -> _Node | None:
        """The one of these, where there is exactly one, in the file or in the function of the finding."""
        if len(found) > 1 and self.line is not None:
            around = self._function(self.line)
            found = [node for node in found if around is not None and _stands_in(node, around)]
        return found[0] if len(found) == 1 else None

    def _function(self, line: int) -> ast.AST | None:
        """The innermost function that holds a line; None where it stands in none."""
        found = [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and node.lineno <= line <= (node.end_lineno or node.lineno)
        ]
        return max(found, key=lambda node: node.lineno, default=None)

    def made(self, node: ast.expr) -> ast.expr:
        """What a name stands for, where its function gives it one value, once; else the expression itself."""
        if not isinstance(node, ast.Name):
            return node
        around = self._function(node.lineno) or self.tree
        bound = [
            each
            for each in ast.walk(around)
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store) and each.id == node.id
        ]
        given = [
            value
            for each in ast.walk(around)
            if isinstance(each, ast.Assign)
            for target in each.targets
            for part, value in pairs(target, each.value)
            if isinstance(part, ast.Name) and part.id == node.id
        ]
        return given[0] if len(bound) == len(given) == 1 and given[0].lineno <= node.lineno else node

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
        statement = self._holding(node)
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

    def without(self, node: ast.AST) -> str | None:
        """The text without the lines of the statement that holds `node`, where it is not all of a block."""
        statement = self._holding(node)
        if statement is None or any(block == [statement] for block in _blocks(self.tree)):
            return None
        lines = self.text.splitlines(keepends=True)
        del lines[statement.lineno - 1 : statement.end_lineno]
        return "".join(lines)

    def plain(self, node: ast.expr) -> bool:
        """Can it be written twice: does it call nothing?"""
        return not any(isinstance(inner, ast.Call) for inner in ast.walk(node))

    def constant(self, node: ast.expr) -> object:
        """What is written down for an expression: a constant, a name, an attribute or key that is given one.

        None where it is not told, or told twice.
        """
        found = self.written(node)
        return found.value if isinstance(found, ast.Constant) else None

    def written(self, node: ast.expr) -> ast.expr | None:
        """The expression that a name, an attribute or a key is given, once; any other expression itself."""
        wanted: object = name(node) if isinstance(node, (ast.Name, ast.Attribute)) else None
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            wanted = node.slice.value
        if not wanted:
            return node
        found = [value for key, value in self._given() if key is not None and key == wanted]
        return found[0] if len(found) == 1 else None

    def _given(self) -> Iterator[tuple[object, ast.expr | None]]:
        """(name or key, value) of assignments, keywords and dictionaries."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Dict):
                yield from (
                    (key.value if isinstance(key, ast.Constant) else None, value)
                    for key, value in zip(node.keys, node.values, strict=True)
                )
            elif isinstance(node, ast.keyword):
                yield node.arg, node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, (ast.Name, ast.Attribute)):
                yield name(node.target), node.value
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, (ast.Name, ast.Attribute)):
                        yield name(target), node.value

    def after(self, node: ast.AST, new: Sequence[str]) -> str | None:
        """The text with lines after the statement that holds `node`, indented as it is."""
        statement = self._holding(node)
        if statement is None:
            return None
        lines, indent = self.text.splitlines(keepends=True), " " * statement.col_offset
        lines[statement.end_lineno : statement.end_lineno] = [f"{indent}{line}\n" for line in new]
        return "".join(lines)

    def _holding(self, node: ast.AST) -> ast.stmt | None:
        """The simple statement in which `node` stands."""
        return next((statement for statement in _statements(self.tree) if _stands_in(node, statement)), None)


def pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """(target, value), part by part where both are tuples."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=False))
    return [(target, value)]


def _stands_in(node: ast.AST, tree: ast.AST) -> bool:
    return any(node is inner for inner in ast.walk(tree))


def name(node: ast.expr) -> str:
    """The last part of a dotted name, empty of anything else."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _imports(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    return (node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))


def _statements(tree: ast.Module) -> list[ast.stmt]:
    """Simple statements, in which no other stands."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and not hasattr(node, "body")]


def _blocks(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for part in ("body", "orelse", "finalbody"):
            block = getattr(node, part, None)
            if isinstance(block, list):
                yield block
