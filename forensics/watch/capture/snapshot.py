"""One capture of one live model.

Its modules, where which tensor stands, optimizer state, configs, bytes, and the probe's answers.

Reading a parameter evaluates it; whether it was computed before is looked at first. Nothing here draws random
numbers or leaves a flag of the model changed.
"""

from __future__ import annotations

import contextlib
import weakref
from dataclasses import dataclass, field
from typing import Any

from .. import captured, protocol, trees
from ..models import Model
from ..originals import time
from ..run import watch
from . import budget, digests, facts, inert, tensors
from . import optimizers as optimizers_of


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


@dataclass
class Pending:
    """What of a model's parameters is not computed at a moment, and what it answers with them so."""

    computed: dict[str, bool | None]  # by name; None: not looked at
    operations: int | None = None
    lazily: Any = None  # logits after the first probe; None: all is computed, or it could not be asked


_count = 0
_stated: set[str] = set()  # digests whose statistics stand in an earlier row


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
    pending: Pending | None = None,
) -> Taken | None:
    """Capture a model; None where it is gone or an evaluation is not allowed now.

    Args:
        references: arrays by name that stand for the live parameters (held from before a compiled step ran).
        before: an earlier capture; frozen arrays that are the same objects as there are not read again.
        probes: an earlier whole capture of this object, whose probes stand where parameters and settings are
        equal.
        unlike: an earlier capture that is returned, and nothing written, where parameters and settings equal
        its own.
    """
    module = model.module
    if module is None or not watch.on or watch.tracing or watch.local.gradient:
        return None
    return _Capture(model, module, point, place).take(
        whole, references or {}, optimizers or {}, before, probes, unlike, pending or waiting(model, whole)
    )


def waiting(model: Model, whole: bool) -> Pending:
    """Look what is not computed, before anything of ours computes it.

    Of a whole capture the model is asked with its parameters as they are.
    """
    arrays = trees.parameters(model.module)
    found = Pending(dict.fromkeys(arrays))
    with contextlib.suppress(Exception):  # then it was not looked at
        found.computed = tensors.evaluated(arrays)
        waits = [array for name, array in arrays.items() if found.computed[name] is False]
        found.operations = tensors.operations(waits) if waits else None
        found.lazily = _next_logits(model) if waits and whole else None
    return found


def _next_logits(model: Model) -> Any:
    """What the model says after the first probe, of parameters as they are; None where it cannot be asked."""
    if isinstance(model.module, trees.Tree):
        return None
    with contextlib.suppress(Exception):  # the probes say what the model refuses
        from .probe import next_logits  # import time: not before a model answers

        return next_logits(model)
    return None


def ask(model: Model, point: str) -> None:
    """A capture of nothing but the probes and the tokenizer: the parameters are read elsewhere."""
    moment = time.time()
    capture = _Capture(model, model.module, point, None)
    capture.open()
    capture.probe()
    watch.close(f"{capture.prefix}/")
    capture.done(moment, True, None)


