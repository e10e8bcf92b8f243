"""Pages that are made from headers, the schema and the protocol are what these say.

The example of a private detector works.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from forensics import schema
from forensics.judge import check, docs, library, spoolpage
from forensics.store.session import from_rows
from forensics.watch import events
from tests.support.evidence import ask, capture, evidence, run, step

DOCS = Path(__file__).parents[2] / "docs"


def test_detectors_page(golden: Callable[[str, str], None]) -> None:
    golden(str(DOCS / "detectors.md"), docs.detectors_page(library.load()))


def test_queries_page(golden: Callable[[str, str], None]) -> None:
    golden(str(DOCS / "queries.md"), docs.queries_page(library.load()))


def test_spool_page(golden: Callable[[str, str], None]) -> None:
    golden(str(DOCS / "spool.md"), spoolpage.page())


def test_the_schema_names_every_kind_of_event() -> None:
    kind = next(column for column in schema.described()["events"].columns if column.name == "kind")
    assert kind.meaning.split(" | ") == list(events.EVENTS)


def test_the_private_example_works(tmp_path: Path) -> None:
    (tmp_path / "rate-above-agreement.sql").write_text(docs._PRIVATE)
    ours = library.load(tmp_path)
    check.check(ours, from_rows({}), only=[ours.get("rate-above-agreement")])
    session = evidence(
        run(), capture("end"), step(1, learning_rate=1e-4), step(2, learning_rate=1e-2), private=tmp_path
    )
    assert [r["fault"] for r in ask(session, "rate-above-agreement", "r", "r")] == [False, True]
    assert [r["fault"] for r in ask(session, "rate-above-agreement", "r", "r", most=0.1)] == [False, False]
