"""Is this machine ready?

Packages, the training program's interpreter and whether the watcher starts in it, the store.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from forensics import __version__, files
from forensics.capture.command import environment, write_options
from forensics.environment import versions
from forensics.errors import ForensicsError
from forensics.store.store import Store
from forensics.units import counted, size
from forensics.watch import protocol

_OURS = ("duckdb", "numpy", "safetensors", "click", "rich", "mlx", "mlx-lm")
_EXTRAS = {"llvmlite": "fast", "fsspec": "remote", "distributed": "cluster", "model-signing": "sign"}
_PROBE = """
import json
found = {}
for name in ("mlx", "mlx-lm"):
    from importlib.metadata import PackageNotFoundError, version
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
if "mlx" in found:
    import mlx.core as mx
    found["device"] = str(mx.default_device())
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `ok` is None where it is neither right nor wrong.

    `do` says what to do where it is False.
    """

    what: str
    ok: bool | None
    observed: str
    do: str = ""


def installed() -> Iterator[Check]:
    """This tool and what it stands on."""
    yield Check(
        "forensics",
        True,
        f"{__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}",
    )
    there = versions((*_OURS, *_EXTRAS))
    missing = [name for name in _OURS[:5] if name not in there]
    yield Check(
        "packages",
        not missing,
        ", ".join(f"{k} {v}" for k, v in there.items()),
        f"install {', '.join(missing)}",
    )
    absent = [f"{extra} ({package})" for package, extra in _EXTRAS.items() if package not in there]
    if absent:
        yield Check("extras", None, f"not installed: {', '.join(absent)}")


def program(python: str) -> Iterator[Check]:
    """The interpreter of the training program: what it has, and whether the watcher starts in it."""
    executable = shutil.which(python)
    if executable is None:
        yield Check(
            "program", False, f"there is no {python!r} on the PATH", "name its interpreter with --python"
        )
        return
    with files.temporary("doctor") as place:
        spool = place / "doctor"
        write_options(
            spool,
            {
                "version": protocol.VERSION,
                "run": "doctor",
                "tensors": "none",
                "max_tokens": 1,
                "prompts": None,
                "known": None,
            },
        )
        (spool / "models").mkdir()
        try:
            done = subprocess.run(
                [executable, "-c", _PROBE],
                env=environment(spool),
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            facts = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            yield Check(
                "program",
                False,
                f"{executable} does not run: {error}",
                "name another interpreter with --python",
            )
            return
        yield _backend(executable, facts)
        if "mlx" in facts:
            seen = any((path / protocol.PROCESS).is_file() for path in spool.glob("p*"))
            do = "see whether its PYTHONPATH or -I, -E, -S keeps `sitecustomize` away"
            yield Check(
                "watching", seen, "the watcher starts with mlx" if seen else "the watcher does not start", do
            )


def _backend(executable: str, facts: dict[str, str]) -> Check:
    there = ", ".join(f"{name} {facts[name]}" for name in ("mlx", "mlx-lm") if name in facts)
    do = "activate the environment of the training program, or name its interpreter with --python"
    if "mlx" not in facts:
        return Check("program", False, f"{executable} has no mlx", do)
    lacking = "" if "mlx-lm" in facts else "; without mlx-lm what was saved is not loaded again"
    return Check("program", True, f"{executable}: {there}, {facts['device']}{lacking}")


def store(place: Store) -> Iterator[Check]:
    """Size and soundness of the store; what is damaged is named."""
    if not place.root.is_dir():
        yield Check("store", None, f"{place.root} is not there yet; the first capture makes it")
        return
    damaged = []
    names = sorted(place.run_names())
    for name in names:
        try:
            place.run(name)
        except ForensicsError as error:
            damaged.append(f"{name} ({error.message})")
    free = size(shutil.disk_usage(place.root).free)
    packs = size(place.packs.nbytes())
    yield Check(
        "store", True, f"{place.root.resolve()}: {counted(len(names), 'run')}, tensors {packs}; {free} free"
    )
    if damaged:
        yield Check(
            "damaged runs",
            False,
            "; ".join(damaged),
            "forensics verify RUN says what; forensics rm RUN removes it",
        )
    left = sorted(entry.name for entry in place.spool.iterdir()) if place.spool.is_dir() else []
    if left:
        yield Check("unsealed runs", None, ", ".join(left))
