"""One capture of one live model: its modules, where which tensor stands, optimizer state, configs, bytes, and the probe's answers.

Reading a parameter evaluates it; whether it was computed before is looked at first. Nothing here draws random numbers or
leaves a flag of the model changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import protocol, trees
from ..models import Model
from ..run import watch
from ..trees import mx
from . import budget, facts, tensors


@dataclass
class Taken:
    """What one capture found; `digests` and `seen` let the next one skip what was not bound anew."""

    number: int
    point: str
    whole: bool
    parameters: str  # digest over names and digests
    settings: str  # digest over classes and plain attributes
    digests: dict[str, str | None]
    seen: dict[str, Any] = field(default_factory=dict)  # name -> weak reference to the array
    answers: int | None = (
        None  # number of the capture that holds the probes' answers; None: nothing was asked
    )


@dataclass(frozen=True)
class Left:
    """What an optimizer held when the program dropped it: its rows, and the file that has the bytes by digest."""

    told: dict[str, Any]
    rows: list[dict[str, Any]]
    file: Path


_count = 0
_lefts = 0
_stated: set[str] = set()  # digests whose statistics stand in an earlier row
_of_array: dict[
    int, tuple[Any, str]
] = {}  # id -> (weak reference, digest), since the last moment at which training ran


def take(
    model: Model,
    point: str,
    *,
    whole: bool = True,
    references: dict[str, Any] | None = None,
    optimizers: dict[str, Any] | None = None,
    before: Taken | None = None,
    probes: Taken | None = None,
    unlike: Taken | None = None,
    place: str | None = None,
) -> Taken | None:
    """Capture a model; None where it is gone or an evaluation is not allowed now.

    Args:
        references: arrays by name that stand for the live parameters (held from before a compiled step ran).
        before: an earlier capture; frozen arrays that are the same objects as there are not read again.
        probes: an earlier whole capture of this object, whose probes stand where parameters and settings are equal.
        unlike: an earlier capture that is returned, and nothing written, where parameters and settings equal its own.
    """
    module = model.module
    if module is None or not watch.on or watch.tracing or watch.local.gradient:
        return None
    return _Capture(model, module, point, place).take(
        whole, references or {}, optimizers or {}, before, probes, unlike
    )


def ask(model: Model, point: str) -> None:
    """A capture of nothing but the probes and the tokenizer: the parameters are read elsewhere."""
    moment = time.time()
    capture = _Capture(model, model.module, point, None)
    capture.open()
    capture.probe()
    watch.close(f"{capture.prefix}/")
    capture.done(moment, True, None)


def left(model: Model, number: str, optimizer: Any) -> Left:
    """Write what an optimizer holds, for the next capture of a model that it updated."""
    global _lefts
    capture = _Capture(model, None, "", None)
    told, rows = capture.optimizer(number, optimizer)
    with watch.lock:
        file, _lefts = watch.directory / f".left-{_lefts}.safetensors", _lefts + 1
    need = sum(array.nbytes for array in capture.bytes.values())
    if need and shutil.disk_usage(watch.directory).free >= 2 * need:
        tensors.write(file, capture.bytes)
    return Left(told, rows, file)


def settings(module: Any) -> str:
    """The digest over classes, scales and plain attributes of all modules: what decides the output beside the parameters."""
    return _digest(
        [
            (path, type(each).__name__, trees.scale(each), trees.plain(each))
            for path, each in trees.modules(module)
        ]
    )


def digest_of(array: Any) -> str:
    """The digest of an array, remembered for the array object until `forget`."""
    entry = _of_array.get(id(array))
    if entry is not None and entry[0]() is array:
        return entry[1]
    found = tensors.digest(array)
    with contextlib.suppress(TypeError):
        _of_array[id(array)] = (weakref.ref(array), found)
    return found


def forget() -> None:
    """Training or other code of the program ran: an array object may hold other bytes than before (`w[0] = 5` keeps it)."""
    _of_array.clear()


def parameters(module: Any) -> str:
    """The digest over names and digests of all parameters, read now."""
    return digests(trees.parameters(module))


def digests(arrays: dict[str, Any]) -> str:
    """The digest over the names and digests of these arrays."""
    return _digest({name: digest_of(array) for name, array in arrays.items()})


class _Capture:
    def __init__(self, model: Model, module: Any, point: str, place: str | None) -> None:
        self.model, self.module, self.point, self.place = model, module, point, place
        self.missing: list[protocol.Missing] = []
        self.bytes: dict[str, Any] = {}  # digest -> array, to be written
        self.probes: dict[str, Any] | None = None  # how the probes were asked

    def take(
        self,
        whole: bool,
        references: dict[str, Any],
        optimizers: dict[str, Any],
        before: Taken | None,
        probes: Taken | None,
        unlike: Taken | None,
    ) -> Taken:
        moment = time.time()
        arrays = {name: references.get(name, array) for name, array in trees.parameters(self.module).items()}
        frozen = arrays.keys() - trees.trainable(self.module).keys()
        rows = self._placements(arrays, frozen, before)
        digests = {row["name"]: row["digest"] for row in rows}
        held, how = _digest(digests), settings(self.module)
        if unlike is not None and (unlike.parameters, unlike.settings) == (held, how):
            unlike.seen = _weak(arrays)
            return unlike
        self.open()
        budget.first(arrays, frozen)
        for name, optimizer in optimizers.items():
            with self._part(f"optimizer {name}"):
                rows += self._optimizer(name, optimizer)
        self._keep(rows, whole)
        for row in rows:
            watch.part(self.prefix, "placements", **row)
        with self._part("modules"):
            self._modules()
        if whole:
            with self._part("configs"):
                facts.configs(self.model, self.prefix)
        taken = Taken(self.number, self.point, whole, held, how, digests, _weak(arrays))
        shared = (
            probes.answers
            if whole and probes and (probes.parameters, probes.settings) == (held, how)
            else None
        )
        if whole:
            taken.answers = self.number if shared is None and self.probe((held, how)) else shared
        watch.close(self.prefix + "/")
        self.done(moment, whole, shared)
        return taken

    def open(self) -> None:
        global _count
        with watch.lock:
            self.number, _count = _count, _count + 1
        self.prefix = f"c{self.number}"
        self.directory = watch.directory / self.prefix
        self.directory.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def _part(self, what: str) -> Any:
        """A part of a capture: what fails is noted with the capture, and the rest goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self.missing.append(
                {"what": what, "why": f"{type(error).__name__}: {error}"[:300], "kind": "part"}
            )

    def _placements(
        self, arrays: dict[str, Any], frozen: set[str], before: Taken | None
    ) -> list[dict[str, Any]]:
        computed: dict[str, bool | None] = dict.fromkeys(arrays)
        with self._part("whether parameters are evaluated"):
            computed = tensors.evaluated(arrays)
        quantized = _quantized(self.module)
        first: dict[int, str] = {}
        rows = []
        for name, array in arrays.items():
            row: dict[str, Any] = {
                "name": name,
                "dtype": tensors.dtype_name(array),
                "shape": list(array.shape),
                "nbytes": array.nbytes,
                "trainable": name not in frozen,
                "evaluated": computed[name],
                "shared_with": first.get(id(array)),
            }
            first.setdefault(id(array), name)
            if name in quantized:
                row["quantization"] = quantized[name]
            row |= self._digest(name, array, name in frozen and before or None)
            rows.append(row)
        return rows

    def _digest(self, name: str, array: Any, before: Taken | None) -> dict[str, Any]:
        if before is not None:
            same = before.seen.get(name)
            if same is not None and same() is array and before.digests.get(name):
                return {"digest": before.digests[name]}
        try:
            found = digest_of(array)
        except Exception as error:  # noqa: BLE001   a placeholder, or a computation that fails: evidence in itself
            return {"digest": None, "error": f"{type(error).__name__}: {str(error).splitlines()[0]}"[:300]}
        file = budget.file_of(array, found)
        self.bytes.setdefault(found, array)
        return {"digest": found} | ({"file": file} if file else {})

    def _modules(self) -> None:
        for path, module in trees.modules(self.module):
            watch.part(
                self.prefix,
                "modules",
                module=path,
                **{"class": type(module).__name__},
                training=bool(module.training),
                scale=trees.scale(module),
                dropout=trees.dropout(module),
                attributes=trees.plain(module),
            )

    def _optimizer(self, number: str, optimizer: Any) -> list[dict[str, Any]]:
        if optimizer is None:
            return []
        if isinstance(optimizer, Left):
            told, rows = optimizer.told, [dict(row) for row in optimizer.rows]
            if optimizer.file.exists():
                with optimizer.file.open("rb") as file:  # mlx takes no path that is no UTF-8
                    arrays = mx().load(file, format="safetensors")
                    mx().eval(arrays)
                self.bytes |= {digest: array for digest, array in arrays.items() if digest not in self.bytes}
        else:
            told, rows = self.optimizer(number, optimizer)
        watch.part(self.prefix, "optimizers", **told)
        return rows

    def optimizer(self, number: str, optimizer: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The row of an optimizer, and those of its moments."""
        state = dict(trees.flatten(optimizer.state))
        moments = {name: array for name, array in state.items() if array.ndim > 0}
        computed = tensors.evaluated(state)
        rows = []
        total = 0.0
        for name, array in moments.items():
            row = {
                "name": f"optimizer.{name}" if number == "o0" else f"optimizer.{number}.{name}",
                "dtype": tensors.dtype_name(array),
                "shape": list(array.shape),
                "nbytes": array.nbytes,
                "trainable": None,
                "evaluated": computed[name],
                "role": "optimizer",
            }
            rows.append(row | self._digest(name, array, None))
            total += facts.square_norm(array)
        told = {
            "optimizer": number,
            **facts.optimizer(optimizer),
            "state_tensors": len(moments),
            "state_l2": total**0.5,
            "state_evaluated": all(value is not False for value in computed.values()),
        }
        return told, rows

    def _keep(self, rows: list[dict[str, Any]], whole: bool) -> None:
        """Write the bytes that are wanted and new; give statistics in place of those that are not kept."""
        wanted = {
            row["digest"]: row for row in reversed(rows) if row.get("digest") and row["digest"] in self.bytes
        }
        kept = budget.choose(wanted) if whole else set()
        with self._part("tensors"):
            if kept:
                tensors.write(
                    self.directory / protocol.TENSORS,
                    {digest: self.bytes[digest] for digest in sorted(kept)},
                )
                budget.written |= kept
        for digest, row in wanted.items():
            if digest not in budget.written and digest not in budget.known() and digest not in _stated:
                _stated.add(digest)
                with self._part(f"statistics of {row['name']}"):
                    row["stats"] = tensors.statistics(self.bytes[digest])
        self.bytes.clear()

    def probe(self, state: tuple[str, str] | None = None) -> bool:
        """Ask the probes; False where there was nothing to ask, or nobody who could answer."""
        if not isinstance(self.module, trees.Tree):
            with self._part("probes"):
                from .probe import answer

                self.probes = answer(self.model, self.prefix, state)
            if self.probes and self.probes["skipped"]:
                why = f"the time was over before {self.probes['skipped']} of them could be asked"
                self.missing.append({"what": "probes", "why": why, "kind": "part"})
        return self.probes is not None

    def done(self, moment: float, whole: bool, shared: int | None) -> None:
        known: Any = {}
        with self._part("tokenizer"):
            known = facts.tokenizer(self.model) if whole else {}
        watch.row(
            "captures",
            number=self.number,
            point=self.point,
            model=self.model.number,
            time=moment,
            updates=self.model.updates,
            whole=whole,
            probes_of=shared,
            probes=self.probes,
            place=self.place,
            missing=self.missing,
            path=self.model.path,
            tokenizer_path=self.model.tokenizer_path,
            tokenizer=known or None,
        )


def _quantized(module: Any) -> dict[str, dict[str, Any]]:
    """Name of each quantized weight to its mode, bits and group size."""
    found = {}
    for path, each in trees.modules(module):
        bits, group = getattr(each, "bits", None), getattr(each, "group_size", None)
        if isinstance(bits, int) and isinstance(group, int) and "scales" in each:
            name = f"{path}.weight" if path else "weight"
            found[name] = {"mode": getattr(each, "mode", "affine"), "bits": bits, "group_size": group}
    return found


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, default=str, sort_keys=True).encode()).hexdigest()


def _weak(arrays: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, array in arrays.items():
        with contextlib.suppress(TypeError):
            found[name] = weakref.ref(array)
    return found
