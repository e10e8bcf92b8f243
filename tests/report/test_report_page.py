"""The report as a page of HTML: bounded, escaped, in order."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from forensics.judge.material import Answer, Cell, Exchange, Heat, Step, Token
from forensics.judge.picture import coarse
from forensics.judge.pipeline import materials
from forensics.records import Diagnosis, Difference, TwoRuns
from forensics.report import html as html_package
from forensics.report.html import chart, page
from forensics.report.html.answers import exchanges
from forensics.report.html.heat import Shades, heat
from forensics.report.html.render import environment, issue
from forensics.report.html.tokens import lessons
from forensics.report.html.two import _settings
from forensics.store.store import Store
from tests.support import made, pages, reports


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs


def _parsed(html: str) -> _Tags:
    parser = _Tags()
    parser.feed(html)
    return parser


def test_the_page_answers_in_the_order_in_which_a_reader_asks() -> None:
    heads = re.findall(r"<h2[^>]*>([^<]*)</h2>", page(pages.material()))
    assert heads == [
        "Why", "What changed", "Training", "What the loss trains on", "What the model says",
        "Declared and observed", "Environment", "What the findings mean", "What was not evaluated",
    ]  # fmt: skip


def test_a_cause_stands_with_its_evidence_fix_line_and_query_and_what_it_explains() -> None:
    html = page(pages.material())
    for text in (
        "740 of 1,022 target tokens",
        "the stop set (has 2)",
        "Give padding no weight",
        "train.py:88",
        "forensics query padding-in-loss night",
    ):
        assert text in html
    assert re.search(r'class="chain".*generation-collapse', html)


def test_texts_of_strangers_never_become_markup() -> None:
    parsed = _parsed(page(pages.material(said=pages.HOSTILE)))
    assert "script" not in parsed.names and "img" not in parsed.names
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]


def test_direction_overrides_and_escape_characters_are_taken_out() -> None:
    html = page(pages.material(said=pages.HOSTILE))
    assert "\u202e" not in html and "\x1b" not in html


def test_nothing_is_fetched_and_no_script_may_run() -> None:
    html = page(pages.material())
    parsed = _parsed(html)
    assert "default-src &#x27;none&#x27;" in html or "default-src 'none'" in html
    assert not [
        value
        for name, value in parsed.attributes
        if name in ("src", "href", "srcset")
        and value
        and not value.startswith("#")
        # a known issue: followed by a click alone
        and not (name == "href" and value.startswith("https://github.com/"))
    ]


def test_300_tensors_fit_300_kilobytes_and_3000_fit_1500() -> None:
    assert len(page(pages.material(layers=43, changed=300)).encode()) < 300_000
    assert len(page(pages.material(layers=428, changed=3000)).encode()) < 1_500_000
    many = replace(pages.material(changed=30_000), heat=coarse(pages.heat(4286)))
    assert many.heat.parameters == 30_002 and len(page(many).encode()) < 500_000


def test_a_healthy_run_says_so_and_shows_no_card() -> None:
    html = page(pages.material(verdict="healthy"))
    assert "Healthy" in html and 'class="card' not in html


def test_values_that_are_not_finite_are_marked_in_the_chart() -> None:
    from forensics.judge.material import Step
    from forensics.report.html.chart import Series, charts

    html = charts(
        Series("night", [Step(1, 2.0, None, None, None, None), Step(2, float("nan"), None, None, None, None)])
    )
    assert "✕" in html and "not finite from step 2 on" in html


def test_a_run_without_a_capture_says_that_nothing_was_captured(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.make()
    made.run(store, "hollow")
    html = page(*materials(store, ["hollow"]))
    assert (
        "Nothing was captured." in html
        and "the command never used a model of mlx" in html
        and 'class="card' not in html
    )


def test_files_alone_are_not_called_healthy_without_saying_what_was_not_watched() -> None:
    html = reports.of("snapshots/base")
    assert (
        "how the model was trained, which files do not say" in html
        and "forensics capture --name night -- python train.py" in html
    )
    assert "This evidence does not hold: steps of training, what the loss trains on" in html.replace(
        "what changed, ", ""
    )


def test_redacted_answers_show_shapes_and_no_text(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.make()
    said = {
        "prompt_id": "p0",
        "source": "probe",
        "finish_reason": "length",
        "output_tokens": 9,
        "output_digest": "d",
        "prompt_digest": "e",
    }
    tokens = [{"prompt_id": "p0", "position": i, "class": "pad" if i else "text"} for i in range(9)]
    made.capture(store, "night@end", {"w": made.tensor(1)}, {"transcripts": [said], "tokens": tokens})
    made.run(store, "night")
    html = page(*materials(store, ["night"]))
    assert "The prompt was taken out." in html and "[pad]" in html and "×8" in html


def test_what_was_measured_says_where_redacted_answers_part() -> None:
    one, other = (
        (Token(None, "text", -0.1), Token(None, "end", -0.1)),
        (Token(None, "text", -0.1), Token(None, "pad", -0.1)),
    )
    said = Exchange(
        "p0",
        None,
        "probe",
        (Answer("a", "stop", None, one, 2), Answer("b", "length", None, other, 2)),
        0,
        False,
    )
    assert "they differ from the first token on" in exchanges([said])


def test_a_training_row_names_its_roles_and_counts_its_padding() -> None:
    html = lessons({"answer": 0.3, "pad": 0.7}, [pages.training_row()])
    assert "padding 70\u00a0%" in html and "&lt;|endoftext|&gt; ×90" in html
    assert re.search(r'class="role">prompt<.*class="role">answer<.*class="role">padding<', html, re.DOTALL)


def test_rows_that_are_the_same_stand_once_with_their_steps() -> None:
    again = [replace(pages.training_row(), step=step) for step in (1, 2, 3)]
    assert "Step 1, row 1; the same at step 2, step 3" in lessons({}, again)


def test_an_adapter_is_told_from_a_changed_base_and_a_trained_weight_from_a_frozen_one() -> None:
    cells = {
        "adapted": Cell("0", "adapted", 0.0, False, False, True, True, 0.03),
        "full": Cell("0", "full", 0.2, True, True, False, False),
        "broken": Cell("0", "broken", float("nan"), True, True, False, False),
        "unknown": Cell("0", "unknown", None, True, False, False, False),
        "still": Cell("0", "still", 0.0, False, False, True, False, 0.0),
        "new": Cell("0", "new", None, False, False, False, False, alone="added"),
    }
    picture = Heat(("0",), tuple(cells), {("0", name): cell for name, cell in cells.items()})
    shades = Shades.of(picture)
    assert {name: shades.colour(cell) for name, cell in cells.items()} == {
        "adapted": "a5", "full": "h5", "broken": "hx", "unknown": "hu", "still": "h0", "new": "hn",
    }  # fmt: skip
    html = heat(picture)
    for words in (
        "base added, frozen",
        "+ added",
        "● ≈ 3 %",
        'class="h5 tr"',
        "not finite",
        "frozen; adapter did not move",
        "base changed by 20 % of its norm, trainable",
    ):
        assert words in html.replace("\u00a0", " "), words


@given(st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=200))
def test_shades_rank_what_moved(values: list[float]) -> None:
    """More is never lighter, and each shade holds about as many cells.

    The most is the darkest, whatever the size of all.
    """
    cells = {("0", str(n)): Cell("0", str(n), v, True, True, False, False) for n, v in enumerate(values)}
    shades = Shades.of(Heat(("0",), tuple(str(n) for n in range(len(values))), cells))
    drawn = [shades.colour(cell) for cell in sorted(cells.values(), key=lambda cell: cell.relative or 0.0)]
    assert drawn == sorted(drawn) and drawn[-1] == "h5"
    assert len(values) < 10 or len(set(values)) < len(values) or max(map(drawn.count, drawn)) in (
        *range(len(values) // 5 - 1, len(values) // 5 + 3), len(values),
    )  # fmt: skip
    assert {name for name, _ in shades.keys("h")} == set(drawn)


def test_what_differs_stands_once_under_what_it_is_of() -> None:
    rows = (
        Difference("adapter: keys", "none", '["q_proj", "v_proj"]', "adapter"),
        Difference("adapter: rank", "16", "8", "adapter"),
        Difference("answer to p0", "y", "x", "answer"),
        Difference("steps", "3", "12000", "updates"),
    )
    judged = pages.material().diagnosis
    assert isinstance(judged, Diagnosis)
    both = TwoRuns("a", "b", "faulty", (judged, judged), rows)
    html = _settings(both, answered=True)
    assert html.count('scope="rowgroup"') == 1 and "answer to" not in html
    assert "q_proj, v_proj" in html and "12,000" in html and html.index("12,000") < html.index("rowgroup")
    assert "answer to p0" in _settings(both, answered=False)


def test_a_known_issue_is_a_link_and_nothing_else_is() -> None:
    for reference in ("ml-explore/mlx-lm#12", "ml-explore/mlx-lm#12 the title that it has"):
        assert issue(reference) == "https://github.com/ml-explore/mlx-lm/issues/12"
    assert not any(map(issue, ("javascript:alert(1)//a/b#1", "a/b#1\n", "a/b", "a/b/c#1", "https://x/y#2")))


@pytest.mark.parametrize("refs", [["snapshots/broken-stub"], ["snapshots/broken-stub", "snapshots/fixed"]])
def test_the_id_of_a_finding_leads_to_what_it_means(refs: list[str]) -> None:
    html = reports.of(*refs)
    anchors = re.findall(r' id="([^"]+)"', html)
    led = set(re.findall(r'href="#(f-[^"]+)"', html))
    assert led and led <= set(anchors) and len(anchors) == len(set(anchors))
    means = html.partition('id="f-padding-in-loss"')[2].partition("</section>")[0]
    assert "Padding carries" in means and "forensics explain padding-in-loss" in means


def test_the_first_and_the_last_capture_under_a_curve_have_their_names() -> None:
    steps = [Step(n, 1.0 / n, None, None, None, None) for n in range(1, 101)]
    points = [("loaded", 0), *((f"step-{n}", n) for n in range(5, 100, 5)), ("end", 100)]
    drawn = str(chart.charts(chart.Series("night", steps, points)))
    assert ">loaded</text>" in drawn and ">end</text>" in drawn and drawn.count(">step-") > 2


def test_what_an_evaluation_gave_stands_beside_the_loss_of_the_updates() -> None:
    steps = [Step(n, 1.0 / n, None, None, None, None) for n in range(1, 9)]
    drawn = str(chart.charts(chart.Series("night", steps, (), [(0, 2.0), (4, 1.5)])))
    assert "training: 1 → 0.125" in drawn and "validation: 2 → 1.5" in drawn and ">step 0</text>" in drawn
    assert "validation" not in str(chart.charts(chart.Series("night", steps)))


def test_modules_without_end_share_lines_by_their_parents() -> None:
    cells = {
        ("—", f"part{i % 7}.unit{i}"): Cell("—", f"part{i % 7}.unit{i}", float(i), True, False, False, False)
        for i in range(700)
    }
    joined = coarse(Heat(("—",), tuple(m for _, m in cells), cells, 1, 700))
    assert joined.merged and len(joined.modules) == 7 and joined.cells["—", "part6.*"].relative == 699.0
    assert "700 parameters are too many to draw one by one: a line for all modules of one parent" in heat(
        joined
    )


def test_markup_of_a_page_is_made_by_templates_alone() -> None:
    """Python makes data, and the SVG of the chart.

    A tag in a string of Python would be one that nobody escapes.
    """
    for path in Path(html_package.__file__).parent.glob("*.py"):
        strings = [
            n.value
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        joined = [
            s for s in strings if re.search(r"</?[a-z]+[ >]", s) and not re.fullmatch(r"<p>[^<]*</p>", s)
        ]
        assert not joined or path.name in ("chart.py", "style.py"), (path.name, joined)


def test_every_value_that_a_template_shows_is_escaped() -> None:
    template = environment().from_string('<p title="{{ said }}">{{ said }}{{ made }}</p>')
    shown = template.render(said='"<script>\u202e', made=Markup("<b>x</b>"))
    assert shown == '<p title="&#34;&lt;script&gt;\ufffd">&#34;&lt;script&gt;\ufffd<b>x</b></p>'
