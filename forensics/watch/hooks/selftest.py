"""When a training step is asked about itself: once a model, just before its first update.

Of a compiled step it is just after the update.
"""

from __future__ import annotations

from typing import Any

from .. import distributed, places
from ..capture import registry
from ..capture.budget import probe_seconds
from ..lock import is_mine
from ..moments import Moments
from ..originals import time
from ..run import watch
from ..training import backward, firstbatch, padding, selftest
from ..training.firstbatch import Call
from ..training.selftest import NotRunError

_TRIES = 4  # updates after which what the loss teaches is no longer looked for
_TESTS = {"causality": selftest.causality, "rows": selftest.independence, "head": selftest.head}


def _due(*_: Any) -> None:
    """Test each model whose first gradient is known by now."""
    if watch.tracing or watch.local.gradient:
        return
    with watch.looking("self-test"), watch.lock.released():
        if (distributed.group()[1] or 1) == 1:
            padding.look()
    for call in list(firstbatch.calls.values()):
        track = registry.tracks.get(call.model.number)
        if track is not None and not is_mine(track.thread):
            continue
        with watch.looking("self-test"), watch.lock.released():
            taught = None if call.why else firstbatch.taught(call)
            call.tries += 1
            if taught is None and not call.why and call.tries < _TRIES:
                continue
            call.why = call.why or ("" if taught else "what the loss teaches in the first batch was not seen")
            firstbatch.tested.add(firstbatch.calls.pop(call.model.number).model.number)
            _tested(call, taught)


def _tested(call: Call, taught: Any) -> None:
    """Write the rows of the tests of one model."""
    common: dict[str, Any] = {"model": call.model.number, "place": places.forward(call.callee())}
    try:
        asked = _check_call(call, taught)
    except Exception as error:  # noqa: BLE001   the model is the program's own, and may refuse what we ask
        for test in _TESTS:
            _write(common | {"test": test} | _not_made(error))
        return
    common |= {"dtype": asked.dtype, "design": selftest.design(asked.root), "scale": asked.scale}
    common |= {"repeat": asked.repeat, "rounding": asked.rounding, "tokens": asked.part.tokens}
    for test, function in _TESTS.items():
        began = time.process_time()
        try:
            found = function(asked)
            told = {"samples": len(found), "least": found[0], "most": found[-1]}
        except Exception as error:  # noqa: BLE001
            told = _not_made(error)
        seconds, asked.spent = time.process_time() - began + asked.spent, 0.0
        _write(common | {"test": test, "seconds": round(seconds, 4)} | told)
    _backward(asked, common | {"test": "backward"})


def _backward(asked: selftest.Check, row: dict[str, Any]) -> None:
    """Write the row of the backward pass, of a model that has one of its own."""
    began = time.process_time()
    try:
        told = backward.compare(asked)
    except Exception as error:  # noqa: BLE001
        told = _not_made(error)
    if told is not None:
        _write(row | {"seconds": round(time.process_time() - began, 4)} | told)


def _write(row: dict[str, Any]) -> None:
    watch.row("selftests", **row)


def _check_call(call: Call, taught: Any) -> selftest.Check:
    if call.why:
        raise NotRunError("unseen", call.why)
    if (distributed.group()[1] or 1) > 1:
        raise NotRunError("unseen", "the model's forward is shared by several processes")
    ids, told = taught
    target, weight, residual = (told[name].tolist() for name in ("target", "weight", "residual"))
    part = selftest.cut(ids.tolist(), target, weight, residual, call.bare)
    return selftest.Check(call, part, probe_seconds())


def _not_made(error: Exception) -> dict[str, Any]:
    if isinstance(error, NotRunError):
        return {"kind": error.kind, "why": error.why}
    return {"kind": "unseen", "why": f"{type(error).__name__}: {error}"[:300]}


def install(run: Moments) -> None:
    if watch.options.get("selftest") == "off":
        return
    run.on_started(_due)
    run.on_update(_due)
    run.on_dropped(firstbatch.dropped)
