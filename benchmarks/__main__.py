"""Measures captures and differences against plain reads, hashes, and what a user would write.

The same files for all.

    python -m benchmarks                    pairs of 2.5 GB, growth to 16 GB, peers; into docs/speed.md
    python -m benchmarks --gb 0.3 --curve 0.1 0.3 --no-peers --out -   a quick look

No figure is asserted: machines differ. Processor time is what a loaded machine still tells; wall time means
something on an idle one.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import many, peers
from benchmarks.meter import Cost, cost, forget
from benchmarks.page import above
from benchmarks.pairs import pair

HERE = Path(__file__).parent
READ = """
import sys
for path in sys.argv[1:]:
    with open(path, "rb", buffering=0) as file:
        block = bytearray(1 << 20)
        while file.readinto(block):
            pass
"""
HASH = """
import hashlib, sys
for path in sys.argv[1:]:
    with open(path, "rb", buffering=0) as file:
        block, digest = bytearray(1 << 20), hashlib.sha256()
        while n := file.readinto(block):
            digest.update(memoryview(block)[:n])
"""
Line = tuple[str, Cost, float]


class Bench:
    """A place for files and caches, and how often each thing is run."""

    def __init__(self, root: Path, repeats: int) -> None:
        self.root, self.repeats = root, repeats
        self.cache, self.store = root / "cache", root / "store"
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling every module anew is no user's day

    def run(
        self, command: Sequence[str], *, before: Callable[[], None] | None = None, **variables: str
    ) -> Cost:
        """The median run by processor time."""
        costs = []
        for _ in range(self.repeats):
            if before:
                before()
            costs.append(cost(command, {**self._places, **variables}))
        return _middle(costs)

    def inside(self, a: str, b: str) -> Cost:
        """Two captures compared in a process that has both open; the command's own start is not in it."""
        return _middle([self._inside(a, b) for _ in range(self.repeats)])

    def _inside(self, a: str, b: str) -> Cost:
        command = [sys.executable, "-m", "benchmarks.inside", a, b]
        done = subprocess.run(
            command, env={**os.environ, **self._places}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return Cost(
                0.0, 0.0, 0.0, (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1][:200]
            )
        said = json.loads(done.stdout)
        return Cost(said["processor"], said["wall"], said["anonymous"], None)

    @property
    def _places(self) -> dict[str, str]:
        return {"XDG_CACHE_HOME": str(self.cache), "FORENSICS_STORE": str(self.store)}

    def fresh(self) -> None:
        """Nothing captured, nothing remembered."""
        for path in (self.cache, self.store):
            shutil.rmtree(path, ignore_errors=True)

    def forgetful(self) -> None:
        """Nothing remembered of differences."""
        shutil.rmtree(self.cache / "mlx-forensics" / "deltas", ignore_errors=True)


def _middle(costs: Sequence[Cost]) -> Cost:
    return sorted(costs, key=lambda c: c.processor)[(len(costs) - 1) // 2]


def forensics(*words: object) -> list[str]:
    return [sys.executable, "-m", "forensics", *map(str, words)]


def captures(bench: Bench, model: Path) -> list[Line]:
    """One model: read, hashed, and captured without its bytes."""
    files = sorted(map(str, model.glob("*.safetensors")))
    size = sum(Path(f).stat().st_size for f in files) / 1e9
    plain, python = {"FORENSICS_NO_KERNELS": "1"}, [sys.executable, "-c"]
    capture = forensics("capture", model, "--tensors", "none", "--name", "m")

    def cold() -> None:
        bench.fresh()
        forget([Path(f) for f in files])

    lines = [
        ("read", bench.run([*python, READ, *files]), size),
        ("read, cold", bench.run([*python, READ, *files], before=cold), size),
        ("sha256sum", bench.run(["sha256sum", *files]), size),
        ("sha256 of hashlib", bench.run([*python, HASH, *files]), size),
        (
            "NumPy with sha256",
            bench.run([sys.executable, str(HERE / "baseline.py"), "capture", str(model)]),
            size,
        ),
        ("capture, NumPy alone", bench.run(capture, before=bench.fresh, **plain), size),
    ]
    if importlib.util.find_spec("llvmlite"):
        lines.append(("capture", bench.run(capture, before=bench.fresh), size))
        lines.append(("capture, cold", bench.run(capture, before=cold), size))
    lines.append(("capture again", bench.run(capture), size))
    return lines


def differences(bench: Bench, a: Path, b: Path) -> list[Line]:
    """Two models: captured ones by digest, and bytes first without any capture."""
    size = 2 * sum(p.stat().st_size for p in a.glob("*.safetensors")) / 1e9
    baseline = [sys.executable, str(HERE / "baseline.py")]
    lines = [("NumPy", bench.run([*baseline, "diff", str(a), str(b)]), size)]
    lines.append(("NumPy, bytes first", bench.run([*baseline, "bytes-first", str(a), str(b)]), size))
    lines.append(
        ("diff of two paths", bench.run(forensics("diff", a, b, "--json"), before=bench.fresh), size)
    )
    bench.fresh()
    for run, model in (("a", a), ("b", b)):
        bench.run(forensics("capture", model, "--tensors", "new", "--name", run))
    lines.append(
        (
            "diff of two captures",
            bench.run(forensics("diff", "a", "b", "--json"), before=bench.forgetful),
            size,
        )
    )
    lines.append(("the same again", bench.run(forensics("diff", "a", "b", "--json")), size))
    lines.append(("their tensors, where both are open", bench.inside("a", "b"), size))
    return lines


def captured_often(bench: Bench, captures: int) -> list[Line]:
    """A store of many captures of 300 tensors; of these no rates."""
    place = many.store(bench.root, captures)
    here = {"FORENSICS_STORE": str(place)}
    first, last = "run-00000", f"run-{captures - 1:05}"

    def forget_heads() -> None:
        (place / "heads.json").unlink(missing_ok=True)

    def forget_catalogue() -> None:
        (place / "catalog.duckdb").unlink(missing_ok=True)

    count = forensics("sql", "SELECT count(*) FROM parameters")
    return [
        ("list, the first time", bench.run(forensics("list"), before=forget_heads, **here), 0.0),
        ("list", bench.run(forensics("list"), **here), 0.0),
        ("diff of two", bench.run(forensics("diff", first, last, "--json"), **here), 0.0),
        ("sql, the catalogue made anew", bench.run(count, before=forget_catalogue, **here), 0.0),
        ("sql", bench.run(count, **here), 0.0),
    ]


def growth(bench: Bench, sizes: Sequence[float]) -> list[Line]:
    """A capture, and a diff of two paths, of models of growing size in as many tensors.

    What grows but time is a fault.
    """
    lines = []
    for size in sizes:
        a, b = pair(bench.root, f"grown-{size:g}", size, 0.03)
        capture = forensics("capture", a, "--tensors", "none", "--name", "m")
        lines.append((f"{size:g} GB: capture", bench.run(capture, before=bench.fresh), size))
        lines.append(
            (
                f"{size:g} GB: diff of two paths, 3 % changed",
                bench.run(forensics("diff", a, b, "--json"), before=bench.fresh),
                2 * size,
            )
        )
        for path in (a, b):
            shutil.rmtree(path)
    return lines


def others(bench: Bench, a: Path, b: Path, *, slow: bool) -> list[Line]:
    """Two models by us and by the peers."""
    size = 2 * sum(p.stat().st_size for p in a.glob("*.safetensors")) / 1e9
    lines = [("diff of two paths", bench.run(forensics("diff", a, b, "--json"), before=bench.fresh), size)]
    return lines + [
        (name, bench.run(command), size)
        for name, command in peers.commands(bench.root, a, b, slow=slow).items()
    ]


def table(lines: Sequence[Line], against: Mapping[str, str]) -> str:
    """The table as Markdown.

    Its last column is how many times less processor time a line takes than the one it is compared with.
    """
    by_name = {name: c for name, c, _ in lines}
    rows = [
        "| what | processor s | wall s | cores | GB/s of processor | anonymous MB | against |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, c, size in lines:
        other = by_name.get(against.get(name, ""))
        ratio = f"{other.processor / c.processor:.2g} x {against[name]}" if other and c.processor else ""
        rate = f"{size / c.processor:.2f}" if size and c.processor else ""
        told = (
            c.failed
            or f"{c.processor:.2f} | {c.wall:.2f} | {c.cores:.1f} | {rate} | {c.anonymous:.0f} | {ratio}"
        )
        rows.append(f"| {name} | {told} |")
    return "\n".join(rows)


def main() -> None:
    """Make the files, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--gb", type=float, default=2.5, help="Size of each model.")
    parser.add_argument("--root", type=Path, default=Path(".bench"), help="Where the files are made.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--curve",
        type=float,
        nargs="*",
        default=[0.25, 1.0, 4.0, 16.0],
        help="Sizes in GB of the growth curve.",
    )
    parser.add_argument(
        "--captures", type=int, default=10_000, help="Captures of the store of many; 0: no such store."
    )
    parser.add_argument("--no-peers", action="store_true", help="Install nothing from the package index.")
    parser.add_argument("--out", default="docs/speed.md", help="The page; - for standard output.")
    asked = parser.parse_args()
    out = Path(asked.out)
    # words stay
    page = [above(out) + "\n"] if out.is_file() else []
    bench = Bench(asked.root.resolve(), asked.repeats)
    for part in _parts(bench, asked.gb, asked.curve, asked.captures, with_peers=not asked.no_peers):
        page.append(part)  # what was measured stands on the page when the rest is interrupted
        if asked.out == "-":
            print(part, flush=True)
        else:
            out.write_text("\n".join(page), encoding="utf-8")


def _parts(
    bench: Bench, gigabytes: float, curve: Sequence[float], captures_: int, *, with_peers: bool
) -> Iterator[str]:
    """The page, a section at a time, each as soon as it was measured."""
    yield _head()
    for title, name, dtype in (
        (f"A bfloat16 model of {gigabytes:g} GB in 300 tensors", "identical", "BF16"),
        ("In float32", "single", "F32"),
    ):
        lines = captures(bench, pair(bench.root, name, gigabytes, 0.0, dtype=dtype)[0])
        hold = {n: "sha256 of hashlib" for n, _, _ in lines} | {
            "sha256 of hashlib": "sha256sum",
            "capture again": "NumPy with sha256",
        }
        yield f"## {title}\n\n{table(lines, hold)}\n"
    pairs = {
        "identical": pair(bench.root, "identical", gigabytes, 0.0),
        "3 % changed": pair(bench.root, "few", gigabytes, 0.03),
        "all changed": pair(bench.root, "all", gigabytes, 1.0),
        "4 shards, a fifth changed": (shards := pair(bench.root, "shards", gigabytes * 0.8, 0.2, shards=4)),
        "30,000 tensors, 3 % changed": pair(bench.root, "many", gigabytes * 0.1, 0.03, tensors=30_000),
    }
    for name, (a, b) in pairs.items():
        lines = differences(bench, a, b)
        size = sum(p.stat().st_size for p in a.glob("*.safetensors")) / 1e9
        yield (
            f"## Two models of {size:.2g} GB:"
            f" {name}\n\n{table(lines, {n: lines[0][0] for n, _, _ in lines[1:]})}\n"
        )
    if with_peers:
        small = pair(bench.root, "small", 0.05, 0.2, tensors=40)
        for which, models in (
            ("on the pair of 4 shards", shards),
            ("on a pair of 0.05 GB in 40 tensors", small),
        ):
            lines = others(bench, *models, slow=models is small)
            yield (
                "## Beside other tools,"
                f" {which}\n\n{table(lines, {n: lines[0][0] for n, _, _ in lines[1:]})}\n"
            )
    if captures_:
        yield (
            f"## A store of {captures_:,} captures of 300"
            f" tensors\n\n{table(captured_often(bench, captures_), {})}\n"
        )
    yield f"## Growth\n\n{table(growth(bench, curve), {})}\n"


def _head() -> str:
    names: list[str] = []
    if (about := Path("/proc/cpuinfo")).exists():
        names = [
            line.partition(":")[2].strip()
            for line in about.read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ]
    machine = (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores,"
        f" {platform.system()} {platform.machine()}"
    )
    made = (
        f"{machine}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}, load"
        f" {os.getloadavg()[0]:.1f} at the start"
    )
    return f"""## Measured

`python -m benchmarks` makes these tables. Here: {made}.
Each line is the median of its runs by processor time, which a busy machine hardly changes, unlike wall time.
The last column: how many times less processor time than that other line, on the same files.
"""


if __name__ == "__main__":
    main()
