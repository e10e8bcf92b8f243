"""Names of captures: the main model, numbers of points that happened again, refs as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from forensics.capture.ranks import Ranks
from forensics.records import Row
from forensics.store.manifest import name_of
from forensics.typed import whole


@dataclass(frozen=True, slots=True)
class Point:
    """One capture before it has a name. `key` is the caller's own handle."""

    key: object
    point: str
    model: str
    process: int
    time: float


@dataclass(frozen=True, slots=True)
class Named:
    """A point with its place in the run.

    `ref` is the capture as text (night@end, night@start-2, night@end:m1); `directory` its name on disk.
    """

    key: object
    ref: str
    directory: str
    point: str
    ordinal: int
    sequence: int
    model: str
    process: int


def main_model(
    models: Iterable[Row],
    updates: Sequence[tuple[float, int, str]],
    generations: Sequence[tuple[float, int, str]],
) -> str:
    """The model that RUN@POINT means.

    The one that was updated most, of equals the one updated last; of several processes, in the last that
    updated; of the ranks of a distributed program, in the first, which is the one that saves. Where nothing
    was updated, the model that generated last, else m0. `updates` and `generations` are (time, process,
    model) in any order.
    """
    rows = list(models)
    ranks = Ranks(rows)

    def counts(process: int) -> bool:
        return process not in ranks.of or process in ranks.firsts

    moved: dict[tuple[int, str], int] = {}
    for column in ("updates", "writes"):  # an average of weights is written as often as the model is updated
        moved = moved or {
            (int(r["process"] or 0), str(r["model"])): n for r in rows if (n := whole(r.get(column))) > 0
        }
    moved = {key: n for key, n in moved.items() if counts(key[0])} or moved
    if moved:
        last = max((u for u in updates if (u[1], u[2]) in moved), default=None)
        process = last[1] if last else max(p for p, _ in moved)
        here = {model: n for (p, model), n in moved.items() if p == process} or {
            model: n for (_, model), n in moved.items()
        }
        # a run taken up again counts as the later half
        latest = {m: max((u[0] for u in updates if u[2] == m), default=0.0) for m in here}
        return max(here, key=lambda m: (here[m], latest[m], -int(m[1:] or 0)))
    if generations:
        return max([g for g in generations if counts(g[1])] or generations)[2]
    return "m0"


def name_points(run: str, points: Iterable[Point], main: str) -> list[Named]:
    """Names in the order of `points`.

    A point that happens again for the same model is point-2, point-3 ...
    """
    seen: dict[tuple[str, str], int] = {}
    named = []
    for sequence, p in enumerate(points):
        ordinal = seen[(p.model, p.point)] = seen.get((p.model, p.point), 0) + 1
        place = p.point if ordinal == 1 else f"{p.point}-{ordinal}"
        ref = f"{run}@{place}" + (f":{p.model}" if p.model != main else "")
        named.append(Named(p.key, ref, name_of(ref), p.point, ordinal, sequence, p.model, p.process))
    return named
