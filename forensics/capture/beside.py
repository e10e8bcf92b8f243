"""Judging a run while it goes on (`--stop-on`, `--tell`).

Watches for steps that are due, has a process beside the run judge them, and acts on what is certain.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics.environment import inherited
from forensics.files import write_whole
from forensics.watch import protocol

STEPS = (1, 3, 8, 32)
"""Steps after which a run is judged. Of the first eight, and of 16, 32, 64, ...

every position of the loss is kept.
"""
"""The file in the spool that the watcher looks for (watch/hooks/stop.py)."""
_SECONDS = 120.0
"""A judgement that takes longer is given up; of a tiny model it takes two."""
_TELL_SECONDS = 60.0


@dataclass
class Beside:
    """What is asked for beside a run, and what came of it.

    `tick` is called while the command runs, `end` once after it.

    Args:
        severity: the least severe finding that counts.
        stop: end the run where one is certain.
        tell: the user's own command, split as a shell does, that gets the finding as JSON on stdin.
    """

    severity: str
    stop: bool
    tell: str | None
    warn: Callable[[str], None]
    finding: Mapping[str, Any] | None = None
    stopped: bool = False
    _spool: Path = Path()
    _seen: dict[Path, int] = field(default_factory=dict)
    _step: int = 0
    _child: subprocess.Popen[bytes] | None = None
    _began: float = 0.0

    def begin(self, spool: Path) -> None:
        self._spool = spool

    def tick(self) -> None:
        """Begin a judgement that is due, or act on one that is done. One runs at a time.

        A newer step takes the place of what waits.
        """
        if self.finding is not None:
            return
        if self._child is not None:
            self._collect()
        if self._child is None and self.finding is None and (step := self._due()):
            self._start(step)

    def end(self) -> None:
        """The command ended: a judgement on the way still tells, but stops nothing."""
        self.stop = False
        if self._child is None:
            return
        if self.tell:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(max(0.0, _SECONDS - (time.monotonic() - self._began)))
            self._collect()
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def _due(self) -> int:
        """The newest step that was written out since the last look; 0 for none."""
        newest = 0
        for path in self._spool.glob("p*/judged.jsonl"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                lines = path.read_bytes().splitlines()
                if len(lines) > self._seen.get(path, 0):
                    self._seen[path] = len(lines)
                    newest = max(newest, int(json.loads(lines[-1])["step"]))
        return newest

    def _start(self, step: int) -> None:
        request = {"spool": str(self._spool), "severity": self.severity, "accepted": str(Path.cwd())}
        variables = {k: v for k, v in inherited().items() if k != "FORENSICS_SPOOL"}
        command = [sys.executable, "-m", "forensics.cli.beside"]
        self._step, self._began = step, time.monotonic()
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=variables,
                start_new_session=True,  # Ctrl-C is the program's
            )
            assert self._child.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._child.stdin.write(json.dumps(request).encode())
                self._child.stdin.close()
        except OSError as error:
            self.warn(f"forensics: step {step} could not be judged: {error.strerror}.")
            self._child = None

    def _collect(self) -> None:
        child = self._child
        assert child is not None and child.stdout is not None
        if child.poll() is None:
            if time.monotonic() - self._began > _SECONDS:
                child.kill()
                child.wait()
                self._child = None
                self.warn(f"forensics: judging step {self._step} took over {_SECONDS:g} s and was given up.")
            return
        self._child = None
        output = child.stdout.read()
        child.stdout.close()
        try:
            answer = json.loads(output)
        except ValueError:
            self.warn(f"forensics: step {self._step} could not be judged (exit status {child.returncode}).")
            return
        if answer["finding"] is not None:
            self._act(answer)

    def _act(self, answer: Mapping[str, Any]) -> None:
        self.finding = answer["finding"]
        assert self.finding is not None
        if self.stop:
            document = {"id": self.finding["id"], "step": self._step}
            with contextlib.suppress(OSError):
                write_whole(self._spool / protocol.STOP, json.dumps(document).encode())
                self.stopped = True
        if self.tell:
            self._tell({"schema": 1, "run": self._spool.name, "step": self._step, **answer})

    def _tell(self, document: Mapping[str, Any]) -> None:
        """Run the user's command. What it writes goes to stderr: stdout is the program's."""
        assert self.tell is not None
        try:
            done = subprocess.run(
                shlex.split(self.tell),
                input=json.dumps(document).encode(),
                stdout=sys.stderr.fileno(),
                env=inherited(),
                timeout=_TELL_SECONDS,
                check=False,
            )
            why = f"exit status {done.returncode}" if done.returncode else ""
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            why = str(getattr(error, "strerror", None) or error)
        if why:
            self.warn(f"forensics: --tell {self.tell}: {why}.")

    def line(self) -> str | None:
        """One line that names the finding, None where nothing was certain."""
        if self.finding is None:
            return None
        f, run = self.finding, self._spool.name
        where = f" ({f['where']})" if f.get("where") else ""
        what = f"stopped {run}: after step" if self.stopped else f"{run}: after step"
        return f"forensics: {what} {self._step} it is certain: {f['id']}: {f['claim']}{where}"
