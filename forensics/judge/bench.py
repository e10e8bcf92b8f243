"""Searches the smallest part of B that makes A answer as B, with both models in one child process.

Here what the refs name is laid out for that process.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from forensics import evidence, refs
from forensics.capture.command import WATCH
from forensics.capture.prompts import Prompt
from forensics.environment import inherited
from forensics.errors import ForensicsError, UsageError
from forensics.files import temporary
from forensics.judge.library import load
from forensics.judge.resolver import session_of
from forensics.judge.transplant import Part, Search, verdict
from forensics.model.remote import located
from forensics.records import RawTensor
from forensics.store.store import Capture, Store

QUESTIONS = ("What is the capital of France?", "What color is the sky?", "What is 2 + 2?")
_SAMPLER = {"temperature": "temp", "top_p": "top_p", "min_p": "min_p", "top_k": "top_k"}


class NotTransplantable(ForensicsError):
    """A or B cannot be laid out, or nothing can be moved between them."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Transplant:
    """What a search found.

    `smallest` is empty where not even everything makes A answer as B; `complete` is false where the time was
    spent. `parts` is how many differences can be moved, `tensors` how many B has, `equal` how many of
    `questions` both answered alike from the beginning.
    """

    a: str
    b: str
    smallest: tuple[str, ...]
    sentence: str
    complete: bool
    parts: int
    tensors: int
    tried: int
    questions: int
    equal: int
    same: bool
    answers: tuple[tuple[str, str], ...]

    def document(self) -> dict[str, Any]:
        """The JSON of `prove --transplant`: that of `prove`, with `smallest` in place of `cures`."""
        harm = {
            "what": "answers that are not B's",
            "unit": "answers",
            "as_recorded": self.questions - self.equal,
        }
        ended = bool(self.smallest) and not self.same
        return {
            "schema": 1, "run": self.a, "other": self.b, "repeats": 1, "steps": None, "repeatable": True,
            "harm": [{**harm, "as_it_was": [self.questions - self.equal], "moved": [0] if ended else None}],
            "smallest": list(self.smallest), "said": self.sentence, "complete": self.complete,
            "parts": self.parts, "tensors": self.tensors, "tried": self.tried, "patch": None,
        }  # fmt: skip


def transplant(
    store: Store, a: str, b: str, *, adapter: Path | None = None, prompts: Sequence[Prompt] | None = None,
    max_tokens: int = 24, seconds: float | None = None, on_step: Callable[[str], None] = lambda _: None,
) -> Transplant:  # fmt: skip
    """Find the smallest part of B that makes A answer as B does.

    What was tried before is remembered in the store.

    Args:
        a, b: models on disk, adapter directories, or captures of the user's own store.
        adapter: of B, where B is a model on disk.
        prompts: what both are asked; default three questions.
        max_tokens: of an answer that is compared.
        seconds: of search; None for no limit.

    Raises:
        UsageError, UnknownRef: words that name no model.
        NotTransplantable: mlx-lm is not here, a model cannot be loaded, bytes are not kept.
    """
    if find_spec("mlx_lm") is None:
        raise NotTransplantable(
            "Moving parts between models needs mlx-lm.", sys.executable, "Install mlx-lm beside forensics."
        )
    with temporary("bench") as place:
        sides = {"a": side(store, a, None, place / "a"), "b": side(store, b, adapter, place / "b")}
        questions = (
            [p.as_json() for p in prompts] if prompts else [{"prompt": question} for question in QUESTIONS]
        )
        request = place / "arguments.json"
        request.write_text(
            json.dumps({**sides, "questions": questions, "max_tokens": max_tokens}), encoding="ascii"
        )
        on_step("loading both models")
        with _child(request) as ask:
            return _searched(store, (a, b), ask, seconds, on_step)


