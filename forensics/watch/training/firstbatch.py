"""The first call of each trained model within a gradient, as the program made it.

It is held until the self-test has used it.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

from .. import trees
from ..models import Model
from ..trees import mx
from . import hidden, steps

_HELD = 64 << 20  # bytes of arguments that are held beside the token ids
_MODELS = 2  # models of a process that are tested

calls: dict[str, Call] = {}  # model number -> the first call of it, or of a language model within it
tested: set[str] = set()  # numbers of models whose call was used


@dataclass
class Call:
    """A call of a model: what was called, and with what."""

    model: Model
    callee: Any  # weak reference to the module that was called
    # (args, kwargs), each array held anew; None: a reason why not stands in `why`
    given: tuple[Any, Any] | None
    place: int  # which of its arrays are the token ids
    ids: Any | None  # (rows, positions); None: of a compiled function, they come with what the loss taught
    why: str = ""
    tries: int = 0  # how often we looked for what the loss taught in it

    @property
    def bare(self) -> bool:
        """Are the token ids the only array, so that rows and positions can be taken out of them?"""
        return self.given is not None and len(trees.leaves(self.given)) == 1

    def with_ids(self, ids: Any) -> tuple[Any, Any]:
        """(args, kwargs) of the same call on other token ids."""
        arrays = trees.leaves(self.given)
        arrays[self.place] = ids
        args, kwargs = trees.replaced(self.given, iter(arrays))
        return args, kwargs


def remember(model: Model, module: Any, given: tuple[Any, Any], ids: Any, z: Any) -> None:
    """Hold this call, where it is the first of its model and answers rows of token ids.

    It answers them with logits or hidden states.
    """
    if model.number in calls or model.number in tested or len(tested | calls.keys()) >= _MODELS:
        return
    if ids.ndim != 2 or z.ndim != 3:
        return
    arrays, traced = trees.leaves(given), bool(steps.local.traces)
    place = next(i for i, array in enumerate(arrays) if array is ids)
    beside = sum(array.nbytes for array in arrays) - ids.nbytes
    why = ""
    if (strange := unknown_argument(given)) is not None:
        why = f"the model is called with a {strange}"
    elif traced and len(arrays) > 1:
        why = "a compiled function calls the model with more arrays than its token ids"
    elif beside > _HELD:
        why = f"the model is called with {beside:,} bytes beside its token ids"
    held = None
    if not why:
        held = trees.replaced(given, iter([ids if traced else mx().stop_gradient(each) for each in arrays]))
    own = None if traced else mx().stop_gradient(ids)
    calls[model.number] = Call(model, weakref.ref(module), held, place, own, why)


def unknown_argument(given: Any) -> str | None:
    """The class of something in the arguments that may keep what it saw, a cache say; None: there is none."""
    if given is None or trees.is_array(given) or isinstance(given, (bool, int, float, str)):
        return None
    if isinstance(given, dict) and not trees.is_module(given):
        given = list(given.values())
    if isinstance(given, (list, tuple)):
        return next((found for argument in given if (found := unknown_argument(argument)) is not None), None)
    return type(given).__name__


def taught(call: Call) -> tuple[Any, dict[str, Any]] | None:
    """(token ids, what the loss taught at each position) of the gradient that this call was made in.

    None where nothing is known of it yet.
    """
    wanted = None if call.ids is None else call.ids.tolist()
    for event in steps.waiting():
        for tap in event.arrays["taps"]:
            if "ids" not in tap or "full" not in tap or tap["ids"].ndim != 2:
                continue
            same = wanted is None or tap["ids"].tolist() == wanted
            if same and tap["full"]["weight"].shape == tap["ids"].shape:
                told = hidden.chosen(tap, "full")
                choose(call, told)
                return (tap["ids"] if call.ids is None else call.ids), told
    return None


def choose(call: Call, told: dict[str, Any]) -> None:
    """Of several arrays that may be the token ids, take the one whose next entries the loss teaches.

    Beside token ids a model may be given numbers of places, of packed texts or of kinds, in any order. The
    call says why not, where this tells none or several of them.
    """
    arrays = trees.leaves(call.given)
    alike = [i for i, array in enumerate(arrays) if call.ids is not None and _alike(array, call.ids)]
    if len(alike) < 2:
        return
    target, weight = (told[name].tolist() for name in ("target", "weight"))
    fitting = [i for i in alike if _follows(arrays[i].tolist(), target, weight)]
    if len(fitting) == 1:
        (call.place,) = fitting
        call.ids = arrays[call.place]
    else:
        call.why = "the model is called with several arrays that may be its token ids"


def _alike(array: Any, ids: Any) -> bool:
    return bool(array.shape == ids.shape and mx().issubdtype(array.dtype, mx().integer))


def _follows(rows: list[list[int]], target: list[list[int]], weight: list[list[float]]) -> bool:
    """Are most of the targets that have a weight the entry after their own?"""
    found = [
        entry == aim
        for row, aims, weights in zip(rows, target, weight, strict=True)
        for entry, aim, share in zip(row[1:], aims[:-1], weights[:-1], strict=True)
        if share
    ]
    return 2 * sum(found) > len(found)


def dropped(model: Model) -> None:
    """The program dropped a model: its call goes with it."""
    calls.pop(model.number, None)
