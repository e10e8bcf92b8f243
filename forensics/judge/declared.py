"""What the program said of its adapter and its training, beside what was seen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from forensics.judge.library import Sql
from forensics.judge.material import Declared

_ADAPTER = ("kind", "rank", "scale", "dropout", "num_layers", "keys")
_NAMES = {"kind": "adapter", "num_layers": "layers with adapter", "keys": "adapted modules"}


def declared(session: Sql, b: str) -> tuple[Declared, ...]:
    """One line for each declared setting that can be compared with what is at `b`, or with its run."""
    return (*_adapter(session, b), *_training(session, b))


def _adapter(session: Sql, b: str) -> Iterator[Declared]:
    meant = session.rows(
        "SELECT * FROM adapters WHERE run = run_of(?) AND origin = 'declared' AND strength = 'strong' ORDER"
        " BY via",
        [b],
    )
    seen = next(
        iter(
            session.rows("SELECT * FROM adapters WHERE capture = capture_of(?) AND origin = 'observed'", [b])
        ),
        None,
    )
    looked = session.rows("SELECT count(*) AS n FROM placements WHERE capture = capture_of(?)", [b])[0]["n"]
    for key in _ADAPTER:
        said = next((r[key] for r in meant if r[key] is not None), None)
        if said is None:
            continue
        name = _NAMES.get(key, f"adapter {key}")
        if seen is None:
            yield Declared(name, _show(said), "no adapter" if looked else "not seen", not looked)
        elif seen[key] is not None:
            yield Declared(name, _show(said), _show(seen[key]), _agree(key, said, seen, meant))


def _agree(key: str, said: object, seen: Mapping[str, object], meant: Sequence[Mapping[str, object]]) -> bool:
    """Keys agree where each declared one names an adapted module, by its end; -1 layers are all."""
    if key == "keys":
        wanted, found = (json.loads(str(value)) for value in (said, seen["keys"]))
        return isinstance(wanted, list) and all(
            any(f == w or str(f).endswith(f".{w}") for f in found) for w in wanted
        )
    if key == "num_layers":
        return isinstance(said, int) and (said < 0 or said == seen[key])
    return any(_close(r[key], seen[key]) for r in meant if r[key] is not None)


def _training(session: Sql, b: str) -> Iterator[Declared]:
    event = session.rows(
        "SELECT detail FROM events WHERE run = run_of(?) AND model = model_of(?) AND kind = 'train' ORDER BY"
        " sequence DESC LIMIT 1",
        [b, b],
    )
    said = json.loads(str(event[0]["detail"])).get("declared", {}) if event else {}
    counted = (
        "SELECT count(*) AS n, max(learning_rate) AS rate FROM steps WHERE run = run_of(?) AND model ="
        " model_of(?)"
    )
    done = session.rows(counted, [b, b])[0]
    if isinstance(said.get("iters"), int):
        due = said["iters"] // max(1, int(said.get("grad_accumulation_steps") or 1))
        yield Declared("updates", f"{due:,}", f"{done['n']:,}", due == done["n"])
    if (
        isinstance(said.get("learning_rate"), (int, float))
        and not said.get("scheduled")
        and done["rate"] is not None
    ):
        yield Declared(
            "learning rate",
            _show(said["learning_rate"]),
            _show(done["rate"]),
            _close(said["learning_rate"], done["rate"]),
        )


def _close(x: object, y: object) -> bool:
    if isinstance(x, (int, float)) and isinstance(y, (int, float)):
        return abs(x - y) <= 1e-6 * max(abs(x), abs(y))
    return str(x) == str(y)


def _show(value: object) -> str:
    if isinstance(value, str) and value.startswith("["):
        return ", ".join(map(str, json.loads(value)))
    return f"{value:g}" if isinstance(value, float) else str(value)
