"""What `diagnose` said of a run last, kept beside it so that `list` and SQL can show it.

One file a run, the document of `diagnose --json`. It is an opinion of one version of the detectors, never
evidence.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from forensics import files
from forensics.records import Row
from forensics.store.store import Store


def remember(store: Store, run: str, document: Mapping[str, Any]) -> None:
    """Keep the document of a run of this store; a store that may only be read keeps none."""
    with contextlib.suppress(OSError):
        (store.root / "findings").mkdir(exist_ok=True)
        files.write_whole(
            store.root / "findings" / f"{run}.json",
            json.dumps(document, ensure_ascii=False, indent=1).encode(),
        )


def recall(store: Store, run: str) -> Mapping[str, Any] | None:
    """The document that was kept last, or None."""
    try:
        value = json.loads((store.root / "findings" / f"{run}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def runs_with_verdict(store: Store) -> set[str]:
    """The runs of which a document is kept."""
    return {path.stem for path in (store.root / "findings").glob("*.json")}


def forget(store: Store, run: str) -> None:
    """Drop what was kept of a run that is removed, or of which a part is."""
    (store.root / "findings" / f"{run}.json").unlink(missing_ok=True)


def verdict(document: Mapping[str, Any] | None) -> tuple[str | None, list[str]]:
    """Verdict and the ids of findings that are causes, of a document."""
    if document is None:
        return None, []
    findings = [f for f in document.get("findings") or () if isinstance(f, dict)]
    causes = [
        str(f.get("id"))
        for f in findings
        if f.get("role") == "cause" and f.get("severity") in ("error", "warning")
    ]
    return str(document.get("verdict")), causes


def rows(document: Mapping[str, Any]) -> list[Row]:
    """Rows of the table `findings`."""
    findings = [f for f in document.get("findings") or () if isinstance(f, dict)]
    explained = {str(other): str(f.get("id")) for f in findings for other in f.get("explains") or ()}
    return [
        {
            "a": document.get("a"),
            "b": document.get("b"),
            **{k: f.get(k) for k in ("id", "severity", "role", "confidence", "title", "claim", "fix")},
            "place": f.get("where"),
            "explained_by": explained.get(str(f.get("id"))),
            "document": json.dumps(f, ensure_ascii=False),
        }
        for f in findings
    ]
