"""A small sample of what `python -m tests.harm` tries."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harm.programs import draw
from tests.harm.trial import compared, killed

pytestmark = pytest.mark.harm


@pytest.mark.parametrize("seed", range(1000, 1012))
def test_a_drawn_program_is_itself(seed: int, tmp_path: Path) -> None:
    name, program = draw(seed)
    assert compared(tmp_path, program) == [], name


def test_what_was_killed_is_read(tmp_path: Path) -> None:
    assert killed(tmp_path / "run", draw(3)[1], 1.5) is None
