"""Find out why a fine-tuned model came out wrong: capture a training run, compare captures, name the cause.

In Python and in notebooks: `forensics.open(ref)`, `forensics.diagnose(ref)`, `forensics.diff(a, b)`, `forensics.show(ref)`; `api` has them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forensics.api import diagnose, diff, open, show

__version__ = "0.1.0"
__all__ = ["diagnose", "diff", "open", "show"]


def __getattr__(name: str) -> object:
    """The functions of the api, loaded when first used: `forensics --help` and the watcher load none of it."""
    if name in __all__:
        from forensics import api

        return getattr(api, name)
    raise AttributeError(f"module 'forensics' has no attribute {name!r}")
