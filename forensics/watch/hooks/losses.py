"""What the loss teaches at each position, read off the user's own backward pass.

Their loss is never called by us.

An identity with a vjp of its own stands at a model's output and sees the logits and their cotangent; `logits`
says what these tell. Where a fused loss makes no logits, one at the output of the module below the head sees
the hidden states and theirs; see `hidden`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import trees
from ..capture import facts, registry
from ..models import Model
from ..moments import Moments
from ..repeat import logits as repeated
from ..run import watch
from ..training import datasource, divergences, firstbatch, hidden, largelogits, padding, ranges, steps
from ..training import head as heads
from ..training import rows as weights
from ..training.event import Event
from ..training.logits import after, print_of, reduce, softmaxed, taught, whole
from ..trees import mx
from ..wrapping import wrap
from . import gradients

_DEPTH = 3  # parts of the path to a language model within another module


_inner: dict[
    int, tuple[Any, Model, int]
] = {}  # id of a module below a model -> (weak reference, the model, its vocabulary)


def tap(model: Model) -> None:
    """Look at the output of this model wherever it is called inside a gradient.

    Of a model that holds a language model, also at the output of that one.
    """
    module = model.module
    if isinstance(module, trees.Tree):
        return
    wrap(type(module), "__call__", _call)
    rows = facts.embedding_rows(module)
    for path, each in trees.modules(module):
        if (
            rows
            and path
            and path.count(".") < _DEPTH
            and not trees.is_array(each.get("weight"))
            and facts.embedding_rows(each)
        ):
            _inner[id(each)] = (weakref.ref(each), model, rows)
            wrap(type(each), "__call__", _call)


def _model_of(module: Any) -> tuple[Model | None, int | None]:
    """The model that a module is, or is the inner one of, and then the width that its logits have."""
    record = watch.record_of(module)
    if record is None and id(module) in _inner:
        reference, outer, rows = _inner[id(module)]
        return (outer, rows) if reference() is module else (None, None)
    return record or _copied(module), None


def _copied(module: Any) -> Model | None:
    """The model of which a module is a shallow copy: the same parts under the same names."""
    for each in watch.models:
        whole = each.module
        same = type(whole) is type(module) and module and whole.keys() == module.keys()
        if same and all(part is whole[name] for name, part in module.items()):
            return each
    return None


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not watch.on or watch.local.quiet:
            return original(self, *args, **kwargs)
        call: _Call | None = None
        with watch.looking("loss tap", "loss"):
            call = _looked_at(self, args, kwargs)
        if call is None:
            return original(self, *args, **kwargs)
        with gradients.calling(self):
            output = original(self, *args, **kwargs)
        with watch.looking("loss tap", "loss"):
            return call.through(output)
        return output

    return __call__


@dataclass
class _Call:
    """A call of a model whose output is looked at."""

    record: Model
    module: Any
    width: int | None  # that an output must have to be logits
    frame: Any  # the gradient under way
    given: Any  # (args, kwargs)
    outer: bool  # no other model's call is around it
    taps: int  # taps so far in this gradient

    def through(self, output: Any) -> Any:
        """What the program gets: the same output, looked at where it is computed."""
        about = steps.local.traces[-1].facts if steps.local.traces else {}
        about.setdefault("forward", self.record)
        if steps.local.traces and self.frame is None and "read" not in about:
            read = {name: id(array) for name, array in trees.trainable(self.module).items()}
            about["read"] = (weakref.ref(self.module), read)
        if self.frame is not None:
            if self.outer and self.frame.open:
                padding.remember(self.record, self.module, self.given, output)
            return _through(output, self._tapped)
        if self.width is None:
            about.setdefault("call", self.given)
            _through(output, lambda z: about.setdefault("output", z))
        return _through(output, self._outside) if _compared(self.given) else output

    def _outside(self, z: Any) -> Any:
        ids = _ids(self.given, z)
        if ids is None or not self.outer:
            return z
        mark, ids = print_of(z), _own(ids)
        steps.emit(Event("forward", self.record, {}, {"mark": mark, "ids": ids}))
        return after(z, [mark, ids])

    def _tapped(self, z: Any) -> Any:
        """An identity whose vjp sees the cotangent.

        What it needs it is given as inputs, so that it holds in compiled functions.
        """
        core, ids, number = mx(), _ids(self.given, z), len(self.frame.taps_of)
        head = None
        if self.width not in (None, z.shape[-1]):
            again = self.frame.in_full is not False
            head = heads.find(self.record.module, self.module, z.shape[-1], again)
            if head is None:
                return z
        if self.outer and ids is not None and not self.taps and self.frame.open:
            firstbatch.remember(self.record, self.module, self.given, ids, z)
        within = set(range(self.taps, number))
        seen = largelogits.read(z, self.frame.in_full) if head is None else None
        self.frame.taps_of.append(self.record.number)
        self.frame.within |= within
        if self.frame.open and self.outer and ids is not None:
            mark, own = print_of(z), _own(ids)
            self.frame.prints.append({"mark": mark, "ids": own})
            if self.frame.in_full and not steps.local.traces:
                ranges.look(self.record, ids)
                self.frame.logits.append((self.record.number, core.stop_gradient(z)))
            z = after(z, [mark, own])
        z = after(z, seen.held if seen else [])
        known = ids is not None
        ids = ids if known else core.zeros(z.shape[:-1], core.int32)
        held = head.held if head else seen.held if seen else []
        rows = [core.stop_gradient(array) for array in held]

        @core.custom_function  # type: ignore[untyped-decorator]
        def identity(z: Any, ids: Any, *rows: Any) -> Any:
            return z

        @identity.vjp  # type: ignore[untyped-decorator]
        def backward(primals: Any, cotangent: Any, _: Any) -> Any:
            g = cotangent[0] if isinstance(cotangent, (tuple, list)) else cotangent
            if watch.on and not watch.local.quiet:
                with watch.looking("loss tap", "loss"):
                    taken = head.holding(list(primals[2:])) if head else None
                    made = largelogits.Read(*primals[2:]) if seen else None
                    g = _taken(number, within, primals[0], primals[1] if known else None, g, taken, made)
            return g, *(core.zeros_like(primal) for primal in primals[1:])

        return identity(z, ids, *rows)


def _taken(
    number: int, within: set[int], z: Any, ids: Any, g: Any, head: heads.Head | None,
    seen: largelogits.Read | None,
) -> Any:  # fmt: skip
    """Keep what the cotangent says, unless a model around this one has said it.

    Returns the cotangent, cured where a repeat asks for it.

    With a head, z are the hidden states that it takes.
    """
    frame = gradients.frame()
    if frame is None or not steps.open_here() or number in frame.covered:
        return g
    frame.covered |= within
    g = repeated.cured(z, ids, g, len(frame.taps_of) - len(frame.within), head)
    arrays: dict[str, Any] = {} if ids is None else {"ids": ids}
    arrays |= _read(z, g, ids, frame.in_full, head) if seen is None else _large(seen, g, frame.in_full)
    if frame.in_full and head is None and not steps.local.traces:
        beside = [made for model, made in frame.logits if model != frame.taps_of[number]]
        if (far := divergences.weighted(z, arrays["full"]["weight"], frame.given + beside)) is not None:
            arrays["full"]["divergences"] = far
    needed = [arrays]
    if head is not None and head.other is not None and (head.shaped or frame.in_full is not False):
        name, other = head.other
        arrays[name] = _read(z, g, ids, frame.in_full if head.shaped else True, other)
        needed.append(arrays[name])
        for one in needed:
            if "full" in one:
                one["full"]["losses"] = hidden.losses(z, one["full"], head)
    frame.taps.append(arrays)
    return after(g, [each for one in needed for each in (one.get("brief") or one.get("full", {})).values()])


def _read(z: Any, g: Any, ids: Any, in_full: bool | None, head: heads.Head | None) -> dict[str, Any]:
    """`brief` and `full`: what is wanted of a step that is kept, of one that is not, and where it is open."""
    arrays: dict[str, Any] = {}
    if in_full is not True:
        arrays["brief"] = (
            reduce(z, g, brief=True) if head is None else hidden.brief(z, g, head, _following(ids))
        )
    if in_full is not False:
        arrays["full"] = reduce(z, g) if head is None else hidden.reduce(z, g, head, _following(ids))
        if head is None:
            arrays["full"]["softmaxed"] = softmaxed(z, g)
            if whole(z):
                arrays["full"]["taught"] = taught(z, g, arrays["full"]["weight"])
    return arrays


def _large(seen: largelogits.Read, g: Any, in_full: bool | None) -> dict[str, Any]:
    """As `_read`, of logits that are not held."""
    arrays: dict[str, Any] = {}
    if in_full is not True:
        arrays["brief"] = largelogits.brief(seen, g)
    if in_full is not False:
        arrays["full"] = largelogits.full(seen, g)
    return arrays


def _following(ids: Any) -> Any:
    """The id after each position of its row; the last has its own."""
    return None if ids is None else mx().concatenate([ids[..., 1:], ids[..., -1:]], -1)


def _looked_at(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | None:
    if not steps.open_here() or gradients.calls(module):
        return None
    (record, width), frame = _model_of(module), gradients.frame()
    if record is not None and record.module is module:
        padding.called(record, (args, kwargs))
    if record is None or (frame is None and not steps.local.traces and not _compared((args, kwargs))):
        return None
    return _Call(
        record,
        module,
        width,
        frame,
        (args, kwargs),
        not gradients.calls(),
        len(frame.taps_of) if frame else 0,
    )


def _compared(given: Any) -> bool:
    """May this forward outside a gradient be the reference of a preference loss?

    It may while training goes on, over whole rows.
    """
    if (
        not any(track.started or track.renewed for track in list(registry.tracks.values()))
        or given[1].get("cache") is not None
    ):
        return False
    core = mx()
    ids = next(
        (array for _, array in trees.flatten(given) if core.issubdtype(array.dtype, core.integer)), None
    )
    return ids is not None and ids.ndim == 2 and ids.shape[1] > 1


def _through(output: Any, function: Callable[[Any], Any]) -> Any:
    """Apply `function` to the logits in what a model returned."""
    return trees.with_output(output, lambda array: function(array) if _is_logits(array) else array)


def _is_logits(z: Any) -> bool:
    return bool(z.ndim >= 2 and z.shape[-1] > 1 and z.size > 0 and mx().issubdtype(z.dtype, mx().floating))


def _own(ids: Any) -> Any:
    """Equal ids that keep nothing of the program alive once they are computed, with its own evaluation."""
    return ids if steps.local.traces else ids + mx().array(0, ids.dtype)


def _ids(given: Any, z: Any) -> Any:
    """The token ids that a model was called with.

    They are an integer array with one entry for each position of the logits.
    """
    core = mx()
    for _, array in trees.flatten(given):
        if array.shape == z.shape[:-1] and core.issubdtype(array.dtype, core.integer):
            return array
    return None


def install(run: Moments) -> None:
    run.on_sight(tap)
    run.on_boundary(steps.flush)
    run.on_exit(steps.finish)
    run.on_dropped(steps.dropped)
    run.on_step(datasource.look)
    run.on_step(weights.write)
