"""How many rows each table has after a capture, of some programs of the zoo: before a change and after it.

    python -m benchmarks.rows fused-four story-both --out before.json
    python -m benchmarks.rows fused-four story-both --out after.json --against before.json

A change that is to make watching cheaper is to lose nothing: what differs is printed, a table a line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import quick, tiny
from tests.zoo import zoo

TABLES = (
    "captures", "modules", "parameters", "tensors", "deltas", "optimizers", "adapters", "configs", "events",
    "steps", "gradients", "loss_tokens", "saved_tensors", "transcripts", "tokens", "scores", "environment",
)  # fmt: skip


def counted(case: zoo.Case, directory: Path) -> dict[str, int]:
    """Capture a program and count; `answers` is a number that tells the tokens of all transcripts apart."""
    zoo.captured(case, directory, broken=True)
    counts = ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in TABLES)
    answers = (
        "(SELECT hash(list(output_ids ORDER BY capture, prompt_id, output_ids)) FROM transcripts) AS answers"
    )
    command = [sys.executable, "-m", "forensics", "sql", "--json", f"SELECT {counts}, {answers}"]
    store = {**os.environ, "FORENSICS_STORE": str(directory / ".forensics")}
    said = json.loads(subprocess.run(command, env=store, check=True, capture_output=True, text=True).stdout)
    row: dict[str, int] = (said["rows"] if isinstance(said, dict) else said)[0]
    return row


def main() -> None:
    """Count, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--against", type=Path)
    asked = parser.parse_args()
    cases = {case.name: case for case in zoo.cases() if case.name in asked.cases}
    found: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="rows-") as name:
        quick.children(Path(name))
        for each, case in cases.items():
            tiny.cached(**case.model)
            found[each] = counted(case, Path(name) / each)
            asked.out.write_text(json.dumps(found, indent=1))
            print(f"{each}: {sum(found[each][table] for table in TABLES)} rows", flush=True)
    for each, before in (json.loads(asked.against.read_text()) if asked.against else {}).items():
        for table, count in before.items():
            if each in found and found[each][table] != count:
                print(f"{each}: {table}: {count} before, {found[each][table]} after")


if __name__ == "__main__":
    main()
