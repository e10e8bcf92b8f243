"""Values of types that none of ours has, and texts that steer a terminal.

They end in status 3 or an answer, never in a traceback or status 1.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from forensics.cli.screen import spelled
from forensics.errors import escaped
from forensics.judge.material import Step
from forensics.report.html.chart import Series, charts
from forensics.report.terminal.lines import sparkline
from tests.bundle.test_bundle_hostile import good
from tests.support import hostile
from tests.support.command import forensics

DATA = Path(__file__).parents[1] / "data"
WORDS = [("diagnose",), ("show",), ("report", "-o", "r.html"), ("diff", "--json"), ("verify",), ("open",)]


def _head(m: hostile.Members) -> None:
    document = json.loads(m[f"{hostile.RUN}/manifest.json"])
    document["head"] |= {"exit_status": 0, "seconds": "Infinity"}
    m[f"{hostile.RUN}/manifest.json"] = hostile.canonical(document)


STEP = {
    "run": "night",
    "process": 0,
    "model": "m0",
    "step": 1,
    "loss": 1e308,
    "update_norm": -1e308,
    "seconds": "Infinity",
}
EXTREMES = {
    "a run without end": hostile.again(_head),
    "steps without end": hostile.lines("steps", STEP, where=hostile.RUN),
    "a whole number that is no DOUBLE": hostile.lines(
        "steps", {**STEP, "seconds": 1, "loss": 10**320}, where=hostile.RUN
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> hostile.Members:
    return hostile.members(good(tmp_path_factory.mktemp("good")))


@pytest.mark.parametrize(
    ("words", "name"),
    [
        # every command with one of them, and one command with every one; the rest in CI
        pytest.param(
            words, name, id=f"{words[0]}-{name}", marks=[] if i == 0 or j == 0 else [pytest.mark.long]
        )
        for i, words in enumerate(WORDS)
        for j, name in enumerate(EXTREMES)
    ],
)
def test_typed_extremes_are_damage(
    tmp_path: Path, sound: hostile.Members, name: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "b.zip").write_bytes(EXTREMES[name](sound))
    done = forensics(tmp_path, *words, "b.zip")
    assert done.status == 3 and "Traceback" not in done.err, done.err
    assert len(done.err.strip().splitlines()) == 3 and "b.zip" in done.err


@pytest.mark.long
@pytest.mark.parametrize("words", WORDS[:3], ids=lambda w: w[0])
def test_losses_at_the_edge_are_shown(tmp_path: Path, sound: hostile.Members, words: tuple[str, ...]) -> None:
    steps = [
        {**STEP, "seconds": 0.1, "step": n, "loss": loss}
        for n, loss in enumerate((1e308, -1e308, 1.0, "Infinity"), 1)
    ]
    (tmp_path / "b.zip").write_bytes(hostile.lines("steps", *steps, where=hostile.RUN)(sound))
    done = forensics(tmp_path, *words, "b.zip")
    assert done.status in (0, 1, 4) and "not foreseen" not in done.err and "Traceback" not in done.err, (
        done.err
    )


@pytest.mark.parametrize("values", [[1e308, -1e308, 3.0], [1e308] * 4, [1.7e308, 1.0, float("inf"), None]])
def test_numbers_at_the_edge_are_drawn(values: list[float | None]) -> None:
    assert len(sparkline(values, 60)) == len(values) and sparkline(values * 50, 10)
    steps = [
        Step(step=n, loss=v, learning_rate=None, gradient_norm=None, update_norm=None, pad=None)
        for n, v in enumerate(values)
    ]
    assert ("svg" if len(set(values)) > 1 else "1e+308") in str(charts(Series("a", steps)))


STEERS = "\x1b]0;x\x07\x9b31m\u202eabc\u2066\x85"


def test_error_lines_and_json_spell_what_steers() -> None:
    assert escaped(STEERS).isprintable() and "abc" in escaped(STEERS)
    text = spelled(json.dumps({"a": STEERS}, ensure_ascii=False))
    assert json.loads(text) == {"a": STEERS} and text.isprintable()


def test_an_error_names_a_path_that_steers_in_three_lines(tmp_path: Path) -> None:
    done = forensics(tmp_path, "diagnose", "./no\u202e\x9b31m\nsuch.zip")
    assert done.status in (2, 3) and len(done.err.strip().splitlines()) == 3
    assert all(line.isprintable() for line in done.err.strip().splitlines())


@pytest.mark.long
@pytest.mark.parametrize("name", ["a[b]c*d?e\nf'g", "[!x]"])
def test_odd_places_of_a_store(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    shutil.copyfile(DATA / "format-2.zip", tmp_path / "b.zip")
    env = {"FORENSICS_STORE": str(place / "store")}
    assert forensics(tmp_path, "open", "b.zip", "--as", "x", env=env).status == 0
    assert json.loads(forensics(tmp_path, "show", "x", "--json", env=env).out)["ref"] == "x"
    done = forensics(tmp_path, "sql", "--json", "SELECT count(*) AS n FROM captures", env=env)
    assert done.status == 0 and json.loads(done.out)["rows"][0]["n"] > 0, done.err
