"""The process that reads a stranger's bundle, under limits: checked whole and rebuilt here row by row.

    python -m forensics.bundle.reader.process arguments.json

Nothing of theirs is executed, opened as a database or copied as it is. It imports neither DuckDB nor NumPy.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forensics.bounded import limit
from forensics.bundle.archive import HINT, SIGNATURE, Zipped
from forensics.bundle.reader.rebuild import rebuild
from forensics.bundle.reader.validate import Bundle
from forensics.errors import ForensicsError
from forensics.records import RawTensor


def main(path: str) -> int:
    """Check and rebuild as `arguments.json` says; one JSON document in the file `answer`.

    The status is 3 where the bundle is refused, 2 where the system refuses.
    """
    arguments = json.loads(Path(path).read_text(encoding="utf-8"))
    limit(int(arguments["memory"]), int(arguments["seconds"]))
    status, answer = _answer(arguments)
    Path(arguments["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    return status


def _answer(arguments: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    try:
        with Zipped(Path(arguments["zip"])) as zipped:
            bundle = Bundle(zipped)
            bases = {digest: _base(digest, *place) for digest, place in arguments["bases"].items()}
            if arguments.get("target"):
                rebuild(
                    bundle,
                    Path(arguments["target"]),
                    arguments["names"],
                    tensors=arguments["tensors"],
                    bases=bases,
                )
            return 0, _summary(bundle, bases)
    except ForensicsError as error:
        return 3, {"message": error.message, "where": error.where, "hint": error.hint}
    except OSError as error:
        if error.errno is None:  # the bundle's fault, as of gzip that is none
            raise
        return 2, {
            "errno": error.errno,
            "why": error.strerror,
            "where": str(error.filename or arguments.get("target")),
        }
    except MemoryError:
        why = "The bundle is damaged: reading it takes more memory than any of ours."
        return 3, {"message": why, "where": str(arguments["zip"]), "hint": HINT}


def _summary(bundle: Bundle, bases: Mapping[str, RawTensor]) -> dict[str, Any]:
    """What the manifest says.

    `waiting` are the bases that are not here of tensors stored as differences, one for each tensor.
    """
    summary = {k: bundle.document.get(k) for k in ("level", "left_out", "made_by", "text")}
    summary |= {
        "id": bundle.id,
        "runs": bundle.names,
        "captures": list(bundle.captures),
        "dropped": bundle.dropped,
    }
    waiting = [d.base for d in bundle.differences.values() if d.base not in bases]
    return {
        **summary,
        "waiting": waiting,
        "against": bundle.document.get("against", []),
        "signed": SIGNATURE in bundle.zip.members,
    }


def _base(digest: str, path: str, dtype: str, shape: list[int], begin: int, end: int) -> RawTensor:
    """A tensor that is here."""

    def read(start: int, stop: int) -> bytes:
        with Path(path).open("rb") as file:
            return os.pread(file.fileno(), stop - start, begin + start)

    return RawTensor(digest, dtype, tuple(shape), end - begin, read)


def leave_with_parent() -> None:
    """End at once where the process that started this one is gone: what it writes would be left behind."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    leave_with_parent()
    sys.exit(main(sys.argv[1]))
