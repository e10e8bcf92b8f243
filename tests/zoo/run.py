"""The zoo as a table: `python -m tests.zoo.run --jobs 2 [-k WORD] [--keep DIR] [--vary WAY]`.

Each broken program, each healthy twin and each healthy variation is captured and diagnosed through the
command line.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import quick, tiny
from tests.zoo import varied, zoo
from tests.zoo.table import Told, table
from tests.zoo.test_zoo import CASES, twins


@dataclass(frozen=True)
class Job:
    kind: str  # broken | twin | variation
    case: zoo.Case

    @property
    def name(self) -> str:
        return f"{self.case.name}~twin" if self.kind == "twin" else self.case.name


@dataclass(frozen=True)
class Done:
    job: Job
    verdict: zoo.Verdict | None
    document: dict[str, Any] | None
    error: str
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the zoo and print its table.")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "-k",
        metavar="WORD",
        action="append",
        default=[],
        help="only names, programs or faults that hold WORD",
    )
    parser.add_argument("--kind", choices=["broken", "twin", "variation"], action="append")
    parser.add_argument(
        "--keep", type=Path, help="captures lie here afterwards, and are diagnosed again where they are there"
    )
    parser.add_argument("--vary", choices=varied.WAYS, help="the same faults under another circumstance")
    options = parser.parse_args()
    jobs = [
        job
        for job in every_job()
        if wanted(job, options.k) and (not options.kind or job.kind in options.kind)
    ]
    jobs = [Job(job.kind, varied.varied(job.case, options.vary)) if options.vary else job for job in jobs]
    for job in jobs:
        tiny.cached(**job.case.model)  # models are built once, before threads ask for them
    with tempfile.TemporaryDirectory(prefix="zoo-") as temporary, ThreadPoolExecutor(options.jobs) as pool:
        parent = options.keep or Path(temporary)
        quick.children(Path(temporary))
        results = []
        for done in pool.map(lambda job: one(job, parent), jobs):
            print(line(done), flush=True)
            results.append(done)
    print(
        "\n"
        + table(
            [
                Told.of(done.job.kind, done.job.case, done.verdict)
                for done in results
                if done.verdict or done.error
            ]
        )
    )
    return 0 if all(done.verdict.right if done.verdict else not done.error for done in results) else 1


def every_job() -> list[Job]:
    jobs = [Job("broken" if case.faults else "variation", case) for case in CASES]
    return jobs + [Job("twin", case) for case in twins()]


def wanted(job: Job, words: list[str]) -> bool:
    texts = (job.name, job.kind, job.case.program, *job.case.faults, *(job.case.evaluated or ()))
    return not words or any(word in text for word in words for text in texts)


def one(job: Job, parent: Path) -> Done:
    started = time.perf_counter()
    try:
        if (
            job.case.varied
            and job.kind == "broken"
            and not varied.survives(job.case, parent / f"{job.name}-plain")
        ):
            return Done(job, None, None, "", time.perf_counter() - started)
        document = zoo.diagnosed(job.case, parent / job.name, broken=job.kind != "twin")
        told = zoo.judged(job.case, document, broken=job.kind == "broken")
        return Done(job, told, document, "", time.perf_counter() - started)
    except Exception as error:  # noqa: BLE001   one program that fails is one line of the table
        return Done(job, None, None, f"{type(error).__name__}: {error}", time.perf_counter() - started)


def line(done: Done) -> str:
    head = f"{done.job.kind:9} {done.job.name:32} {done.seconds:5.1f} s  "
    if done.verdict is None or done.document is None:
        return head + (f"FAILED {done.error}" if done.error else "the fault does not survive the change")
    told, parts = done.verdict, []
    if not told.right:
        if done.job.kind == "broken" and not told.first:
            parts.append(
                f"first {next((f['id'] for f in done.document['findings']), 'nothing')}, not"
                f" {done.job.case.faults[0]}"
            )
        parts += [f"missed {', '.join(told.missed)}"] if told.missed else []
        parts += [f"not evaluated {', '.join(told.silent)}"] if told.silent else []
    parts += [f"further {', '.join(told.noise)}"] if told.noise else []
    return head + ("ok " if told.right else "BAD ") + "; ".join(parts)


if __name__ == "__main__":
    raise SystemExit(main())
