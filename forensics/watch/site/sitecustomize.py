"""Starts the watcher in every Python of the watched command.

Then it hands over to the sitecustomize that it stands in front of.

It is found because the parent put this folder first in PYTHONPATH. Children inherit that variable, and with
it the watcher; the program itself sees neither this folder in `sys.path` nor this module.
"""


def _watch(site: str) -> None:
    import os
    import sys
    from importlib.machinery import ModuleSpec

    spool, name = os.environ.get("FORENSICS_SPOOL"), os.environ.get("FORENSICS")
    if (spool or name) and "_forensics_watch" not in sys.modules:
        # The program's environment need not have the tool installed: the package goes by its folder, under a
        # name of its own.
        package = ModuleSpec("_forensics_watch", None, is_package=True)
        package.submodule_search_locations = [os.path.dirname(site)]
        import importlib
        from _frozen_importlib import module_from_spec

        sys.modules[package.name] = module_from_spec(package)
        if spool and os.environ.get(
            "FORENSICS_SCRATCH"
        ):  # a repeat of `forensics prove`, guarded from its start
            importlib.import_module("_forensics_watch.repeat.guard").install(os.environ["FORENSICS_SCRATCH"])
            importlib.import_module("_forensics_watch.repeat.seeds").begin()
        if spool:
            importlib.import_module("_forensics_watch.patch").install()
        else:
            importlib.import_module("_forensics_watch.unattended").wait()


def _hand_over(site: str) -> None:
    import sys
    from importlib.machinery import PathFinder

    sys.path[:] = [place for place in sys.path if place != site]
    sys.path_importer_cache.pop(site, None)
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        # as without us: `site` expects it
        raise ModuleNotFoundError("No module named 'sitecustomize'", name="sitecustomize")
    from _frozen_importlib import module_from_spec

    module = sys.modules["sitecustomize"] = module_from_spec(spec)
    spec.loader.exec_module(module)


_here = __file__.rpartition("/")[0] or __file__.rpartition("\\")[0]
try:
    _watch(_here)
except Exception:  # noqa: BLE001   the program starts as it would without us
    import os

    if os.environ.get("FORENSICS_SCRATCH"):  # but never unguarded where it is a repeat
        os._exit(125)
_hand_over(_here)
