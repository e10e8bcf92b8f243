"""What belongs to a run and to none of its captures.

Events in one order, steps, generations, saves, what was declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from forensics import __version__, schema
from forensics.capture import counts
from forensics.capture.columns import config, place
from forensics.capture.sources import Sources
from forensics.capture.spool import Spool, read_object
from forensics.records import Row
from forensics.watch import protocol

Ref = Callable[[int, Any], str | None]
"""(process, number of a capture there) to the capture's ref."""

_PLAIN = ("gradients", "schedules", "selftests")


def events(spool: Spool, started: float, cwd: str | None) -> list[Row]:
    """Rows of `events`, numbered over all processes in order of time.

    Equal times keep the order of their process.
    """
    rows = [dict(row) for row in spool.table("events")]
    rows.sort(key=lambda r: _number(r.get("time"), started))
    return [
        {
            **row,
            "sequence": i,
            "time": _number(row.get("time"), started) - started,
            "place": place(row.get("place"), cwd),
        }
        for i, row in enumerate(rows)
    ]


def plain(spool: Spool, cwd: str | None) -> Iterator[tuple[str, list[Row]]]:
    """(table, rows) of the tables that are stored as the watcher wrote them.

    Only places are shortened, and the counts of killed processes are filled in.
    """
    for table in _PLAIN:
        yield table, [placed(row, cwd) for row in spool.table(table)]
    yield "models", counts.models(spool)
    yield "compiled", [placed(row, cwd) for row in spool.latest("compiled", "function")]


def placed(row: Row, cwd: str | None) -> Row:
    """The row with its place relative to the run's directory."""
    return {**row, "place": place(row.get("place"), cwd)} if "place" in row else row


def declared(spool: Spool, expect: str | None, cwd: str | None) -> Iterator[Row]:
    """Rows of `adapters` of what the program, or the user by --expect, said is meant."""
    for row in spool.table("adapters"):
        yield {"capture": None, **placed(row, cwd)}
    if expect:
        yield {
            "run": spool.run,
            "capture": None,
            "origin": "declared",
            "via": "expect",
            "kind": expect,
            "strength": "strong",
        }


def configs(spool: Spool) -> Iterator[Row]:
    """Rows of `configs` of what the program was told as a whole, under the run's name.

    A key that is told again counts once.
    """
    last: dict[tuple[Any, Any], Row] = {}
    for row in spool.table("configs"):
        last[row.get("kind"), row.get("key")] = {
            "capture": spool.run,
            **{k: row.get(k) for k in ("kind", "key", "value")},
        }
    yield from last.values()


def environment(spool: Spool, main: int) -> Iterator[Row]:
    """Rows of `environment` under the run's name: the process that trains.

    Another process only where it differs.
    """
    ordered = sorted(spool.processes, key=lambda p: (p.number != main, p.number))
    seen: dict[str, Any] = {"forensics": __version__}
    for process in ordered:
        facts = process.facts.get("environment")
        for key, value in (facts if isinstance(facts, Mapping) else {}).items():
            if key not in seen:
                seen[key] = value
            elif seen[key] != value:
                seen[f"{key} (process {process.number})"] = value
    for key, value in seen.items():
        yield {"capture": spool.run, "key": key, "value": None if value is None else str(value)}


def launch(spool: Spool, main: int) -> dict[str, Any] | None:
    """How the process that trains was started."""
    facts = next((p.facts for p in spool.processes if p.number == main), protocol.Process())
    command = {key: facts.get(key) for key in ("argv", "executable", "cwd")}
    return command if all(command.values()) else None


def settings(spool: Spool) -> Iterator[Row]:
    """Rows of `configs` of what the capture itself was told."""
    for key in ("every", "max_tokens", "tensors", "expect", "selftest"):
        yield config(spool.run, "program", f"forensics.{key}", spool.options.get(key))
    if stop := read_object(spool.path / protocol.STOP):
        yield config(
            spool.run, "program", "forensics.stopped", f"{stop.get('id')} after step {stop.get('step')}"
        )


def generations(spool: Spool, ref: Ref, cwd: str | None) -> Iterator[dict[str, Any]]:
    """Rows of `generations`, their captures named.

    What is derived from the training rows is not filled in here.
    """
    for row in spool.table("generations"):
        yield {
            **row,
            "capture": ref(_int(row["process"]), row.get("capture")),
            "place": place(row.get("place"), cwd),
        }


def missing(spool: Spool, status: int | None, sources: Sources) -> list[dict[str, str]]:
    """What could not be recorded in the whole run.

    What the watcher noted, evidence that fails its digest, ends that never came.
    """
    gaps = spool.missing()
    gaps += [
        {"what": f"tensors of {name}", "why": "their bytes are not those of their digest", "kind": "tensors"}
        for name in sources.damaged
    ]
    if sources.unkept:
        gaps.append(
            {
                "what": "the bytes of some tensors",
                "why": f"they could not be kept: {sources.unkept}",
                "kind": "tensors",
            }
        )
    for process in spool.processes:
        if not process.exit:
            why = (
                f"it was ended by signal {-status}"
                if status is not None and status < 0
                else "it ended without running its exit handlers"
            )
            gaps.append(
                {
                    "what": f"the end of process {process.number}",
                    "why": why,
                    "kind": "process-end",
                    "process": str(process.number),
                }
            )
    return gaps


def columns(table: str, row: Mapping[str, Any]) -> Row:
    """The row with the columns of its table alone."""
    known = schema.tables()[table]
    return {key: value for key, value in row.items() if key in known}


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) else default


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
