"""Parameters that an update left and the program replaced by others before the next: were they put back?

What stood there is held by weak references alone, so the program lets go of it when it would have anyway.
"""

from __future__ import annotations

import weakref
from typing import Any, Literal

from .. import trees
from ..capture.tensors import computed
from ..models import Model
from ..places import where
from ..run import watch
from ..trees import mx

_LOOKED = 8  # arrays, the smallest, whose values are compared where others stand in their place

_Fate = Literal["held", "dropped"]
_left: dict[
    str, tuple[dict[str, Any], str | None]
] = {}  # model -> what its last update left, and who replaced it
_found: dict[str, _Fate] = {}  # model -> what came of it, of the update that comes next
_said: set[tuple[str, _Fate]] = set()


def wrote(model: Model, before: dict[str, Any], after: dict[str, Any]) -> None:
    """The program has put other arrays in place of those that an update left, or put these back."""
    if not model.updates:
        return
    if model.number in _left:
        _put_back(model, after)
        return
    gone = {name: array for name, array in before.items() if after.get(name) is not array}
    trained = trees.trainable(model.module)
    gone = {name: weakref.ref(array) for name, array in gone.items() if name in trained}
    if gone:
        _left[model.number] = (gone, where())


def put_in(model: Model) -> None:
    """What an optimizer returned stands in its place now."""
    if model.number in _left:
        _put_back(model, trees.parameters(model.module))


def _put_back(model: Model, now: dict[str, Any]) -> None:
    then = {name: reference() for name, reference in _left[model.number][0].items()}
    if all(array is not None and now.get(name) is array for name, array in then.items()):
        del _left[model.number]


def before_update(model: Model, references: dict[str, Any] | None = None) -> None:
    """The next update comes: do the arrays that the one before left stand in their places again?

    Args:
        references: parameters by name from before a compiled step; else the live module is read.
    """
    if model.number not in _left or watch.tracing or isinstance(model.module, trees.Tree):
        return
    gone, place = _left.pop(model.number)
    now = trees.parameters(model.module) if references is None else references
    then = {name: array for name, reference in gone.items() if (array := reference()) is not None}
    if len(then) < len(gone):
        fate: _Fate = "dropped"
    elif all(_same(now.get(name), array) for name, array in _smallest(then)):
        return
    else:
        fate = "held"
    _found[model.number] = fate
    if (model.number, fate) not in _said:
        _said.add((model.number, fate))
        watch.event("write", model, place, replaced=fate, leaves=len(gone), after_gradient=True)


def of_step(model: Model) -> _Fate | None:
    """What came of the parameters that the update before this one left; None: they are where they were."""
    _left.pop(model.number, None)  # of a compiled step whose arrays of before were not held
    return _found.pop(model.number, None)


def _smallest(arrays: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(arrays.items(), key=lambda item: int(item[1].size))[:_LOOKED]


def _same(now: Any, then: Any) -> bool:
    """Are these equal? A gradient leaves arrays of the same values, so that objects alone do not tell.

    Where the program has not computed what it left itself, nothing is computed for it.
    """
    if now is None or now is then:
        return now is then
    if now.shape != then.shape or not computed(then):
        return False
    return bool(mx().array_equal(now, then).item())
