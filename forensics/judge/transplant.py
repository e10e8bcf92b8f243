"""The smallest part of B that makes A answer as B does, found by delta debugging.

Zeller and Hildebrandt's ddmin, on groups first: what decides is among the weights, the template, the stop set
or the sampler; then in which layers, in which modules, and which tensors. The result is minimal in that no
single one can be left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

Test = Callable[[frozenset[str]], bool]
"""Does A with these parts of B answer as B does?"""
_LEVELS = ("kind", "layer", "module", "name")


@dataclass(frozen=True, slots=True)
class Part:
    """Something in which A and B differ and that can be moved by itself.

    `kind`: weights, settings, template, tokenizer, stop set or sampler. `layer` and `module` group weights
    and settings.
    """

    name: str
    kind: str
    layer: str = ""
    module: str = ""

    def group(self, level: str) -> str:
        """The group that it is in at a level of the search."""
        weights = {"layer": self.layer, "module": f"{self.layer} {self.module}", "name": self.name}
        return self.kind if level == "kind" else f"{self.kind} {weights[level]}"


class Spent(Exception):
    """The budget is spent."""


@dataclass
class Search:
    """A search under way.

    Args:
        holds: asks the models; what it says of a set is remembered in `known`.
        known: outcomes of an earlier search over the same parts, which is filled on.
        seconds: after so many no further set is tried; None for no limit.
        on_test: called after each new outcome with the number of parts that are left.
    """

    holds: Test
    known: dict[frozenset[str], bool] = field(default_factory=dict)
    seconds: float | None = None
    on_test: Callable[[int], None] = lambda _: None
    tried: int = 0
    best: frozenset[str] = frozenset()
    _began: float = field(default_factory=time.monotonic)

    def smallest(self, parts: Sequence[Part]) -> tuple[frozenset[str], bool]:
        """Names of the smallest set that was found, and whether the search came to its end.

        An empty set: not even all parts together make A answer as B does.
        """
        try:
            if not self._test(parts):
                return frozenset(), True
            left = list(parts)
            for level in _LEVELS:
                left = [part for group in self._minimal(_grouped(left, level)) for part in group]
        except Spent:
            return self.best, False
        return frozenset(part.name for part in left), True

    def _minimal(self, groups: list[list[Part]]) -> list[list[Part]]:
        """ddmin: groups of which none can be left out."""
        size = 2
        while len(groups) > 1:
            chunks = _chunks(groups, min(size, len(groups)))
            smaller = next((chunk for chunk in chunks if self._test(_flat(chunk))), None)
            if smaller is not None:
                groups, size = smaller, 2
                continue
            rest = [[g for other in chunks if other is not chunk for g in other] for chunk in chunks]
            smaller = (
                next((item for item in rest if self._test(_flat(item))), None) if len(chunks) > 2 else None
            )
            if smaller is not None:
                groups, size = smaller, max(2, size - 1)
            elif size >= len(groups):
                break
            else:
                size = 2 * size
        return groups

    def _test(self, parts: Iterable[Part]) -> bool:
        names = frozenset(part.name for part in parts)
        if names not in self.known:
            if self.seconds is not None and time.monotonic() - self._began > self.seconds:
                raise Spent
            self.known[names] = self.holds(names)
            self.tried += 1
            self.on_test(len(self.best) or len(names))
        if self.known[names] and (not self.best or len(names) < len(self.best)):
            self.best = names
        return self.known[names]


def _grouped(parts: Sequence[Part], level: str) -> list[list[Part]]:
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.group(level), []).append(part)
    return list(groups.values())


def _chunks(groups: list[list[Part]], count: int) -> list[list[list[Part]]]:
    """The groups in `count` runs of nearly equal length."""
    edges = [round(i * len(groups) / count) for i in range(count + 1)]
    return [groups[a:b] for a, b in zip(edges, edges[1:], strict=False) if b > a]


def _flat(groups: Iterable[Sequence[Part]]) -> list[Part]:
    return [part for group in groups for part in group]


def verdict(parts: Sequence[Part], smallest: frozenset[str], tensors: int, complete: bool) -> str:
    """What was found in one sentence; `tensors` is how many B has."""
    if not smallest:
        return (
            "Not even everything that can be moved makes A answer as B does:"
            " what differs lies outside of the models."
        )
    chosen = [part for part in parts if part.name in smallest]
    weights = [part for part in chosen if part.kind == "weights"]
    others = [
        part.name if part.kind == "settings" else f"the {part.name}"
        for part in chosen
        if part.kind != "weights"
    ]
    limit = "" if complete else "at most "
    if not weights:
        return f"None of the weights: {' and '.join(others)}."
    many = "is" if len(chosen) == 1 else "are"
    which = "this" if len(weights) == 1 else "these"
    beside = f", with {' and '.join(others)}," if others else ""
    return f"{which.capitalize()} {limit}{len(weights)} of {tensors:,} tensors{beside} {many} enough."
