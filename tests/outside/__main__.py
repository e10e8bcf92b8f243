"""The table of what the tool says of programs from outside.

    python -m tests.outside [--only NAME] [--store DIR] [--again]

Captures stay in DIR; `--again` judges what lies there without capturing it once more.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.outside.cases import Case, Said, captured, cases, said


def main() -> None:
    words = argparse.ArgumentParser(prog="tests.outside", description=__doc__)
    words.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a part of a program's name; repeatable"
    )
    words.add_argument(
        "--store",
        type=Path,
        default=Path(tempfile.gettempdir()) / "forensics-outside",
        help="where captures stay",
    )
    words.add_argument("--again", action="store_true", help="judge what was captured before")
    options = words.parse_args()
    options.store.mkdir(parents=True, exist_ok=True)
    told = []
    for case in cases():
        if not options.only or any(part in case.run for part in options.only):
            told.append(_one(case, options.store, options.again))
    for kind in ("faulty", "healthy"):
        of_kind = [s for s in told if s.case.kind == kind]
        print(f"{kind}: {sum(s.right for s in of_kind)} of {len(of_kind)} as they should be")


def _one(case: Case, place: Path, again: bool) -> Said:
    began = time.monotonic()
    if not again or not (place / "store" / "runs" / case.run).is_dir():
        captured(case, place)
    one = said(case, place)
    mark = "ok " if one.right else "BAD"
    expected = case.id or ("healthy, or a warning" if case.arguable else "healthy")
    seconds = time.monotonic() - began
    print(
        f"{mark} {case.run:28} {expected:26} {one.verdict[:60]:13} {one.first:44} {one.noise}"
        f"  [{seconds:.0f} s]",
        flush=True,
    )
    return one


if __name__ == "__main__":
    main()
