"""bisect: the first capture at which it turns, by few looks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.cli import main
from forensics.judge import bisect
from forensics.store.store import Store
from tests.support import made

RUN = CliRunner()


def course(root: Path, steps: int, turns: int) -> Store:
    """A run with a capture after each step, whose weights hold NaN from step `turns` on."""
    store = Store(root)
    store.make()
    for step in range(steps):
        tensor = made.tensor(step + 1.0 if step < turns else float("nan"))
        made.capture(store, f"night@step-{step}", {"model.layers.0.weight": tensor}, sequence=step)
    made.run(store, "night", {})
    return store


@pytest.mark.long
@pytest.mark.parametrize("turns", [1, 3, 6, 7])
def test_the_first_capture_at_which_a_select_gives_rows(tmp_path: Path, turns: int) -> None:
    store = course(tmp_path, 8, turns)
    found = bisect.turn(store.run("night"), "SELECT 1 FROM parameters WHERE capture = $capture AND nans > 0")
    assert (found.before, found.after) == (f"night@step-{turns - 1}", f"night@step-{turns}")
    assert found.opened <= 5


def test_of_a_thousand_captures_at_most_twelve_are_opened() -> None:
    class Numbered:
        def __init__(self, n: int) -> None:
            self.ref = str(n)

    seen: list[str] = []

    def holds(capture: Numbered) -> bool:
        seen.append(capture.ref)
        return int(capture.ref) >= 617

    found = bisect._halved([Numbered(n) for n in range(1000)], holds, "x")  # type: ignore[misc, arg-type]
    assert (found.before, found.after) == ("616", "617")
    assert found.opened == len(seen) <= 12


def test_what_never_turns_is_said(tmp_path: Path) -> None:
    course(tmp_path, 3, 9)
    never = RUN.invoke(main, ["bisect", "night", "--when", "SELECT 1 WHERE false", "--store", str(tmp_path)])
    assert never.exit_code == 1 and "holds at none of 3 captures" in never.stdout
    always = RUN.invoke(main, ["bisect", "night", "--when", "SELECT 1", "--store", str(tmp_path), "--json"])
    assert always.exit_code == 1 and json.loads(always.stdout)["after"] == "night@step-0"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["night", "--when", "no-such-finding"], "There is no finding"),
        (["night@step-0"], "One capture has no course."),
        (["night", "--when", "SELECT nothing FROM nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_looked_for_is_three_lines(tmp_path: Path, words: list[str], says: str) -> None:
    course(tmp_path, 2, 9)
    done = RUN.invoke(main, ["bisect", *words, "--store", str(tmp_path)])
    assert done.exit_code == 2 and says in done.stderr and len(done.stderr.splitlines()) == 3
