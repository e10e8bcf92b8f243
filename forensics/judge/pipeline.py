"""From refs to the material of a report: opened, judged, compared and gathered once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.judge.collector import gather
from forensics.judge.compare import compare
from forensics.judge.diagnose import diagnose_opened
from forensics.judge.material import Material
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
    ours = evidence.library
    ours.install_queries(evidence.session, [ours.tables["settings_compared"]])
    if evidence.empty is not None:
        return [
            gather(
                evidence.session,
                judged,
                Comparison(evidence.empty, evidence.empty, None, {}),
                title=evidence.empty,
            )
        ]
    pairs: list[tuple[Diagnosis | TwoRuns, str, str, str]] = [(judged, evidence.a, evidence.b, "")]
    if isinstance(judged, TwoRuns):
        pairs = [(judged, evidence.a, evidence.b, " → ".join(evidence.questions))]
        pairs += [
            (each, each.a, each.b, name) for each, name in zip(judged.runs, evidence.questions, strict=True)
        ]
    return [
        gather(
            evidence.session,
            each,
            compare(evidence.session, a, b),
            title=title,
            proof=evidence.proofs.get(run_of(b)),
        )
        for each, a, b, title in pairs
    ]
