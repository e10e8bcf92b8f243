"""Evidence in Python: the words of the command line, objects that show themselves in a notebook."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import forensics
from forensics.api import Case, FindingCard
from forensics.errors import ForensicsError
from forensics.judge.diagnose import document
from tests.support import pages


@pytest.fixture(scope="module")
def case() -> Case:
    return forensics.open("snapshots/broken-stub")


def _balanced(html: str) -> bool:
    """Every element that opens closes, in order."""
    stack: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in ("br", "meta"):
                stack.append(tag)

        def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            pass  # shapes of a drawing close themselves

        def handle_endtag(self, tag: str) -> None:
            assert stack.pop() == tag, tag

    Reader().feed(html)
    return not stack


def test_a_diagnosis_is_that_of_the_command_and_shows_its_causes(case: Case) -> None:
    assert document(case.diagnosis)["verdict"] == "faulty"
    html = case._repr_html_()
    assert "Padding carries" in html and "broken.py:51" in html and _balanced(html)


def test_printed_it_is_what_the_terminal_shows(case: Case) -> None:
    assert str(case.diagnosis).startswith("FAULTY  2 causes")
    assert str(case.comparison).startswith("DIFFERS  27 changed parameters")


def test_a_finding_a_comparison_a_capture_and_rows_show_themselves(case: Case) -> None:
    shown = {
        "padding-in-loss": case.diagnosis.findings[0],
        "mlp.down_proj": case.comparison,
        "snapshots/broken-stub@end": forensics.show("snapshots/broken-stub@end"),
        "weight_pad": case.query("loss-by-role"),
    }
    for word, each in shown.items():
        html = each._repr_html_()
        assert word in html and _balanced(html)


def test_a_front_end_that_shows_text_alone_shows_what_print_does(case: Case) -> None:
    pretty = pytest.importorskip("IPython.lib.pretty", reason="IPython is in the group notebook").pretty

    assert pretty(case) == pretty(case.diagnosis) == str(case.diagnosis)
    assert pretty(case.comparison) == str(case.comparison)


@pytest.mark.long
def test_two_runs_are_shown_side_by_side() -> None:
    html = forensics.diagnose("snapshots/broken-stub", "snapshots/fixed")._repr_html_()
    assert (
        "snapshots/broken-stub · Faulty" in html and "snapshots/fixed · Healthy" in html and _balanced(html)
    )


def test_sql_reads_these_captures_alone(case: Case) -> None:
    assert case.sql("SELECT count(*) AS n FROM steps") == [{"n": 12}]
    with pytest.raises(ForensicsError):
        case.sql("SELECT * FROM read_csv('/etc/passwd')")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1; DELETE FROM steps",
        *(
            pytest.param(statement, marks=pytest.mark.long)
            for statement in (
                "",
                "DELETE FROM steps",
                "DROP TABLE captures",
                "SET threads=9",
                "EXPLAIN ANALYZE DELETE FROM steps",
                "WITH gone AS (DELETE FROM steps RETURNING *) FROM gone",
            )
        ),
    ],
)
def test_sql_changes_no_evidence(case: Case, statement: str) -> None:
    with pytest.raises(ForensicsError):
        case.sql(statement)
    assert case.sql("SELECT count(*) AS n FROM steps") == [{"n": 12}]
    assert case.sql("DESCRIBE steps")[0]["column_name"] == "run" and case.sql("EXPLAIN FROM steps")


def test_a_report_is_written_whole(case: Case, tmp_path: Path) -> None:
    page = case.report(tmp_path / "night.html")
    assert page.read_text().startswith("<!doctype html>") and _balanced(
        page.read_text().removeprefix("<!doctype html>")
    )


def test_texts_of_strangers_stay_text() -> None:
    found = FindingCard(
        *(getattr(pages.findings()[0], f) for f in ("id", "severity", "role", "confidence", "title")),
        pages.HOSTILE,
    )
    assert "<script" not in found._repr_html_() and "<img" not in found._repr_html_()


def test_importing_the_package_loads_nothing_of_it() -> None:
    probe = (
        "import sys, forensics\nassert not {'duckdb', 'numpy', 'rich', 'forensics.api'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
