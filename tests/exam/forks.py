"""A Python that has imported the slow libraries once and forks for each program.

Half of a tiny run is the import of transformers.

A program started through it is a process of its own, with its own arguments, directory, environment and
standard streams, and mlx and mlx_lm are imported after the fork: hooks on them come in as they do for users.
"""

from __future__ import annotations

import array
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PROGRAMS = (  # what mlx_lm imports of others'; nothing that the watcher hooks
    "numpy", "yaml", "jinja2", "huggingface_hub", "transformers", "transformers.tokenization_utils_base",
    "transformers.tokenization_utils_fast", "transformers.models.auto.tokenization_auto", "tokenizers",
    "sentencepiece", "google.protobuf", "rich.progress", "rich.table", "rich.panel", "argparse", "tomllib",
)  # fmt: skip
TOOL = (  # what capture and diagnose import
    "numpy", "numpy.typing", "duckdb", "click", "tomllib", "concurrent.futures.thread", "forensics.cli",
    "forensics.cli.capture", "forensics.cli.diagnose", "forensics.capture.command", "forensics.capture.seal",
    "forensics.capture.watchedrun", "forensics.judge.diagnose", "forensics.refs", "forensics.store.database",
    "forensics.store.upkeep", "forensics.store.verdicts", "forensics.tensors.quantized",
)  # fmt: skip
_LIMIT = 1 << 20  # bytes of one request: arguments and environment
CLIENT = """\
#!{python} -IS
import array, json, os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
asked = {{"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ)}}
asked = json.dumps(asked).encode("utf-8", "surrogateescape")
files = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
line.sendmsg([len(asked).to_bytes(8, "big")], [files])
line.sendall(asked)
answer = line.recv(16)
if not answer:
    sys.exit(70)
status = int(answer)
if status < 0:
    import signal
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


@contextmanager
def python(preloaded: tuple[str, ...]) -> Iterator[str]:
    """The path of an interpreter that has `preloaded` behind it, for as long as the block lasts.

    It can be used as any other.
    """
    place = Path(tempfile.mkdtemp(prefix="forks-"))
    address, client = str(place / "line"), place / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    command = [sys.executable, "-m", "tests.exam.forks", address, str(client), *preloaded]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=_environment())
    try:
        for _ in range(600):
            if Path(address).exists() or server.poll() is not None:
                break
            time.sleep(0.05)
        yield str(client) if Path(address).exists() else sys.executable
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(place, ignore_errors=True)


def _environment() -> dict[str, str]:
    """Ours, and what is imported after a fork is compiled once.

    Where PYTHONDONTWRITEBYTECODE is set, each process compiled mlx-lm and the watcher anew.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "forensics-exam-bytecode")}


def _asked(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """One request with its three standard streams."""
    handles = array.array("i")
    head, rights, *_ = line.recvmsg(8, socket.CMSG_SPACE(3 * handles.itemsize))
    for _level, _kind, data in rights:
        handles.frombytes(data[: len(data) - len(data) % handles.itemsize])
    size, body = int.from_bytes(head, "big"), b""
    if size > _LIMIT:
        raise ValueError("the request is too long")
    while len(body) < size and (more := line.recv(size - len(body))):
        body += more
    return json.loads(body.decode("utf-8", "surrogateescape")), list(handles)


def _become(asked: dict[str, Any], streams: list[int], executable: str) -> None:
    """Turn this fork into the process that was asked for, up to its first line."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for number, name in enumerate(
        ("stdin", "stdout", "stderr")
    ):  # what the server opened knows nothing of these
        stream = open(  # noqa: SIM115
            number, "w" if number else "r", encoding="utf-8", errors="surrogateescape", closefd=False
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.executable = executable
    sys.argv = asked["argv"][1:]
    sys.orig_argv = list(asked["argv"])
    own = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:] = [*own, *(part for part in _PATH if part not in own)]
    for name in [name for name in sys.modules if name == "tests" or name.startswith("tests.")]:
        del sys.modules[name]
    sys.modules.pop("sitecustomize", None)
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.modules["numpy"].random.seed()
    site.execsitecustomize()


def _run(asked: dict[str, Any]) -> None:
    words = sys.argv
    if words[0] == "-m":
        sys.argv = [words[1], *words[2:]]
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        return
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(words[1], sys.modules["__main__"].__dict__)  # noqa: S102
        return
    sys.path.insert(0, str(Path(words[0]).absolute().parent))
    main = sys.modules["__main__"]
    main.__dict__.update(__file__=words[0], __builtins__=__builtins__)
    source = Path(words[0]).read_bytes()
    exec(compile(source, words[0], "exec"), main.__dict__)  # noqa: S102  this is what a Python is for


_PATH: list[str] = []


def _serve(address: str) -> tuple[dict[str, Any], list[int]]:
    """Fork for each request; returns only in a fork, with what was asked."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address + ".new")
    listening.listen(64)
    Path(address + ".new").rename(address)
    inside, outside = os.pipe()
    os.set_blocking(outside, False)
    signal.set_wakeup_fd(outside, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waiting = selectors.DefaultSelector()
    waiting.register(listening, selectors.EVENT_READ)
    waiting.register(inside, selectors.EVENT_READ)
    running: dict[int, socket.socket] = {}
    while True:
        for key, _ in waiting.select():
            if key.fileobj is listening:
                line, _ = listening.accept()
                asked, streams = _asked(line)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    waiting.close()
                    for held in (listening, line, *running.values()):
                        held.close()
                    os.close(inside)
                    os.close(outside)
                    return asked, streams
                for stream in streams:
                    os.close(stream)
                running[pid] = line
                waiting.register(line, selectors.EVENT_READ, pid)
            elif key.fileobj == inside:
                os.read(inside, 4096)
            elif key.data in running:  # the client is gone: so is its program
                os.kill(key.data, signal.SIGKILL)
                waiting.unregister(key.fileobj)
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            line = running.pop(pid)
            if line in [one.fileobj for one in waiting.get_map().values()]:
                waiting.unregister(line)
            with suppress(OSError):
                line.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            line.close()


def main() -> None:
    address, client, *preloaded = sys.argv[1:]
    for name in preloaded:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    _PATH[:] = sys.path[1:]
    asked, streams = _serve(address)
    _become(asked, streams, client)
    try:
        _run(asked)
    except SystemExit:
        raise
    except BaseException as error:  # as Python says it: without the frames of ours
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        sys.excepthook(type(error), error, trace)
        sys.exit(1)


if __name__ == "__main__":
    main()
