"""Find out why a fine-tuned model came out wrong: capture a training run, compare captures, name the cause.

In Python and in notebooks: `forensics.capture(name)` records; `forensics.open(ref)`, `diagnose(ref)`,
`diff(a, b)`, `show(ref)` and `list()` read. `live` and `api` have them; `%load_ext forensics` brings
`%%capture_run`.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forensics.api import diagnose, diff, list, open, show
    from forensics.live import capture

__version__ = "0.1.0"
__all__ = ["capture", "diagnose", "diff", "list", "open", "show"]


class CapturePackage(ModuleType):
    """The package `forensics.capture`, which can be called.

    It bears the name of the function `forensics.capture(...)`.
    """

    def __call__(self, *args: Any, **options: Any) -> object:
        return import_module("forensics.live").capture(*args, **options)


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext forensics`: the cell magic `%%capture_run NAME`."""
    import_module("forensics.notebook").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext forensics`: the magic goes; a capture that runs goes on."""
    import_module("forensics.notebook").unload(shell)


def __getattr__(name: str) -> object:
    """The functions of the api, loaded when first used: `forensics --help` and the watcher load none."""
    if name == "capture":
        return import_module("forensics.capture")
    if name in __all__:
        return getattr(import_module("forensics.api"), name)
    raise AttributeError(f"module 'forensics' has no attribute {name!r}")
