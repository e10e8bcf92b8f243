"""What a compiled function reads and writes beside its arguments.

And which of it is a model's parameters and an optimizer's state.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from .. import trees
from ..capture import phases, points, registry
from ..models import Model
from . import replaced
from .event import Event, Trace
from .steps import by_hand


def parts(tree: Any, depth: int = 0) -> Iterator[Any]:
    """Every container and leaf of nested lists, tuples and dicts."""
    yield tree
    if depth < 12:
        items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else ()
        for item in items:
            yield from parts(item, depth + 1)


def placed(trace: Trace, before: Any, after: Any) -> None:
    """At the end of a trace: where the parameters of functional programs come in and go out.

    Both are places in the flat trees.

    Args:
        before: [(args, kwargs), inputs]; after: [result, outputs]: as the trace sees them.
    """
    come = {id(array): i for i, (_, array) in enumerate(trees.flatten(before))}
    gone = {id(array): i for i, (_, array) in enumerate(trees.flatten(after))}
    for event in list(trace.events):
        gradients = event.facts.pop("gradients", None)
        if gradients is not None and not any(
            each.kind == "update" and each.model is event.model for each in trace.events
        ):
            _updated_by_hand(trace, event, gradients, before, after, come)
    for event in trace.events:
        old, new = event.facts.pop("old", {}), event.facts.pop("new", {})
        if event.model is not None and isinstance(event.model.module, trees.Tree):
            event.facts["come"] = {name: come[id(array)] for name, array in old.items() if id(array) in come}
            event.facts["gone"] = {name: gone[id(array)] for name, array in new.items() if id(array) in gone}


def _updated_by_hand(
    trace: Trace, event: Event, gradients: dict[str, Any], before: Any, after: Any, come: dict[int, int]
) -> None:
    """Does the function return a tree of the parameters' names and shapes that is new?

    It is an update by hand where it is neither what came in nor the gradients.
    """
    assert event.model is not None
    shapes = {name: tuple(array.shape) for name, array in gradients.items()}
    known = {id(array) for array in gradients.values()}
    old = event.facts.get("old") or {}
    if not old or not all(id(array) in come for array in old.values()):
        old = next((tree for tree in map(_flat, parts(before)) if tree and _shapes(tree) == shapes), {})
    if not old:
        return
    known |= {id(array) for array in old.values()}
    for tree in map(_flat, parts(after)):
        if _shapes(tree) == shapes and not any(id(array) in known for array in tree.values()):
            write = by_hand(event.model, list(shapes))
            write.facts |= {"old": old, "new": tree, "compiled": True}
            trace.events.insert(trace.events.index(event) + 1, write)
            return


def _copied(tree: Any) -> Any:
    """The containers anew, the arrays themselves."""
    if isinstance(tree, dict):
        return {key: _copied(value) for key, value in tree.items()}
    return [_copied(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


def _flat(tree: Any) -> dict[str, Any]:
    return dict(trees.flatten(tree))  # one array alone may be all that a program trains


def _shapes(tree: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(array.shape) for name, array in tree.items()}


class Before:
    """What stood where when a compiled function was called, and after it.

    It serves `start`, and shows whether state is declared.
    """

    def __init__(self, function: Any, given: Any) -> None:
        self.function = function
        bare = any(isinstance(track.model.module, trees.Tree) for track in list(registry.tracks.values()))
        self.parameters = {
            number: trees.parameters(track.model.module)
            for number, track in list(registry.tracks.items())
            if track.model.module is not None
            and (not track.started or track.renewed or function.purpose is None)
        }
        self.given: list[Any] = []
        self.states: dict[int, tuple[Any, Any]] = {}  # id of an optimizer's state -> itself, and as it is now
        if self.parameters or bare or function.purpose is None:
            self.given = [array for _, array in trees.flatten([given, function.inputs])]
            for part in parts([function.inputs, function.outputs]):
                if isinstance(part, dict) and "step" in part and not trees.is_module(part):
                    self.states[id(part)] = (part, _copied(part))

    def after(self, trace: Trace, result: Any) -> None:
        """The function has returned.

        Updates begin a phase, functional programs hold new arrays, state is where it is.
        """
        function = self.function
        for event in trace.events:
            if (
                event.model is not None and event.facts.get("come") and self.given
            ):  # the tree held tracers while it was traced
                event.model.module.tree = {name: self.given[i] for name, i in event.facts["come"].items()}
                points.track(event.model.module)
        for event in trace.events:
            if event.kind in ("update", "write") and event.model is not None:
                self._begins(event, event.model, result)
        updates = any(event.kind in ("update", "write") for event in trace.events)
        unknown = function.state_in_inputs is None or (updates and function.state_in_outputs is None)
        if unknown and function.model is not None and self.given:
            self._state(trace, function.model, result)

    def _begins(self, event: Event, model: Model, result: Any) -> None:
        references = self.parameters.get(model.number)
        bare = isinstance(model.module, trees.Tree)
        if bare and self.given:
            references = {name: self.given[i] for name, i in event.facts["come"].items()} or None
        if event.kind == "update":
            optimizer = event.facts["optimizer"].here
            if references:
                replaced.before_update(model, references)
            phases.before_update(
                model.module, references=references, optimizer=optimizer, as_it_was=self._as_it_was(optimizer)
            )
        else:
            phases.before_write(model.module, references)
        if bare and event.facts["gone"]:
            flat = [array for _, array in trees.flatten([result, self.function.outputs])]
            model.module.tree = {name: flat[i] for name, i in event.facts["gone"].items()}

    def _as_it_was(self, optimizer: Any) -> Any:
        """A stand-in for an optimizer, with the state of before the call; None where that was not held."""
        then = copy.copy(optimizer)
        if (several := getattr(optimizer, "optimizers", None)) is not None:
            then.optimizers = [self._as_it_was(item) for item in several]
            return None if None in then.optimizers else then
        state = self.states.get(id(trees.optimizer_state(optimizer)))
        if state is None:
            return None
        then._state = state[1]
        return then

    def _state(self, trace: Trace, model: Model, result: Any) -> None:
        """Are the parameters that this function moves, or reads, among its inputs and outputs?

        The same is asked of the optimizer's state.
        """
        function, module = self.function, model.module
        update = next((event for event in trace.events if event.kind in ("update", "write")), None)
        used = update.facts.get("optimizer") if update else None
        optimizer = used.here if used is not None else None
        if isinstance(module, trees.Tree):
            come, gone = (
                (len(update.facts[key]) == len(module.shapes()) for key in ("come", "gone"))
                if update
                else (True, None)
            )
        else:
            old, new = self.parameters.get(model.number, {}), trees.parameters(module)
            names = set(update.facts["names"]) if update else trees.trainable(module).keys() or old.keys()
            come = _all(names, old, self.given)
            gone = (
                _all(names, new, [array for _, array in trees.flatten([result, function.outputs])])
                if update
                else None
            )
        function.state_in_inputs = come and _optimizer_in(optimizer, function.inputs, self.given)
        after = [array for _, array in trees.flatten([result, function.outputs])]
        function.state_in_outputs = (
            gone if gone is None else gone and _optimizer_in(optimizer, function.outputs, after)
        )


def _all(names: Any, arrays: dict[str, Any], among: list[Any]) -> bool:
    have = {id(array) for array in among}
    return all(id(arrays[name]) in have for name in names if name in arrays)


def _optimizer_in(optimizer: Any, tree: Any, among: list[Any]) -> bool:
    """Is the state of the optimizer there?

    One that keeps nothing and follows no schedule has none to lose.
    """
    if optimizer is None:
        return True
    each = getattr(optimizer, "optimizers", None) or [optimizer]
    inside = {id(part) for part in parts(tree)} | {id(array) for array in among}
    for one in each:
        arrays = [array for _, array in trees.flatten(trees.optimizer_state(one)) if array.ndim > 0]
        keeps = bool(arrays) or bool(getattr(one, "_schedulers", None))
        if (
            keeps
            and id(trees.optimizer_state(one)) not in inside
            and not (arrays and all(id(array) in inside for array in arrays))
        ):
            return False
    return True
