"""From refs to the material of a report: opened, judged, compared and gathered once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.judge.collector import gather
from forensics.judge.compare import compare
from forensics.judge.diagnose import diagnose_opened
from forensics.judge.material import Material
from forensics.judge.pair import Pair
from forensics.judge.resolver import Opened, opened
from forensics.records import Comparison, Diagnosis, TwoRuns
from forensics.store.manifest import run_of

if TYPE_CHECKING:
    from forensics.store.store import Store


def materials(
    store: Store, words: Sequence[str], *, adapter: Path | None = None, queries: Path | None = None
) -> list[Material]:
    """The material of one pair; of two runs first that of the pair, then each run's own.

    Of three words or more it is that of each alone.

    Raises:
        ForensicsError: as `diagnose`.
    """
    if len(words) > 2 and adapter is None:
        own = [each for word in words for each in materials(store, [word], queries=queries)]
        return [each for each in own if isinstance(each.diagnosis, Diagnosis)]
    return gathered(opened(store, words, adapter=adapter, queries=queries, ask=True))


def gathered(evidence: Opened) -> list[Material]:
    """The material of evidence that is open."""
    judged = diagnose_opened(evidence)
    if evidence.empty is not None:
        return [_gathered(evidence, judged, Comparison(evidence.empty, evidence.empty, None, {}))]
    pairs: list[tuple[Diagnosis | TwoRuns, str, str, str]] = [(judged, evidence.a, evidence.b, "")]
    if isinstance(judged, TwoRuns):
        pairs = [(judged, evidence.a, evidence.b, " → ".join(evidence.questions))]
        pairs += [
            (each, each.a, each.b, name) for each, name in zip(judged.runs, evidence.questions, strict=True)
        ]
    return [_gathered(evidence, each, compare(evidence.session, a, b), title) for each, a, b, title in pairs]


def _gathered(
    evidence: Opened, judged: Diagnosis | TwoRuns, comparison: Comparison, title: str = ""
) -> Material:
    Pair(evidence.session, evidence.library, comparison.a, comparison.b).fill("settings_compared")
    proof = evidence.proofs.get(run_of(comparison.b))
    return gather(evidence.session, judged, comparison, title=title or (evidence.empty or ""), proof=proof)