def _searched(
    store: Store,
    words: tuple[str, str],
    ask: Callable[[dict[str, Any] | None], dict[str, Any]],
    seconds: float | None,
    on_step: Callable[[str], None],
) -> Transplant:
    start = ask(None)
    parts = [_part(each) for each in start["parts"]]
    smallest: frozenset[str] = frozenset()
    complete, tried, sentence = True, 0, "A and B answer alike: there is nothing to move."
    if not start["same"]:
        memory = _Memory(store.root / "transplants", start)

        def holds(names: frozenset[str]) -> bool:
            answer = bool(ask({"parts": sorted(names)})["holds"])
            memory.add(names, answer)
            return answer

        search = Search(
            holds, memory.known(), seconds, lambda left: on_step(f"{left} of {len(parts)} parts left")
        )
        smallest, complete = search.smallest(parts)
        tried, sentence = search.tried, verdict(parts, smallest, start["tensors"], complete)
    return Transplant(
        *words, tuple(part.name for part in parts if part.name in smallest), sentence, complete, len(parts),
        start["tensors"], tried, start["questions"], start["equal"], start["same"],
        tuple((x, y) for x, y in start["answers"]),
    )  # fmt: skip


def _part(row: dict[str, str]) -> Part:
    """A difference with its groups: the block of layers that it is in, and its module there."""
    pieces = row["module"].split(".")
    number = next((i for i, piece in enumerate(pieces) if piece.isdigit()), None)
    layer = ".".join(pieces[: number + 1]) if number is not None else row["module"]
    return Part(row["name"], row["kind"], layer, row["module"])


class _Memory:
    """Outcomes on disk: an interrupted search goes on where it was.

    Where nothing can be written it begins again.
    """

    def __init__(self, folder: Path, request: dict[str, Any]) -> None:
        text = json.dumps([request["parts"], request["answers"], request["print"]], sort_keys=True)
        self._path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.jsonl"

    def known(self) -> dict[frozenset[str], bool]:
        with suppress(OSError, ValueError):
            rows = [
                json.loads(line) for line in self._path.read_text("utf-8").splitlines() if line[-1:] == "}"
            ]
            return {frozenset(row["parts"]): bool(row["holds"]) for row in rows}
        return {}

    def add(self, names: frozenset[str], holds: bool) -> None:
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"parts": sorted(names), "holds": holds}) + "\n")


@contextmanager
def _child(request: Path) -> Iterator[Callable[[dict[str, Any] | None], dict[str, Any]]]:
    """The process that holds both models; call the value with a request, or None for its first line.

    Raises:
        NotTransplantable: it says why not, or ended.
    """
    command = [sys.executable, str(WATCH / "child" / "transplant.py"), str(request)]
    variables = {k: v for k, v in inherited().items() if not k.startswith("FORENSICS_")}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            encoding="utf-8", env=variables,
        ) as child,
    ):  # fmt: skip

        def ask(what: dict[str, Any] | None) -> dict[str, Any]:
            assert child.stdin is not None and child.stdout is not None
            if what is not None:
                with suppress(BrokenPipeError):
                    child.stdin.write(json.dumps(what) + "\n")
                    child.stdin.flush()
            line = child.stdout.readline()
            answer: dict[str, Any] = json.loads(line) if line.endswith("\n") else {"error": _last(errors)}
            if "error" in answer:
                raise NotTransplantable(
                    f"The models cannot be held side by side: {answer['error']}.",
                    hint="Both need to load with mlx-lm, as text models of one architecture.",
                )  # fmt: skip
            return answer

        try:
            yield ask
        finally:
            child.kill()


