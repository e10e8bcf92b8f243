"""Imports go down only; only cli prints; only the watcher and the demo import mlx; only the session and the catalogue open DuckDB."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "forensics"
ORDER = [
    *("watch", "records", "errors", "units", "typed", "files", "schema", "environment", "bounded", "model", "tensors", "store"),
    *("capture", "bundle", "refs", "health", "judge", "report", "api", "demo", "cli"),
]
UPWARD = {("store/store", "bundle"), ("bundle/contents", "refs")}
FILES = sorted(path for path in ROOT.rglob("*.py") if "trainers" not in path.parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_layers(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    layer, watch = parts[0], parts[0] == "watch"
    for name in imports(path):
        package, *rest = name.split(".")
        if package == "forensics" and rest and rest[0] in ORDER and layer in ORDER:
            if ("/".join(parts), rest[0]) not in UPWARD:
                assert ORDER.index(rest[0]) <= ORDER.index(layer), f"{name} is above {layer}"
            assert not watch or rest[:1] == ["watch"], f"{name} is not there in a user's program"
        if package in ("mlx", "mlx_lm"):
            assert watch or layer == "demo", f"{name} outside the watcher"
    tree = ast.parse(path.read_text())
    if parts not in (("store", "session"), ("store", "catalog")):
        named = {alias.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "duckdb" for alias in n.names}
        opened = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n) == "duckdb.connect"]
        assert "connect" not in named and not opened, "opens DuckDB"
    if layer != "cli" and not watch:
        calls = [n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
        assert "print" not in calls, "prints"
