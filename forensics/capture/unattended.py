"""The helper of a process that is watched without the command around it (`forensics.capture()`).

It names and seals that process's run. Requests are JSON on stdin:

`begin` {name, command, parent, cwd, store, options of a capture} -> {"spool", "run", "lines"}; `seal` {spool,
status, seconds} -> {"run", "lines"}; {"error": {message, where, hint}} where that cannot be. Lines are what a
user is told.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forensics.capture import watchedrun
from forensics.capture.command import Ended
from forensics.capture.prompts import Prompt, read_prompts
from forensics.capture.spool import Spool
from forensics.errors import ForensicsError
from forensics.store.place import find
from forensics.store.store import Store

_OPTIONS = ("every", "max_tokens", "tensors", "scorers", "expect", "reload", "selftest")


def begin(request: Mapping[str, Any]) -> dict[str, Any]:
    """Name a run and make its spool; `spool` is None where nothing can be recorded.

    Raises:
        ForensicsError: not a name, prompts that cannot be read.
    """
    os.chdir(request["cwd"])
    lines: list[str] = []
    given = {key: request[key] for key in _OPTIONS if request.get(key) is not None}
    settings = watchedrun.Settings(name=request["name"], prompts=_prompts(request.get("prompts")), **given)
    spool = watchedrun.make_spool(
        find(request.get("store")), request["command"], settings, lines.append, parent=request["parent"]
    )
    return {
        "spool": str(spool.resolve()) if spool else None,
        "run": spool.name if spool else None,
        "lines": lines,
    }


def seal(request: Mapping[str, Any]) -> dict[str, Any]:
    """Seal a spool as the run that its options say."""
    spool = Path(request["spool"])
    options = Spool(spool).options
    lines: list[str] = []
    settings = watchedrun.Settings(
        tensors=str(options.get("tensors") or "all"),
        scorers=tuple(options.get("scorers") or ()),
        expect=options.get("expect"),
        reload=bool(options.get("reload", True)),
    )
    store, ended = Store(spool.parents[1]), Ended(int(request["status"]), float(request["seconds"]))
    words = tuple(options.get("command") or ())
    run = watchedrun.seal_spool(store, spool, words, ended, settings, lines.append, lines.append)
    return {"run": run, "lines": lines}


def _prompts(given: Any) -> list[Prompt] | None:
    """A file of prompts, as `--prompts` takes it; or the prompts themselves."""
    if given is None:
        return None
    if isinstance(given, str):
        return list(read_prompts(Path(given)))
    return [Prompt(id=f"p{i}", prompt=str(text)) for i, text in enumerate(given)]


def main() -> None:
    """Answer one request."""
    verbs = {"begin": begin, "seal": seal}
    try:
        answer = verbs[sys.argv[1]](json.load(sys.stdin))
    except ForensicsError as error:
        answer = {"error": {"message": error.message, "where": error.where, "hint": error.hint}}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
