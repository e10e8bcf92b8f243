"""Reports of real runs in a real browser.

Nothing overflows, no script runs, no request is made, a screen reader can use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.judge.material import Declared
from forensics.judge.picture import coarse
from forensics.report.html import page
from tests.support import pages, reports

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """A function that opens a report at a width; the page carries what it asked for and said."""
    contexts = []

    def open_(html: str, width: int, *, scheme: str = "light") -> Any:
        path = tmp_path / "report.html"
        path.write_text(html, encoding="utf-8")
        # Scripts of the test itself must run beside the page's policy; the page's own are judged without
        # that.
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=False
        )
        contexts.append(context)
        tab = context.new_page()
        tab.asked, tab.said = [], []
        tab.on("request", lambda r: tab.asked.append(r.url))
        tab.on("console", lambda m: tab.said.append(m.text))
        tab.goto(path.as_uri())
        return tab

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def harmful(tmp_path_factory: pytest.TempPathFactory) -> str:
    return reports.hostile(tmp_path_factory.mktemp("hostile"))


KINDS = {
    "broken": ("snapshots/broken-stub",),
    "half-mended": ("snapshots/padded-lora",),
    "fixed": ("snapshots/fixed",),
    "one capture": ("snapshots/base",),
    "two runs": ("snapshots/broken-stub", "snapshots/fixed"),
}
MADE = {"large": pages.material(layers=64, changed=500), "few layers": pages.material(layers=12)}


@pytest.fixture(params=[*KINDS, "hostile", *MADE])
def html(request: pytest.FixtureRequest, harmful: str) -> str:
    """A report: of real captures, of a hostile run, of material made by hand."""
    kind = request.param
    return harmful if kind == "hostile" else page(MADE[kind]) if kind in MADE else reports.of(*KINDS[kind])


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_overflows_the_page(opened: Any, html: str, width: int) -> None:
    tab = opened(html, width)
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 1280])
def test_eighty_layers_stand_side_by_side(opened: Any, width: int) -> None:
    tab = opened(page(pages.material(layers=80)), width)
    room = "(t => t.parentElement.clientWidth - t.scrollWidth)(document.querySelector('.heat'))"
    assert tab.evaluate(room) >= 0
    cells = "[...document.querySelectorAll('.heat tbody tr:first-child td')]"
    widths = tab.evaluate(f"{cells}.map(d => d.offsetWidth)")
    assert len(widths) == 80 and min(widths) >= 2


def test_no_script_runs_and_no_request_is_made(opened: Any, html: str) -> None:
    tab = opened(html, 1000)
    assert tab.title().startswith(("faulty", "healthy", "inconclusive"))
    assert [url for url in tab.asked if not url.startswith("file:")] == [] and len(tab.asked) == 1
    assert tab.said == []


def test_what_a_reader_asks_stands_there_in_words(opened: Any) -> None:
    tab = opened(reports.of("snapshots/broken-stub"), 1400)
    said = tab.inner_text("main").replace("\u00a0", " ")
    facts = ("27 changed", "15.63 → 0.1305", "padding 88 %", "no adapter")
    for words in (
        *facts,
        "Padding carries 88 %",
        "LoRA of rank 8 was meant",
        "broken.py:51",
        "27 changed",
        "15.63 → 0.1305",
        "padding 88 %",
        "no adapter",
    ):
        assert words in said, words
    said = opened(reports.of("snapshots/padded-lora"), 1400).inner_text("main").replace("\u00a0", " ")
    assert "Padding carries 88 %" in said and "LoRA of rank 8 was meant" not in said
    said = opened(reports.of("snapshots/fixed"), 1400).inner_text("main")
    assert "HEALTHY" in said and "agrees" in said and "✕ differs" not in said


def test_two_runs_show_what_differs_and_the_rest_when_asked(opened: Any) -> None:
    tab = opened(reports.of("snapshots/broken-stub", "snapshots/fixed"), 1400)
    assert not tab.get_by_text(re.compile(r"\d+ checks were clean")).first.is_visible()
    tab.get_by_text("All of snapshots/broken-stub").click()
    assert tab.get_by_text(re.compile(r"\d+ checks were clean")).first.is_visible()


def test_what_differs_is_filtered_without_a_script(opened: Any) -> None:
    tab = opened(reports.of("snapshots/broken-stub", "snapshots/fixed"), 1400)
    table = tab.locator("fieldset.filter:has([name=group]) + table").first
    groups = table.locator("tbody")
    assert groups.count() > 1 and all(group.is_visible() for group in groups.all())
    tab.locator("fieldset.filter [value=g2]").first.check()
    assert [group.is_visible() for group in groups.all()] == [n == 1 for n in range(groups.count())]
    tab.locator("fieldset.filter [value=all]").first.check()
    assert all(group.is_visible() for group in groups.all())


def test_declared_against_observed_may_show_only_what_differs(opened: Any) -> None:
    lines = (Declared("adapter rank", "8", "4", False), Declared("learning rate", "0.001", "0.001", True))
    tab = opened(page(replace(pages.material(), declared=lines)), 1400)
    same = tab.locator("tr.same").first
    assert same.is_visible()
    tab.locator("fieldset.filter [value=differs]").first.check()
    assert not same.is_visible() and tab.get_by_text("✕ differs").first.is_visible()


def test_a_chain_leads_from_the_cause_to_what_it_explains(opened: Any) -> None:
    """Left to right where there is room, downwards on a phone."""
    for width, axis in ((1400, "x"), (360, "y")):
        nodes = opened(reports.of("snapshots/broken-stub"), width).locator(".chain").first.locator(".node")
        places = [nodes.nth(i).bounding_box()[axis] for i in range(nodes.count())]
        assert len(places) == 2 and places == sorted(places) and len(set(places)) == 2


def test_a_picture_of_many_parameters_says_that_it_was_drawn_together(opened: Any) -> None:
    many = pages.heat(3334)
    html = page(replace(pages.material(), heat=coarse(many)))
    tab = opened(html, 1400)
    assert (
        "23,338 parameters are too many to draw one by one: a column stands for 32 layers"
        in tab.inner_text("main")
    )
    assert tab.locator(".heat td").count() <= 3000


def test_on_paper_what_is_folded_stands_open(opened: Any) -> None:
    tab = opened(reports.of("snapshots/fixed"), 1000)
    tab.emulate_media(media="print")
    assert tab.get_by_text("lora-inert").first.is_visible()


@pytest.mark.parametrize("name", ["snapshots/broken-stub", "snapshots/padded-lora", "snapshots/fixed"])
def test_one_run_prints_on_fewer_than_eight_pages(opened: Any, name: str) -> None:
    printed = opened(reports.of(name), 1000).pdf(format="A4")
    assert 1 < len(re.findall(rb"/Type\s*/Page\b", printed)) < 8


def test_the_policy_blocks_a_script_that_would_get_through(opened: Any) -> None:
    tab = opened(
        reports.of("snapshots/fixed").replace("<h1>", "<script>document.title='owned'</script><h1>"), 1000
    )
    assert tab.title() != "owned"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_passes_the_accessibility_rules(
    browser: Any, tmp_path: Path, html: str, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    context = browser.new_context(
        viewport={"width": 1000, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    tab = context.new_page()
    tab.goto(path.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = axe.Axe().run(tab)
    context.close()
    assert found.response["violations"] == [], found.generate_report()


def test_the_verdict_can_be_read_without_scrolling_on_a_phone(opened: Any) -> None:
    box = opened(reports.of("snapshots/broken-stub"), 360).locator(".verdict").bounding_box()
    assert box["y"] + box["height"] < 640
