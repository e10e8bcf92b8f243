"""Start the user's own command watched, and helpers of ours in the interpreter that the command used.

The command inherits our standard streams, so nothing stands between it and the terminal. The watcher comes in
through PYTHONPATH alone: its `sitecustomize` is the first that a starting Python finds.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from forensics.bounded import Bounded, Limits
from forensics.environment import inherited
from forensics.errors import UsageError
from forensics.records import Scalar
from forensics.watch import protocol

WATCH = Path(__file__).parents[1] / "watch"
_SAID = 1 << 16  # bytes of the end of what a helper wrote to stderr


@dataclass(frozen=True, slots=True)
class Ended:
    """How a watched command ended: `status` as subprocess gives it, negative where a signal ended it."""

    status: int
    seconds: float

    @property
    def exit_code(self) -> int:
        """The status that a shell would show: 128 plus the signal's number after a signal."""
        return self.status if self.status >= 0 else 128 - self.status


def environment(spool: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which every Python that is started loads the watcher."""
    variables = inherited() if base is None else dict(base)
    paths = [str(WATCH / "site"), *filter(None, [variables.get("PYTHONPATH")])]
    return variables | {protocol.VARIABLE: str(spool.absolute()), "PYTHONPATH": os.pathsep.join(paths)}


def write_options(spool: Path, options: protocol.Options) -> None:
    """Make the spool directory with its options.json."""
    spool.mkdir(parents=True, exist_ok=True)
    (spool / protocol.OPTIONS).write_text(json.dumps(options), encoding="ascii")  # words need not be UTF-8


def watched(
    command: Sequence[str],
    spool: Path | None,
    on_plan: Callable[[Mapping[str, Scalar]], None] | None = None,
    on_wait: Callable[[], None] | None = None,
) -> Ended:
    """Run `command` watched until it ends.

    Ctrl-C goes to the command, as without us: the terminal sends it to both, and we only wait. SIGTERM and
    SIGHUP to us are handed on. `on_plan` is called once, with what the watcher says that the capture will
    need; `on_wait`, where there is one, several times a second while it runs. Without a spool the command
    runs unwatched.

    Raises:
        UsageError: there is no such command, or it cannot be executed.
    """
    program = shutil.which(command[0])
    if program is None:
        raise UsageError(
            f"There is no command {command[0]!r}.",
            where=" ".join(command),
            hint="Check the spelling, or give its path.",
        )
    began = time.monotonic()
    with _signals() as forward:
        try:
            process = subprocess.Popen(
                command, executable=program, env=environment(spool) if spool else inherited()
            )
        except OSError as error:
            raise UsageError(
                f"The command cannot be started: {error.strerror}.",
                where=program,
                hint="Make it executable, or call its interpreter.",
            ) from error
        forward.append(process)
        waiting = on_plan if spool else None
        while True:
            try:
                status = process.wait(timeout=0.1 if waiting or on_wait else None)
                break
            except subprocess.TimeoutExpired:
                waiting = _say_plan(spool, waiting)
                if on_wait:
                    on_wait()
    _say_plan(spool, waiting, final=True)
    return Ended(status, time.monotonic() - began)


def _say_plan(
    spool: Path | None, on_plan: Callable[[Mapping[str, Scalar]], None] | None, *, final: bool = False
) -> Callable[[Mapping[str, Scalar]], None] | None:
    """Call `on_plan` where the plan lies there, with what the first capture took.

    Returns what is still to be called.
    """
    if on_plan is None or spool is None:
        return None
    for path in spool.glob(f"p*/{protocol.PLAN}"):
        with contextlib.suppress(OSError, ValueError):
            plan = json.loads(path.read_text(encoding="utf-8"))
            if final or plan.get("seconds") is not None:
                on_plan(plan)
                return None
    return on_plan


@contextlib.contextmanager
def _signals() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Leave Ctrl-C to the command, hand SIGTERM and SIGHUP on to it, and put the handlers back at the end."""
    children: list[subprocess.Popen[bytes]] = []

    def hand_on(number: int, _: object) -> None:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

    before: dict[int, object] = {}
    # Handlers of Python's, not SIG_IGN: an ignored signal would stay ignored in the command. One that is
    # ignored already (nohup, a shell's `&`) stays so, here and there.
    ours: dict[int, Callable[[int, FrameType | None], None]] = {
        signal.SIGINT: lambda *_: None, signal.SIGTERM: hand_on, signal.SIGHUP: hand_on,
    }  # fmt: skip
    with contextlib.suppress(ValueError):  # not in the main thread: leave signals alone
        for number, handler in ours.items():
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handler)
    try:
        yield children
    finally:
        for each, held in before.items():
            signal.signal(each, held)  # type: ignore[arg-type]


def helper(
    script: str,
    arguments: Sequence[str],
    *,
    python: str | None,
    cwd: str | None,
    spool: Path | None = None,
    limits: Callable[[], Limits] = lambda: Limits(seconds=600.0),
) -> str | None:
    """Run one of the watcher's own scripts in a fresh process of the program's interpreter.

    Returns None when it ended well, else one line of why not. It never writes to our standard streams.
    """
    command = [python or sys.executable, str(WATCH / "child" / script), *arguments]
    variables = inherited() | {"TOKENIZERS_PARALLELISM": "false"}
    variables.pop("FORENSICS", None)  # it asks for a watch of the user's programs, and this is one of ours
    if spool is not None:
        variables["FORENSICS_HELPER"] = str(spool)
    place = cwd if cwd and Path(cwd).is_dir() else None
    with tempfile.TemporaryFile() as output:
        try:
            child = subprocess.Popen(
                command,
                cwd=place,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
            )
        except OSError as error:
            return f"could not be started: {error}"
        bounded = Bounded(child, limits)
        try:
            status = bounded.wait()
        finally:
            child.kill()
        if bounded.over:
            return f"took more {bounded.over} than it may"
        if status == 0:
            return None
        output.seek(max(0, output.seek(0, os.SEEK_END) - _SAID))
        last = [
            line for line in output.read().decode("utf-8", "replace").strip().splitlines() if line.strip()
        ]
    return last[-1][:300] if last else f"ended with status {status}"
