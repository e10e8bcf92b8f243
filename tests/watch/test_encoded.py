"""Which line encodes the rows, and ids beyond the embedding's table, said before they are looked up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest

from forensics.watch.models import Model
from forensics.watch.run import watch
from forensics.watch.training import encoded, ranges

ROW = [1, 7, 9, 11, 13, 2]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    told: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        watch, "event", lambda kind, model, place, **detail: told.append((kind, place, detail))
    )
    for module, name in ((encoded, "_places"), (encoded, "_lengths"), (encoded, "_said"), (ranges, "_said")):
        monkeypatch.setattr(module, name, type(getattr(module, name))())
    return told


def language_model() -> Model:
    module = nn.Sequential(nn.Embedding(16, 4), nn.Linear(4, 16))
    model: Any = SimpleNamespace(number="m0", module=module)
    return model  # type: ignore[no-any-return]


def test_a_row_is_known_by_what_it_begins_with(events: list[tuple[Any, ...]]) -> None:
    encoded.remember(ROW)
    encoded.remember(SimpleNamespace(data={"input_ids": [[5, 6, 7, 8, 9], ROW]}))
    for row in ([*ROW, 5, 5], [0, 0, 0, *ROW], [3, *ROW], [*ROW, 4]):
        encoded.seen(language_model(), row)
    assert [(kind, place.rpartition("/")[2].partition(":")[0]) for kind, place, _ in events] == [
        ("encode", "test_encoded.py")
    ], "once, with and without padding before it"


def test_short_texts_and_other_results_say_nothing(events: list[tuple[Any, ...]]) -> None:
    for result in ([1, 2], "text", {"input_ids": ROW}, mx.array(ROW), [], ["a", "b"]):
        encoded.remember(result)
    encoded.seen(language_model(), ROW)
    assert events == []


def test_ids_without_a_row_are_said_once(events: list[tuple[Any, ...]]) -> None:
    ranges.look(language_model(), mx.array([ROW, ROW]))
    assert events == []
    for _ in range(2):
        ranges.look(language_model(), mx.array([ROW, [1, 7, 16, -1, 17, 2]]))
    assert events == [("range", None, {"ids": 3, "rows": 1, "embedding": 16})]
