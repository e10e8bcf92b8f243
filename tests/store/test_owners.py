"""Numbers belong to whoever measured them.

What a stranger's bundle says of a digest changes nothing that was measured here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from forensics.capture import sources
from forensics.cli import main
from forensics.store.store import Store
from tests.support import made

LIES = {"mean": 99.0, "l2": 123456.0, "nans": 7}


def ask(store: Store, *words: str) -> Result:
    done = CliRunner().invoke(main, [*words, "--store", str(store.root)])
    assert done.exit_code in (0, 1, 4), done.output
    return done


def rows(store: Store, sql: str) -> list[dict[str, Any]]:
    found: dict[str, Any] = json.loads(ask(store, "sql", sql, "--json").stdout)
    return [
        dict(zip(found["columns"], row, strict=True)) if isinstance(row, list) else row
        for row in found["rows"]
    ]


def lying(place: Path, monkeypatch: pytest.MonkeyPatch, name: str, lies: dict[str, float]) -> Path:
    """A bundle of a run whose tensors are those of `made.night`, with other numbers.

    Its statistics and deltas are other ones.
    """
    store = Store(place / name)
    store.make()
    honest = sources.tensor_row
    with monkeypatch.context() as context:
        context.setattr(made, "tensor_row", lambda stats, kept: {**honest(stats, kept), **lies})
        tensors = {
            "model.a.weight": made.tensor(1, 2, 3),
            "model.b.weight": made.tensor(4, 5),
            "model.c.weight": made.tensor(6),
        }
        moved = tensors | {"model.b.weight": made.tensor(4, 6)}
        made.capture(store, f"{name}@loaded", tensors, kept=False)
        pair = {
            k: made.measure(v["model.b.weight"]).digest
            for k, v in (("digest_a", tensors), ("digest_b", moved))
        }
        made.capture(
            store,
            f"{name}@end",
            moved,
            {"deltas": [{**pair, "max_abs": 0.0, "l2": 0.0}]},
            sequence=1,
            kept=False,
        )
    made.run(store, name)
    out = place / f"{name}.zip"
    assert (
        CliRunner().invoke(main, ["bundle", name, "-o", str(out), "--store", str(store.root)]).exit_code == 0
    )
    return out


STATISTICS = """SELECT p.name, t.mean, t.l2, t.nans FROM placements p JOIN tensors t USING (digest)
WHERE p.capture = 'night@end' ORDER BY ALL"""


@pytest.mark.parametrize("first", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_bundle_changes_nothing_of_mine_in_sql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    bundle = lying(tmp_path, monkeypatch, "evil", LIES)
    honest = rows(made.night(tmp_path / "alone"), STATISTICS)
    assert len(honest) == 3 and not any(row["nans"] for row in honest)
    store = Store(tmp_path / "store")
    store.make()
    if first:
        ask(store, "open", str(bundle))
        rows(store, "SELECT 1 AS x")  # the catalogue knows the stranger's numbers before mine
    made.night(store.root)
    if not first:
        rows(store, "SELECT 1 AS x")
        ask(store, "open", str(bundle))
    assert rows(store, STATISTICS) == honest


@pytest.mark.long
def test_a_bundle_changes_nothing_of_mine_where_two_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = lying(tmp_path, monkeypatch, "evil", LIES)
    store = made.night(tmp_path / "store")
    ask(store, "open", str(bundle))
    honest = json.loads(ask(store, "diff", "night@loaded", "night@end", "--json").stdout)["changed"]
    assert honest[0]["l2"] == 1.0
    for other in ("evil@end", f"{bundle}/evil@end"):
        told = json.loads(ask(store, "diff", "night@loaded", other, "--json").stdout)["changed"]
        assert [row["l2"] for row in told] == [1.0], "measured here, from the bytes that are here"
    documents = [
        json.loads(ask(store, "diagnose", *words, "--json").stdout)
        for words in (("night",), ("night", "evil"))
    ]
    assert documents[1]["runs"][0] == documents[0], "my own run is judged as without the bundle"


@pytest.mark.long
def test_two_strangers_who_contradict_each_other_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    store.make()
    ask(store, "open", str(lying(tmp_path, monkeypatch, "evil", LIES)))
    ask(store, "open", str(lying(tmp_path, monkeypatch, "good", {})))
    sql = STATISTICS.replace("night", "good")
    assert [(row["mean"], row["nans"]) for row in rows(store, sql)] == [(None, None)] * 3


def test_a_seal_recalls_no_numbers_of_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")
    store.make()
    ask(store, "open", str(lying(tmp_path, monkeypatch, "evil", LIES)))
    assert list(sources.earlier(store.captures, Store(store.root).brought)) == []