class _Capture:
    def __init__(self, model: Model, module: Any, point: str, place: str | None) -> None:
        self.model, self.module, self.point, self.place = model, module, point, place
        self.missing: list[captured.Missing] = []
        self.bytes: dict[str, Any] = {}  # digest -> array, to be written
        self.probes: dict[str, Any] | None = None  # how the probes were asked
        self.pending: dict[str, Any] | None = (
            None  # what was not computed, and whether that changes an answer
        )

    def take(
        self,
        whole: bool,
        references: dict[str, Any],
        optimizers: dict[str, Any],
        before: Taken | None,
        probes: Taken | None,
        unlike: Taken | None,
        pending: Pending,
    ) -> Taken:
        moment, began = time.time(), time.process_time()
        arrays = {name: references.get(name, array) for name, array in trees.parameters(self.module).items()}
        frozen = arrays.keys() - trees.trainable(self.module).keys()
        rows = self._placements(arrays, frozen, before, pending.computed)
        if any(each is False for each in pending.computed.values()):
            self.pending = {"operations": pending.operations}
        if self.pending and pending.lazily is not None:
            self.pending |= _compared(pending.lazily, _next_logits(self.model))
        named = {row["name"]: row["digest"] for row in rows}
        parameters, how = digests.digest(named), digests.settings(self.module)
        if unlike is not None and (unlike.parameters, unlike.settings) == (parameters, how):
            unlike.seen = _weak(arrays)
            return unlike
        self.open()
        budget.first(arrays, frozen)
        for name, optimizer in optimizers.items():
            with self._part(f"optimizer {name}"):
                if optimizer is not None:
                    told, moments = optimizers_of.state(name, optimizer, self.bytes)
                    watch.part(self.prefix, "optimizers", **told)
                    rows += moments
        self._keep(rows, whole)
        for row in rows:
            watch.part(self.prefix, "placements", **row)
        with self._part("modules"):
            self._modules()
        if whole:
            with self._part("configs"):
                facts.configs(self.model, self.prefix)
        taken = Taken(self.number, self.point, whole, parameters, how, named, _weak(arrays))
        shared = (
            probes.answers
            if whole and probes and (probes.parameters, probes.settings) == (parameters, how)
            else None
        )
        if whole and shared is None and self.probe((parameters, how), self._as_before(probes, named)):
            taken.answers = self.number
        elif whole:
            taken.answers = shared
        watch.close(self.prefix + "/")
        self.done(moment, whole, shared)
        budget.took(time.process_time() - began, len(arrays) - len(frozen))
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
        self,
        arrays: dict[str, Any],
        frozen: set[str],
        before: Taken | None,
        computed: dict[str, bool | None],
    ) -> list[dict[str, Any]]:
        quantized = _quantized(self.module)
        first: dict[int, str] = {}
        rows = []
        room = budget.Room()
        for name, array in arrays.items():
            row: dict[str, Any] = {
                "name": name,
                "dtype": tensors.dtype_name(array),
                "shape": list(array.shape),
                "nbytes": array.nbytes,
                "trainable": name not in frozen,
                "evaluated": computed.get(name),
                "shared_with": first.get(id(array)),
            }
            first.setdefault(id(array), name)
            if name in quantized:
                row["quantization"] = quantized[name]
            if computed[name] is not False or room.takes(array.nbytes):
                row |= self._read(name, array, before if name in frozen else None)
            else:
                row |= {"digest": None, "error": f"MemoryError: {room.refused}"}
            rows.append(row)
        return rows

    def _read(self, name: str, array: Any, before: Taken | None) -> dict[str, Any]:
        if before is not None:
            same = before.seen.get(name)
            if same is not None and same() is array and before.digests.get(name):
                return {"digest": before.digests[name]}
        return digests.read(array, self.bytes)

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

    def _keep(self, rows: list[dict[str, Any]], whole: bool) -> None:
        """Write the bytes that are wanted and new; give statistics in place of those that are not kept."""
        wanted = {
            row["digest"]: row for row in reversed(rows) if row.get("digest") and row["digest"] in self.bytes
        }
        chosen = budget.choose(wanted) if whole else set()
        with self._part("tensors"):
            if chosen:
                tensors.write(
                    self.directory / protocol.TENSORS,
                    {digest: self.bytes[digest] for digest in sorted(chosen)},
                )
                budget.written |= chosen
        for digest, row in wanted.items():
            if (
                digest not in budget.written
                and digest not in budget.stored_digests()
                and digest not in _stated
            ):
                _stated.add(digest)
                with self._part(f"statistics of {row['name']}"):
                    measured = tensors.not_finite if budget.counted() else tensors.statistics
                    row["stats"] = measured(self.bytes[digest])
        self.bytes.clear()

    def _as_before(self, asked: Taken | None, named: dict[str, str | None]) -> bool:
        """Has the model got nothing since it was asked but adapters that add nothing?"""
        if asked is None or asked.answers != asked.number:
            return False
        with contextlib.suppress(Exception):  # a model of another form is asked again
            return inert.adds_nothing(self.module, asked.digests, named)
        return False

    def probe(self, state: tuple[str, str] | None = None, as_before: bool = False) -> bool:
        """Ask the probes; False where there was nothing to ask, or nobody who could answer."""
        if not isinstance(self.module, trees.Tree):
            with self._part("probes"):
                from .probe import answer  # import time: not before a model answers

                self.probes = answer(self.model, self.prefix, state, as_before)
                budget.probes_took(self.probes["seconds"] if self.probes else 0.0)
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
            pending=self.pending,
            place=self.place,
            missing=self.missing,
            path=self.model.path,
            tokenizer_path=self.model.tokenizer_path,
            tokenizer=known or None,
        )


def _compared(lazily: Any, computed: Any) -> dict[str, float]:
    """By how much the logits of parameters that were not computed differ from those of the same, computed."""
    if computed is None or lazily.shape != computed.shape:
        return {}
    core = trees.mx()
    off, largest = core.abs(lazily - computed).max().item(), core.abs(computed).max().item()
    return {"difference": off, "scale": largest} if off == off else {}


def _quantized(module: Any) -> dict[str, dict[str, Any]]:
    """Name of each quantized weight to its mode, bits and group size."""
    packed = {}
    for path, each in trees.modules(module):
        bits, group = trees.attribute(each, "bits"), trees.attribute(each, "group_size")
        if isinstance(bits, int) and isinstance(group, int) and "scales" in each:
            name = f"{path}.weight" if path else "weight"
            packed[name] = {
                "mode": trees.attribute(each, "mode") or "affine",
                "bits": bits,
                "group_size": group,
            }
    return packed


def _weak(arrays: dict[str, Any]) -> dict[str, Any]:
    references = {}
    for name, array in arrays.items():
        with contextlib.suppress(TypeError):
            references[name] = weakref.ref(array)
    return references
