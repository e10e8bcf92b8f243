"""The process that judges a run while it goes on (`capture --stop-on`).

It reads a JSON request on stdin and writes one JSON document to stdout.

It runs with the lowest priority, so that the run keeps the processor.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from forensics import files


def main() -> None:
    """Answer {"spool", "severity", "accepted"} with {"finding", "others"}.

    `finding` is the first certain cause, or null; `others` the ids of the other findings.
    """
    request = json.load(sys.stdin.buffer)
    with contextlib.suppress(OSError):
        os.nice(19)
    from forensics.capture import partial
    from forensics.judge.diagnose import finding_document
    from forensics.judge.early import certain

    with files.temporary("beside") as place:
        store, run = partial.sealed(Path(request["spool"]), place)
        findings = certain(store, run, request["severity"], Path(request["accepted"]))
    first = finding_document(findings[0]) if findings else None
    sys.stdout.write(json.dumps({"finding": first, "others": [finding.id for finding in findings[1:]]}))


if __name__ == "__main__":
    main()
