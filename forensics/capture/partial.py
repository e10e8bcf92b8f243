"""What a run under way has left so far, sealed beside it.

It copies rows alone, without a tensor, so that it costs the run next to nothing.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from forensics.capture import seal
from forensics.capture.spool import Spool
from forensics.store.store import Store

_LATER = {"saved_tensors.jsonl"}
"""What the program saved is judged when it ends: reading its files now would cost it the disk."""


def sealed(spool: Path, place: Path) -> tuple[Store, str]:
    """Seal the rows that lie in a spool now into a store of its own under `place`.

    Returns it and the run's name.

    Raises:
        OSError: the disk is full, or the spool is gone since the run ended.
    """
    aside = place / "spool"
    _rows(spool, aside)
    copied = Spool(aside)
    plan = seal.Plan(
        command=tuple(copied.options.get("command") or ()),
        status=None,
        seconds=None,
        expect=copied.options.get("expect"),
        tensors="none",
        reload=False,
    )
    store = Store(place / "store")
    summary = seal.seal(store, copied, plan)
    return store, summary.run


def _rows(spool: Path, aside: Path) -> None:
    """Copy the JSON of a spool; a row that is being written is left out."""
    aside.mkdir(parents=True)
    shutil.copyfile(spool / "options.json", aside / "options.json")
    for process in spool.glob("p*"):
        for path in (*process.glob("*.json"), *process.glob("**/*.jsonl")):
            if path.name not in _LATER:
                target = aside / path.relative_to(spool)
                target.parent.mkdir(parents=True, exist_ok=True)
                whole = path.read_bytes()
                target.write_bytes(whole if path.suffix == ".json" else whole[: whole.rfind(b"\n") + 1])
