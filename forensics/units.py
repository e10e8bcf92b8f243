"""Numbers as people read them."""

from __future__ import annotations

import re
import signal


def counted(n: int, what: str) -> str:
    """A number of things: 1 capture, 2,000 captures."""
    return f"{n:,} {what}" + ("s" if n != 1 else "")


def parse(text: str) -> int:
    """Bytes of a size in words: 500MB, 50 GB, 2TB, in powers of a thousand.

    Raises:
        ValueError: it is none, or nothing.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B", text.strip(), re.IGNORECASE)
    nbytes = int(float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " ")) if match else 0
    if nbytes <= 0:
        raise ValueError(text)
    return nbytes


def size(nbytes: float) -> str:
    """Bytes for people: 4.2 MB."""
    for unit in ("B", "KB", "MB", "GB"):
        if nbytes < 999.5:
            return f"{nbytes:.0f} {unit}" if unit == "B" or nbytes >= 99.5 else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    return f"{nbytes:.1f} TB"


def ended(status: int) -> str:
    """How a command ended, by its status as subprocess has it: exit 3, or killed by SIGKILL."""
    if status >= 0:
        return f"exit {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:  # of another system
        return f"killed by signal {-status}"


def iso(time: float) -> str:
    """A unix time as ISO 8601 in UTC, with milliseconds."""
    from datetime import UTC, datetime  # slow to load, and few commands write a time

    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
