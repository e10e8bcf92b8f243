"""Cells of a notebook or of IPython, which are files only to the interpreter.

They are named `In[5]`, as the notebook calls them.
"""

from __future__ import annotations

import re
import sys
from typing import Any

_INPUT = re.compile(r"<ipython-input-(\d+)-")
_KERNEL = re.compile(r"[/\\]ipykernel_\d+[/\\]\d+\.py$")


def is_cell(file: str) -> bool:
    """Is this the file name that IPython or a Jupyter kernel gives to the code of a cell?"""
    return file.startswith("<ipython-input-") or ("ipykernel_" in file and _KERNEL.search(file) is not None)


def shell() -> Any:
    """The running IPython shell; None outside one."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None


def name(file: str) -> str | None:
    """`In[N]`, N the number of the cell's last execution; None where it cannot be told."""
    number = getattr(getattr(shell(), "compile", None), "_filename_map", {}).get(file)
    if number is None and (written := _INPUT.match(file)):
        number = int(written[1])
    return None if number is None else f"In[{number}]"


def text(file: str) -> str:
    """The code of a cell, as it was run; empty where the interpreter does not hold it."""
    entry = getattr(sys.modules.get("linecache"), "cache", {}).get(file)
    return "".join(entry[2]) if entry and len(entry) > 2 else ""
