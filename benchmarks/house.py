"""The size and order of the code in numbers, counted the same way each time.

    uv run python -m benchmarks.house [DIRECTORY]

A module is a `.py` file of the package, without the demo's trainers; lines are all lines of it. The names of
modules that are participles or moods are those of the list below; they and the vague words are counted as
whole words in names of Python.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
WIDE, LIMIT = 100, 110
VAGUE = ("told", "said", "held", "kept", "made", "each", "known", "asked", "apart")
MOODS = (
    *(
        "kept",
        "said",
        "opened",
        "resting",
        "received",
        "passing",
        "choosing",
        "landing",
        "reading",
        "rebuilt",
        "composed",
        "arranged",
    ),
    *(
        "remembered",
        "differing",
        "zipped",
        "asking",
        "answering",
        "watching",
        "learned",
        "shared",
        "fused",
        "saved",
        "sealing",
    ),
    *(
        "loading",
        "recording",
        "observed",
        "declared",
        "forward",
        "still",
        "keeping",
        "naming",
        "scoring",
        "refusing",
        "failing",
    ),
    *(
        "gather",
        "looks",
        "atrest",
        "sidebyside",
        "inplace",
        "norows",
        "taught",
        "asked",
        "reporting",
        "unseen",
        "shown",
        "stored",
    ),
)


def modules(package: Path) -> list[Path]:
    return sorted(path for path in package.rglob("*.py") if "trainers" not in path.parts)


def functions(tree: ast.AST) -> Iterator[int]:
    """Lines of each function, decorators apart."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno:
            yield node.end_lineno - node.lineno + 1


def arrows(package: Path, paths: list[Path]) -> dict[str, set[str]]:
    """Module to the modules of the package that it imports, relative imports resolved."""
    names = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }
    found: dict[str, set[str]] = {name: set() for name in names}
    for name, path in names.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom):
                continue
            parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module or ""])) if node.level else node.module or ""
            for alias in node.names:
                target = f"{source}.{alias.name}"
                found[name] |= {target} if target in names else {source} & names.keys()
    # the package itself gives its version to those below, and its interface, when asked, from above
    return {name: targets - {name, package.name} for name, targets in found.items()}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected modules (Tarjan 1972)."""
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
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    sys.setrecursionlimit(10_000)
    for name in graph:
        if name not in index:
            visit(name)
    return found


def count(root: Path) -> dict[str, object]:
    """All numbers of one checkout."""
    package = root / "forensics"
    paths = modules(package)
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    sizes = sorted(len(text.splitlines()) for text in texts.values())
    trees = {path: ast.parse(text) for path, text in texts.items()}
    lines = [line for text in texts.values() for line in text.splitlines()]
    lengths = [n for tree in trees.values() for n in functions(tree)]
    whole = "\n".join(texts.values())
    judged = "\n".join(
        text for path, text in texts.items() if {"store", "judge", "capture"} & set(path.parts)
    )
    detectors = list((root / "queries/detect").rglob("*.sql"))
    selects = {
        path.stem: len(re.findall(r"\bSELECT\b", path.read_text(encoding="utf-8"), re.I))
        for path in detectors
    }
    return {
        "modules": len(paths),
        "lines": sum(sizes),
        "median module": statistics.median(sizes),
        "largest module": sizes[-1],
        "modules above 400 lines": sum(size > 400 for size in sizes),
        "median function": statistics.median(lengths),
        "functions above 40 lines": sum(n > 40 for n in lengths),
        f"lines wider than {WIDE} columns": f"{sum(len(line) > WIDE for line in lines) / len(lines):.1%}",
        f"lines wider than {LIMIT} columns": sum(len(line) > LIMIT for line in lines),
        "modules named by a participle or mood": sum(path.stem in MOODS for path in paths),
        "`found`": len(re.findall(r"\bfound\b", whole)),
        f"`{' '.join(VAGUE)}`": len(re.findall(rf"\b({'|'.join(VAGUE)})\b", whole)),
        '`.get("...")` in store, capture, judge': len(re.findall(r"\.get\(\"", judged)),
        "circles of imports": len(circles(arrows(package, paths))),
        "detectors": len(detectors),
        "detectors with more than a dozen SELECTs": sum(n > 12 for n in selects.values()),
    }


def main() -> None:
    for name, value in count(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT).items():
        print(f"{name:52} {value:,}" if isinstance(value, int) else f"{name:52} {value}")


if __name__ == "__main__":
    main()
