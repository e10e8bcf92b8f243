"""Walks the patch: each broken program is patched as `prove` would, and run again: is the finding gone?

    python -m tests.prove.patched --out rows.jsonl [--seed N] [--cases N] [--zoo] [--once] [-k WORD]

A program whose first cause has an edit is captured and repeated once (for the facts that an edit is told),
its patch is applied by `git apply` to a copy, and the copy is captured. Outcomes: `none` (no edit that is
sure), `mended`, `unsound` (the finding is gone, another error is there), `still` (the finding is there),
`broken` (the patch does not apply, or the program fails with it where it did not before), `unfound` (the
finding was not there).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forensics.errors import ForensicsError
from forensics.judge.diagnose import diagnose_opened
from forensics.judge.resolver import opened
from forensics.prove.edits import EDITS
from forensics.prove.patch import patch
from forensics.prove.proof import Proving
from forensics.store.store import Store
from tests.prove.subjects import Subject, of_exam, of_zoo
from tests.support import command, quick


def main() -> None:
    parser = argparse.ArgumentParser(description="Apply patches and look whether the finding is gone.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--cases", type=int, default=20, help="programs whose cause has an edit")
    parser.add_argument("--zoo", action="store_true", help="programs of the zoo, not of the exam")
    parser.add_argument("--once", action="store_true", help="no more of an id that had a patch")
    parser.add_argument("-k", metavar="WORD", action="append", default=[], help="only names that hold WORD")
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {row["case"] for row in rows}
    with tempfile.TemporaryDirectory(prefix="patched-") as folder:
        quick.children(Path(folder))
        for case in of_zoo(options.seed) if options.zoo else of_exam(options.seed):
            if len(done) >= options.cases:
                break
            if case.faults[0] not in EDITS or case.name in done:
                continue
            if options.once and any(row["id"] == case.faults[0] and "patch" in row for row in rows):
                continue
            if options.k and not any(word in case.name for word in options.k):
                continue
            place = Path(folder) / str(len(done))
            if case.thrown(Path(tempfile.mkdtemp(dir=folder))):
                continue
            done.add(case.name)
            row = {"case": case.name, "id": case.faults[0], **walked(case, place)}
            rows.append(row)
            print(json.dumps(row), flush=True)
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    count = Counter(row["outcome"] for row in rows)
    print(f"of {len(rows)}: " + ", ".join(f"{what} {number}" for what, number in count.most_common()))


def walked(case: Subject, place: Path) -> Mapping[str, Any]:
    """What became of one program: the outcome, and the patch."""
    case.capture(place, True)
    return patched(place, case.faults[0])


def patched(place: Path, wanted: str) -> Mapping[str, Any]:
    """Patch the program whose run `run` lies below a directory, and look at what is found then."""
    store = Store(place / ".forensics")
    try:
        proving = Proving(store, store.run("run"), repeats=1)
        if wanted not in {finding.id for finding in proving.diagnosis.findings}:
            return {"outcome": "unfound"}
        facts = proving._repeat((), 0).facts
    except ForensicsError as error:
        return {"outcome": "error", "why": error.message}
    places = {item.id: item.where for item in proving.diagnosis.findings if item.where}
    diff = patch(proving.launch.cwd, proving.source.files(), [wanted], facts, places)
    if not diff:
        return {"outcome": "none"}
    copy = place.with_name(f"{place.name}-patched")
    shutil.copytree(place, copy, symlinks=True, ignore=shutil.ignore_patterns(".forensics"))
    (copy / "cure.patch").write_text(diff, encoding="utf-8")
    applied = subprocess.run(
        ["git", "apply", "cure.patch"], cwd=copy, capture_output=True, text=True, check=False
    )
    if applied.returncode:
        return {"outcome": "broken", "why": applied.stderr[-300:], "patch": diff}
    words = ["python", *proving.launch.argv[1:]]
    done = command.forensics(copy, "capture", "--name", "run", "--quiet", "--", *words)
    after = opened(Store(copy / ".forensics"), ("run",))
    findings = diagnose_opened(after).findings  # type: ignore[union-attr]
    found = {finding.id: finding.severity for finding in findings}
    if done.status and not proving.record.status:
        return {"outcome": "broken", "why": done.err[-300:], "patch": diff}
    outcome = "still" if wanted in found else "unsound" if "error" in found.values() else "mended"
    return {"outcome": outcome, "found": found, "patch": diff}


if __name__ == "__main__":
    main()
