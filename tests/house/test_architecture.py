"""Rules of the house that imports show.

Imports go down only; only cli prints; only the watcher and the demo import mlx; only the session and the
catalogue open DuckDB.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "forensics"
ORDER = [
    *(
        "watch",
        "records",
        "errors",
        "units",
        "typed",
        "files",
        "settings",
        "schema",
        "environment",
        "bounded",
        "model",
        "tensors",
        "store",
    ),
    *(
        "capture",
        "bundle",
        "refs",
        "evidence",
        "health",
        "judge",
        "prove",
        "report",
        "api",
        "live",
        "notebook",
        "testing",
        "demo",
        "cli",
    ),
]
WITHIN = {
    "store": [
        *(
            "packfile",
            "packs",
            "manifest",
            "capture",
            "keyed",
            "origins",
            "unsealed",
            "answers",
            "store",
            "mirror",
            "place",
            "heads",
            "verdicts",
            "proofs",
        ),
        *(
            "overview",
            "database",
            "literals",
            "dberrors",
            "once",
            "session",
            "loader",
            "catalog",
            "facts",
            "upkeep",
        ),
    ],
    "capture": [
        *(
            "spool",
            "command",
            "prompts",
            "questions",
            "ranks",
            "pointnames",
            "counts",
            "frames",
            "temporary",
            "lines",
            "retention",
            "columns",
        ),
        *(
            "sources",
            "answers",
            "observation",
            "rows",
            "filepair",
            "reload",
            "roles",
            "order",
            "runtables",
            "batches",
            "loss",
            "scores",
            "probes",
        ),
        *(
            "rest",
            "checkpoints",
            "fusion",
            "fusepoints",
            "deltas",
            "pairs",
            "seal",
            "partial",
            "beside",
            "watchedrun",
            "unattended",
        ),
    ],
}
"""Modules of a room, the lowest first: each imports what stands before it."""
WATCH = [
    *(
        "stdlib",
        "originals",
        "captured",
        "steprows",
        "protocol",
        "events",
        "cells",
        "changes",
        "permanent",
        "distributed",
        "lock",
        "models",
        "moments",
    ),
    *("places", "rowfile", "trees", "wrapping", "proxy", "writer", "run"),
    *("capture", "generation", "training", "repeat", "cures", "hooks", "start", "late", "patch"),
    *("unattended", "child", "site"),
]
"""Modules and folders of the watcher, the lowest first. Within a folder no circle is all that is asked."""
FILES = sorted(path for path in ROOT.rglob("*.py") if "trainers" not in path.parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_layers() -> None:
    wrong = [f"{path.relative_to(ROOT)}: {what}" for path in FILES for what in broken_rules(path)]
    assert wrong == []


def test_a_broken_rule_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    lines = (
        "from forensics.cli import main",
        "from forensics.watch import trees",
        "import mlx.core",
        "import duckdb; duckdb.connect()",
        "print(1)",
    )
    (tmp_path / "store").mkdir()
    path = tmp_path / "store" / "new.py"
    for line in lines:
        path.write_text(line)
        assert list(broken_rules(path)), line
    path.write_text("from forensics.model import names")
    assert list(broken_rules(path)) == []


def broken_rules(path: Path) -> Iterator[str]:
    """What a module does that modules of its room may not do."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    layer, watch = parts[0], parts[0] == "watch"
    for name in imports(path):
        package, *rest = name.split(".")
        if package == "forensics" and rest and rest[0] in ORDER and layer in ORDER:
            if ORDER.index(rest[0]) > ORDER.index(layer):
                yield f"{name} is above {layer}"
            if watch and rest[:1] != ["watch"]:
                yield f"{name} is not there in a user's program"
            shared = rest[:1] != ["watch"] or rest[1] in ("protocol", "captured", "events")
            inside = layer in ("live", "notebook", "testing")  # what a program or notebook itself imports
            if not (watch or inside or shared):
                yield f"{name} is the watcher's own"
        if package in ("mlx", "mlx_lm") and not watch and layer != "demo":
            yield f"{name} outside the watcher"
    tree = ast.parse(path.read_text())
    if parts not in (("store", "session"), ("store", "catalog")) and opens_duckdb(tree):
        yield "opens DuckDB"
    if layer != "cli" and not watch:
        calls = [
            n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        ]
        if "print" in calls:
            yield "prints"