def _last(errors: Any) -> str:
    errors.seek(0)
    lines = [line for line in errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "its process ended"


# -- what the refs name --------------------------------------------------------------------------------------


def side(store: Store, word: str, adapter: Path | None, place: Path) -> dict[str, Any]:
    """A model as the child loads it. Raises as `transplant`."""
    if refs.is_model(store, word):
        path = located(word)
        if (path / "adapter_config.json").is_file():
            return _adapter(path, word)
        if not (path / "config.json").is_file():
            raise UsageError(
                f"{word} is no directory of a model that mlx-lm loads.",
                word,
                "Give a directory with config.json.",
            )
        return {"model": str(path.resolve()), "adapter": str(adapter.resolve()) if adapter else None}
    if adapter is not None:
        raise UsageError("--adapter goes on a model on disk.", word, "Give the path of the model B.")
    return _captured(store, evidence.one(store, word), place)


def _adapter(path: Path, word: str) -> dict[str, Any]:
    """An adapter directory says itself on which model it belongs."""
    config: object = None
    with suppress(OSError, ValueError):
        config = json.loads((path / "adapter_config.json").read_text("utf-8"))
    base = config.get("model") or config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(base, str) or not Path(base).is_dir():
        raise UsageError(
            f"{word} does not say on which model it belongs.", word, "Give the model as B, and --adapter DIR."
        )
    return {"model": str(Path(base).resolve()), "adapter": str(path.resolve())}


def _captured(store: Store, capture: Capture, place: Path) -> dict[str, Any]:
    """A capture of the user's own: the model's directory, its adapters, and the recorded tensors."""
    base = None if capture.prefix or capture.store is None else _base(capture)
    if base is None or capture.store is None:
        raise NotTransplantable(
            f"The model under {capture.ref} is not on this disk.",
            capture.ref,
            "Give two models on disk, or captures of a run of yours.",
        )
    session = session_of([capture], [capture.store.run(capture.run)], load())
    rows = session.rows(
        "SELECT name, digest FROM placements WHERE capture = ? AND role <> 'optimizer' AND shared_with IS"
        " NULL AND digest IS NOT NULL",
        [capture.ref],
    )
    stored = {str(row["name"]): capture.store.packs.read(str(row["digest"])) for row in rows}
    gone = [name for name, raw in stored.items() if raw is None]
    if gone or not stored:
        raise NotTransplantable(
            f"The bytes of {len(gone)} of {len(stored)} tensors of {capture.ref} are not kept.",
            capture.ref, "Capture with --tensors all.",
        )  # fmt: skip
    place.mkdir(parents=True)
    _write(place / "tensors.safetensors", {name: raw for name, raw in stored.items() if raw is not None})
    adapters = session.rows(
        """SELECT module, class, rank, scale FROM modules
        WHERE capture = ? AND kind IN ('adapter', 'dora') AND rank IS NOT NULL""",
        [capture.ref],
    )
    return {
        "model": str(base), "tensors": str(place / "tensors.safetensors"),
        "adapters": [dict(row) for row in adapters], **_settings(session, capture),
    }  # fmt: skip


def _base(capture: Capture) -> Path | None:
    """The directory from which the model of a capture was loaded.

    A relative path is of where the run was started.
    """
    assert capture.store is not None
    run = capture.store.run(capture.run)
    bases = [
        c.head["path"] for c in (capture, *run.captures) if c.model == capture.model and c.head.get("path")
    ]
    launch: object = None
    with suppress(ValueError):
        launch = json.loads(str(run.head.get("launch") or "null"))
    cwd = launch.get("cwd") if isinstance(launch, dict) else None
    path = Path(str(cwd or "."), str(bases[0])) if bases else None
    return path.resolve() if path is not None and path.is_dir() else None


def _settings(session: Any, capture: Capture) -> dict[str, Any]:
    """Stop set and sampler of the last generation of the run that used this model."""
    rows = session.rows(
        "SELECT stop_set, settings FROM generations WHERE run = ? AND model = ?"
        " ORDER BY generation DESC LIMIT 1",
        [capture.run, capture.model],
    )
    if not rows:
        return {}
    stop, settings = (json.loads(str(rows[0][key] or "null")) for key in ("stop_set", "settings"))
    chosen = {_SAMPLER[k]: v for k, v in (settings or {}).items() if k in _SAMPLER and v}
    return {"stop": stop, "sampler": chosen if chosen.get("temp") else {}}


def _write(path: Path, tensors: dict[str, RawTensor]) -> None:
    """A safetensors file of these, under their names."""
    header: dict[str, Any] = {}
    at = 0
    for name, raw in tensors.items():
        header[name] = {"dtype": raw.dtype, "shape": list(raw.shape), "data_offsets": [at, at + raw.nbytes]}
        at += raw.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for raw in tensors.values():
            for start in range(0, raw.nbytes, 1 << 24):
                file.write(raw.read(start, min(raw.nbytes, start + (1 << 24))))
