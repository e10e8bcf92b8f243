"""Values as our JSON has them: NaN and infinity are text."""

from __future__ import annotations

import math
from typing import Any


def plain(value: Any) -> Any:
    """A value of rows and dictionaries with nothing in it that JSON has not.

    Other types become their text.
    """
    if isinstance(value, float):
        return (
            value
            if math.isfinite(value)
            else "NaN"
            if math.isnan(value)
            else "Infinity"
            if value > 0
            else "-Infinity"
        )
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)
