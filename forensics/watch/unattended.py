"""A watch without the command around it, in this process.

A helper process of the tool begins and seals it; it is asked in JSON.

`FORENSICS=NAME` in a program's environment begins it when the program imports mlx, and
`forensics.capture(...)` at once. Nothing of the tool beside this folder is imported into the process.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import subprocess
import sys
import time
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

NAME, SPOOL = "FORENSICS", "FORENSICS_SPOOL"
PACKAGE = "_forensics_watch"
_HERE = Path(__file__).resolve().parent
_HELPER = (
    "import sys; sys.path.append(sys.argv.pop(1)); from forensics.capture.unattended import main; main()"
)


class RefusedError(Exception):
    """The helper said no: `answer` holds message, where and hint."""

    def __init__(self, answer: dict[str, str]) -> None:
        super().__init__(answer.get("message", ""))
        self.answer = answer


def ask(verb: str, request: dict[str, Any]) -> dict[str, Any]:
    """What the helper answers to `begin` or `seal`.

    Raises:
        RefusedError: it cannot do that, and says why.
    """
    ours = {NAME, SPOOL, "PYTHONPATH", "PYTHONSAFEPATH"}
    with _undebugged():
        done = subprocess.run(
            [sys.executable, "-P", "-c", _HELPER, str(_HERE.parents[1]), verb],
            input=json.dumps(request),
            env={key: value for key, value in os.environ.items() if key not in ours},
            capture_output=True,
            text=True,
            check=False,
        )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise RefusedError(
            {"message": f"The helper failed: {last[:300]}", "where": sys.executable, "hint": ""}
        ) from None
    if "error" in answer:
        raise RefusedError(answer["error"])
    return answer


def _undebugged() -> contextlib.AbstractContextManager[None]:
    """An IDE's debugger starts itself in each Python that the program starts, but for what is in here.

    Nobody debugs the helper, and it fails where the debugger's other end is gone, as when a program ends.
    """
    patched = sys.modules.get("_pydev_bundle.pydev_monkey")
    apart: Any = getattr(patched, "skip_subprocess_arg_patch", contextlib.nullcontext)
    return apart()  # type: ignore[no-any-return]


class Watching:
    """This process is watched from `begin` to `end`.

    The environment says so meanwhile to the processes that it starts.
    """

    def __init__(self, spool: Path) -> None:
        self.spool, self.began, self.pid = spool, time.monotonic(), os.getpid()
        self._before = {name: os.environ.get(name) for name in (SPOOL, "PYTHONPATH")}
        self._patch: Any = None

    def begin(self) -> None:
        """Put the hooks in: at once into what is imported, else when it is."""
        paths = [str(_HERE / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ |= {SPOOL: str(self.spool), "PYTHONPATH": os.pathsep.join(paths)}
        self._patch = _package("patch")
        self._patch.install()
        if "mlx.core" in sys.modules:
            _package("start").begin()
            try:
                _package("late").catch_up()
            except Exception as error:  # noqa: BLE001   a failure of ours is never the program's
                _package("run").watch.missing("what was there before the watch began", error)

    def end(self, error: BaseException | None) -> None:
        """Take every hook out; what was recorded lies in the spool."""
        self._patch.take_out()
        start = sys.modules.get(f"{PACKAGE}.start")
        if start is not None:
            start.take_out(error)
        for name in [
            name
            for name in sys.modules
            if name.partition(".")[0] == PACKAGE and name != f"{PACKAGE}.permanent"
        ]:
            del sys.modules[name]
        for name, value in self._before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    def seal(self, status: int) -> dict[str, Any]:
        """Have the spool sealed: {"run": name or None, "lines": what is to be said}. Raises as `ask`."""
        seconds = time.monotonic() - self.began
        return ask("seal", {"spool": str(self.spool), "status": status, "seconds": seconds})


def _package(module: str) -> Any:
    """A module of the watcher in a package of that name of its own.

    So sitecustomize makes it for a watched command.
    """
    if PACKAGE not in sys.modules:
        spec = ModuleSpec(PACKAGE, None, is_package=True)
        spec.submodule_search_locations = [str(_HERE)]
        sys.modules[PACKAGE] = module_from_spec(spec)
    return importlib.import_module(f"{PACKAGE}.{module}")


# -- FORENSICS=NAME ------------------------------------------------------------------------------------------


class _Waiting:
    """Stands in `sys.meta_path` until the program imports mlx.

    A Python that never does costs nothing and leaves nothing.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "mlx":
            sys.meta_path.remove(self)
            try:
                _from_environment()
            except Exception as error:  # noqa: BLE001   a failure of ours is never the program's
                _say(f"forensics: nothing is recorded: {error}")


def wait() -> None:
    """Watch this process once it imports mlx, if FORENSICS asks for it and nobody watches it already.

    Both the line in site-packages and our sitecustomize may call this, each with a copy of this module.
    """
    waits = any(type(finder).__name__ == _Waiting.__name__ for finder in sys.meta_path)
    if os.environ.get(NAME) and not os.environ.get(SPOOL) and not waits:
        sys.meta_path.insert(0, _Waiting())


def _from_environment() -> None:
    words = list(getattr(sys, "orig_argv", sys.argv))
    answer = ask(
        "begin", {"name": os.environ[NAME], "command": words, "parent": os.getpid(), "cwd": os.getcwd()}
    )
    for line in answer["lines"]:
        _say(line)
    if answer["spool"] is not None:
        watching = Watching(Path(answer["spool"]))
        atexit.register(_sealed, watching)  # before the watch registers its own end, which so runs first
        watching.begin()


def _sealed(watching: Watching) -> None:
    """The program ends: its run is sealed, by another process, while this one waits."""
    if os.getpid() != watching.pid:
        return
    try:
        for line in watching.seal(1 if getattr(sys, "last_value", None) is not None else 0)["lines"]:
            _say(line)
    except RefusedError as error:
        _say(
            f"forensics: {error}; what was recorded lies in {watching.spool},"
            " and the next `forensics` seals it."
        )


def _say(line: str) -> None:
    with contextlib.suppress(Exception):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
