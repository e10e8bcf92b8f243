"""Loads what was saved in a fresh process, captures it, and has it answer the probes.

It is run as a script by the program's interpreter:

    python reload.py arguments.json

The arguments are described in docs/evidence.md. Nothing of the program's own code runs here.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_PACKAGE = "_forensics_watch"
BEGUN, PREPARED = "begun", "prepared"
"""Files in the spool that say how far it is: libraries imported; model loaded and prompts written.

The first holds the seconds of processor that the import took.
"""


def main(path: str) -> None:
    gc.disable()  # while libraries are imported, which it would look through for circles over and over
    arguments: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):  # a path that is gone is no name on a hub
        os.environ[variable] = "1"
    core = _watcher()
    import mlx.core  # noqa: F401  the watch package takes it from sys.modules

    spool = Path(arguments["spool"])
    core.watch.begin(spool, json.loads((spool / "options.json").read_text(encoding="utf-8")))
    from importlib import import_module

    import_module(f"{_PACKAGE}.capture.facts").process()
    _forget_written(spool)
    _expect(spool)
    if any(item.get("probes_only") for item in arguments["items"]):
        import mlx_lm.utils  # noqa: F401

        (spool / BEGUN).write_text(f"{time.process_time():.3f}", encoding="ascii")
    for item in arguments["items"]:
        _item(core, item)
    core.watch.close()
    (core.watch.directory / "exit.json").write_text(
        json.dumps({"time": time.time(), "exception": None, "spent": 0.0}), encoding="utf-8"
    )


def _watcher() -> Any:
    """The watch package under a name of its own, as in a watched program, but without its hooks."""
    from importlib import import_module
    from importlib.machinery import ModuleSpec
    from importlib.util import module_from_spec

    here = str(Path(__file__).parent)
    # its module names are not for the libraries to find
    sys.path[:] = [place for place in sys.path if place != here]
    spec = ModuleSpec(_PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [str(Path(here).parent)]
    sys.modules[_PACKAGE] = module_from_spec(spec)
    return import_module(f"{_PACKAGE}.run")


def _forget_written(spool: Path) -> None:
    """Bytes that an earlier process of the run wrote, or loaded from a file, are not written again."""
    from importlib import import_module

    plan, tensors = import_module(f"{_PACKAGE}.capture.budget"), import_module(f"{_PACKAGE}.capture.tensors")
    for capture in spool.glob("p*/c*"):
        try:
            plan.written.update(tensors.header(capture / "tensors.safetensors"))
        except (OSError, ValueError):
            pass
        try:
            with (capture / "placements.jsonl").open(encoding="utf-8") as rows:
                written = [json.loads(line) for line in rows]
            plan.written.update(row["digest"] for row in written if row.get("file") and row.get("digest"))
        except (OSError, ValueError):
            pass


def _expect(spool: Path) -> None:
    """Answer first what the run's own process answered last.

    No longer answer is made than that process had time for.
    """
    from importlib import import_module

    probe, answers = import_module(f"{_PACKAGE}.capture.probe"), []
    for path in spool.glob("p*/c*/transcripts.jsonl"):
        with contextlib.suppress(OSError, ValueError):
            answers.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(answers):
        with contextlib.suppress(OSError, ValueError), path.open(encoding="utf-8") as rows:
            for row in map(json.loads, rows):
                if row.get("source") == "probe" and row.get("output_ids"):
                    probe.expect(row["prompt_ids"], row["output_ids"], row["settings"]["max_tokens"])


def _item(core: Any, item: dict[str, Any]) -> None:
    """Load and capture one model; what cannot be loaded leaves an event with a line of why."""
    from importlib import import_module

    loading, live = import_module(f"{_PACKAGE}.child.loader"), import_module(f"{_PACKAGE}.capture.snapshot")
    watch, point = core.watch, str(item["point"])
    try:
        loaded = loading.load(item.get("base"), item.get("saved"), item.get("tokenizer"), item.get("trust"))
    except Exception as error:  # noqa: BLE001   whatever a loader raises is what a user would see
        detail = getattr(error, "detail", {})
        line = (
            str(error) if isinstance(error, loading.NotLoaded) else f"{type(error).__name__}: {error}"[:300]
        )
        _event(watch, item, **detail, ok=False, message=line)
        return
    finally:
        gc.enable()
    _event(watch, item, **loaded.detail, ok=True)
    model = import_module(f"{_PACKAGE}.models").Model(item["model"], loaded.module)
    model.path, model.adapter_path, model.config = loaded.path, loaded.adapter_path, loaded.config
    model.tokenizer, model.tokenizer_path, model.updates = (
        loaded.tokenizer,
        loaded.tokenizer_path,
        item.get("updates"),
    )
    if item.get("probes_only"):
        _prepare(model)
        live.ask(model, point)
    else:
        live.take(model, point)


def _prepare(model: Any) -> None:
    """Write the prompts by the chat template, and say when that ended.

    A template is a program of the model's author.

    The parent gives what comes before a few seconds of processor, and the answers of a large model as long as
    they need.
    """
    from importlib import import_module

    probe, core = import_module(f"{_PACKAGE}.capture.probe"), import_module(f"{_PACKAGE}.run")
    with contextlib.suppress(Exception):  # told where the answers are made
        list(probe._prompts(model, probe.Words(model)))
    (core.watch.directory.parent / PREPARED).touch()


def _event(watch: Any, item: dict[str, Any], **detail: Any) -> None:
    row = {"via": "reload", "point": item["point"], **detail}
    watch.row("events", time=time.time(), kind="load", model=item["model"], detail=row, place=None)


if __name__ == "__main__":
    main(sys.argv[1])