def opens_duckdb(tree: ast.AST) -> bool:
    named = {
        alias.name
        for n in ast.walk(tree)
        if isinstance(n, ast.ImportFrom) and n.module == "duckdb"
        for alias in n.names
    }
    attributes = (n for n in ast.walk(tree) if isinstance(n, ast.Attribute))
    return "connect" in named or any(ast.unparse(n) == "duckdb.connect" for n in attributes)


@functools.cache
def modules() -> dict[str, set[str]]:
    """Each module of forensics to the modules of forensics that it imports, also inside functions.

    What only types need is left out.

    So is the package itself, which gives its version to those below, and its interface, when asked, from
    above.
    """
    names = {
        ".".join(["forensics", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): path
        for path in FILES
    }
    found: dict[str, set[str]] = {}
    for module, path in names.items():
        tree = ast.parse(path.read_text())
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        typing = [
            n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"
        ]
        left_out = {id(n) for block in typing for n in ast.walk(block)}
        found[module] = set()
        for node in ast.walk(tree):
            if id(node) in left_out:
                continue
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                above = (
                    ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
                    if node.level
                    else ""
                )
                base = ".".join(filter(None, [above, node.module]))
                imported = [
                    f"{base}.{alias.name}" if f"{base}.{alias.name}" in names else base
                    for alias in node.names
                ]
            else:
                continue
            found[module] |= {
                name for name in imported if name in names and name not in (module, "forensics")
            }
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph[name]:
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            part = [stack.pop()]
            while part[-1] != name:
                part.append(stack.pop())
            if len(part) > 1:
                found.append(sorted(part))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def test_no_circle() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["b", "c"]], "the test finds one"
    assert circles(modules()) == []


def test_order_within_the_watcher() -> None:
    room, graph = "forensics.watch.", modules()
    assert {n.removeprefix(room).partition(".")[0] for n in graph if n.startswith(room)} == set(WATCH)
    for name, imported in graph.items():
        for other in imported:
            if name.startswith(room) and other.startswith(room):
                low, high = (n.removeprefix(room).partition(".")[0] for n in (other, name))
                assert WATCH.index(low) <= WATCH.index(high), f"{other} is above {name}"


def test_every_hook_is_installed() -> None:
    helpers = {"__init__", "adapterspec", "trainingspec"}
    for path in (ROOT / "watch/hooks").glob("*.py"):
        names = {n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}
        assert ("install" in names) != (path.stem in helpers), path.stem


@pytest.mark.parametrize("room", WITHIN)
def test_order_within_a_room(room: str) -> None:
    order, graph = WITHIN[room], modules()
    there = {name.split(".")[2] for name in graph if name.startswith(f"forensics.{room}.")}
    assert there == set(order), "every module has its place in the order"
    for name, imported in graph.items():
        for other in imported:
            if name.startswith(f"forensics.{room}.") and other.startswith(f"forensics.{room}."):
                assert order.index(other.split(".")[2]) < order.index(name.split(".")[2]), (
                    f"{other} is above {name}"
                )


LATE = {"cli", "api.py", "demo", "watch"}
"""Rooms that import inside functions throughout: their docstring says why."""


def test_a_late_import_says_why() -> None:
    """An import inside a function is for the time that it takes, or of what may not be there."""
    silent = [f"{path.relative_to(ROOT)}, line {line}" for path in FILES for line in silent_imports(path)]
    assert silent == []


def silent_imports(path: Path) -> Iterator[int]:
    """Lines of imports inside functions that no comment explains.

    In rooms of `LATE` the docstring does.
    """
    room, text = path.relative_to(ROOT).parts[0], path.read_text()
    tree = ast.parse(text)
    if room in LATE:
        about = ast.get_docstring(
            tree if "." in room else ast.parse((ROOT / room / "__init__.py").read_text())
        )
        assert "imported" in (about or ""), f"the docstring of {room}"
    lines = text.splitlines()
    for function in ast.walk(tree):
        for node in ast.walk(function) if isinstance(function, ast.FunctionDef) else ():
            ours = isinstance(node, ast.ImportFrom) and bool(node.level)
            if isinstance(node, (ast.Import, ast.ImportFrom)) and (ours or room not in LATE):
                above = lines[node.lineno - 2].strip()
                comment = (above if above.startswith("#") else "") + lines[(node.end_lineno or 1) - 1]
                if "#" not in comment:
                    yield node.lineno
