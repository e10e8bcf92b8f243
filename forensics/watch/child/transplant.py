"""Holds two models, puts parts of B into A, and says whether A then answers as B.

It is run as a script, and told line by line which parts:

    python transplant.py arguments.json

The first line on stdout is what differs; then, for each line {"parts": [names]} on stdin, {"holds": true |
false}. Nothing of the user's own code runs here.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

_PACKAGE = "_forensics_watch"
_HIDDEN = ("_no_grad", "_training")
_SEED = 0


@dataclass
class Part:
    """One difference: `put(True)` moves it into A, `put(False)` takes it out again."""

    name: str
    kind: str
    module: str
    put: Callable[[bool], None]


@dataclass
class Side:
    """A loaded model and how it is asked."""

    module: Any
    tokenizer: Any
    stop: frozenset[int]
    sampler: Mapping[str, float] = field(default_factory=dict)

    def prompt(self, question: Mapping[str, Any]) -> list[int]:
        """Token ids of a question, through the template where there is one."""
        if question.get("ids"):
            return [int(token_id) for token_id in question["ids"]]
        messages = question.get("messages") or [{"role": "user", "content": question["prompt"]}]
        if getattr(self.tokenizer, "chat_template", None):
            return list(
                self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            )
        return list(self.tokenizer.encode("\n".join(str(message["content"]) for message in messages)))


def main(path: str) -> None:
    arguments: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ[variable] = "1"
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    core = import_module("reload")._watcher()
    import mlx.core  # noqa: F401  the watch package takes it from sys.modules

    core.watch.on = False
    try:
        bench = Bench(_side(arguments["a"]), _side(arguments["b"]), arguments)
    except Exception as error:  # noqa: BLE001   whatever a loader raises is what the user is told
        _say(out, {"error": f"{type(error).__name__}: {error}"[:500]})
        return
    _say(out, bench.inventory())
    for line in sys.stdin:
        _say(out, {"holds": bench.holds(set(json.loads(line)["parts"]))})


def _say(out: Any, value: object) -> None:
    out.write(json.dumps(value) + "\n")
    out.flush()


# -- loading -------------------------------------------------------------------------------------------------


def _side(request: Mapping[str, Any]) -> Side:
    """A model as its directory, adapter and recorded tensors have it."""
    loading = import_module(f"{_PACKAGE}.child.loader")
    loaded = loading.load(
        request["model"], request.get("adapter"), request.get("tokenizer"), request.get("trust", False)
    )
    for adapter in request.get("adapters") or ():
        _adapted(loaded.module, adapter)
    if request.get("tensors"):
        import mlx.core as mx

        loaded.module.load_weights(list(mx.load(request["tensors"]).items()), strict=False)
    loaded.module.eval()
    stop = request.get("stop")
    ends = stop if stop is not None else getattr(loaded.tokenizer, "eos_token_ids", None) or ()
    return Side(loaded.module, loaded.tokenizer, frozenset(map(int, ends)), request.get("sampler") or {})


def _adapted(root: Any, request: Mapping[str, Any]) -> None:
    """Put the recorded kind of adapter around one layer."""
    adapter = None
    for home in ("lora", "dora"):
        adapter = adapter or getattr(import_module(f"mlx_lm.tuner.{home}"), str(request["class"]), None)
    if adapter is None:
        raise ValueError(f"mlx-lm has no adapter {request['class']}")
    owner, key = _owner(root, str(request["module"]))
    layer = adapter.from_base(
        _get(owner, key), r=int(request["rank"]), scale=float(request["scale"]), dropout=0.0
    )
    _set(owner, key, layer)


def _owner(root: Any, path: str) -> tuple[Any, str]:
    *above, last = path.split(".")
    for part in above:
        root = _get(root, part)
    return root, last


def _get(owner: Any, key: str) -> Any:
    return owner[int(key)] if isinstance(owner, list) else owner[key]


def _set(owner: Any, key: str, value: Any) -> None:
    if isinstance(owner, list):
        owner[int(key)] = value
    else:
        owner[key] = value  # a module is a dict of what it holds; this asks no property of the program's


# -- what differs --------------------------------------------------------------------------------------------


def _inner(module: Any) -> str | None:
    """Where an adapter keeps the layer around which it stands; None of what is no adapter."""
    return next((key for key in ("linear", "embedding") if "lora_a" in module and key in module), None)


def _parts(owner: Any, key: str, b: Any, path: str, base: str) -> Iterator[Part]:
    """Differences between the child `key` of A's `owner` and B's module.

    `base` is the path without the layers inside adapters.
    """
    a = _get(owner, key)
    inner_a, inner_b = _inner(a), _inner(b)
    if inner_a and not inner_b:
        yield Part(f"{base} without its adapter", "weights", base, _switch(owner, key, a, a[inner_a]))
        yield from _parts(a, inner_a, b, f"{path}.{inner_a}", base)
    elif inner_b and not inner_a:
        wrapped = _around(b, inner_b, a)
        yield Part(f"{base}.lora", "weights", base, _switch(owner, key, a, wrapped))
        yield from _below(a, b[inner_b], (owner, key), path, base)
    else:
        yield from _below(a, b, (owner, key), path, base)


def _around(adapter: Any, key: str, layer: Any) -> Any:
    """B's adapter around A's layer."""
    copy = dict.__new__(type(adapter))
    dict.update(copy, dict(adapter))
    vars(copy).update(vars(adapter))
    dict.__setitem__(copy, key, layer)
    return copy


def _switch(owner: Any, key: str, before: Any, after: Any) -> Callable[[bool], None]:
    return lambda moved: _set(owner, key, after if moved else before)


def _below(a: Any, b: Any, at: tuple[Any, str], path: str, base: str) -> Iterator[Part]:
    """Differences between two modules that stand in the same place."""
    if not _alike(a, b):
        yield Part(base or "the model", "weights", base, _switch(*at, a, b))
        return
    plain = {
        name: (vars(a).get(name), value)
        for name, value in vars(b).items()
        if name not in _HIDDEN
        and isinstance(value, (int, float, str, bool, tuple))
        and value != vars(a).get(name)
    }
    if plain:
        yield Part(
            f"{', '.join(sorted(plain))} of {base or 'the model'}", "settings", base, _set_plain(a, plain)
        )
    for name in dict.keys(b):
        mine, theirs = dict.__getitem__(a, name), dict.__getitem__(b, name)
        yield from _inside(
            a, name, mine, theirs, f"{path}.{name}".lstrip("."), f"{base}.{name}".lstrip("."), base
        )


def _inside(owner: Any, key: str, a: Any, b: Any, path: str, base: str, module: str) -> Iterator[Part]:
    from mlx.nn import Module

    if isinstance(b, Module):
        yield from _parts(owner, key, b, path, base)
    elif isinstance(b, (list, tuple)):
        for i, (mine, theirs) in enumerate(zip(a, b, strict=True)):
            yield from _inside(a, str(i), mine, theirs, f"{path}.{i}", f"{base}.{i}", module)
    elif _is_array(b) and not _same(a, b):
        yield Part(base, "weights", module, _switch(owner, key, a, b))


def _set_plain(module: Any, values: Mapping[str, tuple[Any, Any]]) -> Callable[[bool], None]:
    def put(moved: bool) -> None:
        for name, (before, after) in values.items():
            vars(module)[name] = after if moved else before

    return put


def _alike(a: Any, b: Any) -> bool:
    """Can parts of B stand in A one by one?

    They can where both have the same class, the same names, lists as long, and weights packed alike.
    """
    packed = all(vars(a).get(name) == vars(b).get(name) for name in ("group_size", "bits", "mode"))
    if type(a) is not type(b) or not packed or dict.keys(a) != dict.keys(b):
        return False
    return all(
        len(mine) == len(theirs)
        for mine, theirs in ((dict.__getitem__(a, name), dict.__getitem__(b, name)) for name in dict.keys(b))
        if isinstance(theirs, (list, tuple))
    )


def _is_array(value: Any) -> bool:
    import mlx.core as mx

    return isinstance(value, mx.array)


def _same(a: Any, b: Any) -> bool:
    import mlx.core as mx

    if not _is_array(a) or a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool(mx.array_equal(a, b, equal_nan=True))


# -- asking --------------------------------------------------------------------------------------------------


class Bench:
    """A and B side by side, and the parts of B that can be put into A."""

    def __init__(self, a: Side, b: Side, arguments: Mapping[str, Any]) -> None:
        self.a, self.b, self._most = a, b, int(arguments["max_tokens"])
        self._prompts = {
            side: [each.prompt(q) for q in arguments["questions"]] for side, each in (("a", a), ("b", b))
        }
        self._answers = [self._answer(b, ids) for ids in self._prompts["b"]]
        self._said = [self._answer(a, ids) for ids in self._prompts["a"]]
        root = [a.module]
        self._root = root
        self._parts = {part.name: part for part in _parts(root, "0", b.module, "", "")}
        self._beside = [name for name, differs in self._other() if differs]

    def _other(self) -> Iterator[tuple[str, bool]]:
        template, tokenizer = self._prompts["a"] != self._prompts["b"], False
        if template:
            tokenizer = self.a.tokenizer.get_vocab() != self.b.tokenizer.get_vocab()
        yield "tokenizer", tokenizer
        yield "template", template and not tokenizer
        yield "stop set", self.a.stop != self.b.stop
        yield "sampler", dict(self.a.sampler) != dict(self.b.sampler)

    def inventory(self) -> dict[str, Any]:
        """What differs, what both answer, and whether the search can begin."""
        from mlx.utils import tree_flatten

        parts = [{"name": p.name, "kind": p.kind, "module": p.module} for p in self._parts.values()]
        parts += [{"name": name, "kind": name, "module": ""} for name in self._beside]
        text = self.b.tokenizer.decode
        return {
            "parts": parts,
            "tensors": len(tree_flatten(self.b.module.parameters())),
            "print": [_sums(side.module) for side in (self.a, self.b)],
            "same": self.holds(set()),
            "questions": len(self._answers),
            "equal": [x == y for x, y in zip(self._said, self._answers, strict=True)].count(True),
            "answers": [
                [self.a.tokenizer.decode(x[0]), text(y[0])]
                for x, y in zip(self._said, self._answers, strict=True)
            ],
        }

    def holds(self, moved: set[str]) -> bool:
        """Does A with these parts of B give each of B's answers?"""
        for name, part in self._parts.items():
            part.put(name in moved)
        stop = self.b.stop if "stop set" in moved else self.a.stop
        sampler = self.b.sampler if "sampler" in moved else self.a.sampler
        prompts = self._prompts["b" if moved & {"template", "tokenizer"} else "a"]
        try:
            return all(
                self._agrees(ids, answer, stop, sampler)
                for ids, answer in zip(prompts, self._answers, strict=True)
            )
        except (
            ValueError,
            TypeError,
            RuntimeError,
            AttributeError,
            KeyError,
        ):  # parts that do not fit together
            return False
        finally:
            for part in self._parts.values():
                part.put(False)

    def _agrees(
        self,
        ids: list[int],
        answer: tuple[list[int], bool],
        stop: frozenset[int],
        sampler: Mapping[str, float],
    ) -> bool:
        """One forward over the answer: would the model choose each of its tokens, and end where it ended?"""
        tokens, ended = answer
        if any(token in stop for token in tokens[:-1]) or (tokens[-1] in stop) is not ended:
            return False
        return _chosen(self._root[0], ids, tokens, sampler) == tokens

    def _answer(self, side: Side, ids: list[int]) -> tuple[list[int], bool]:
        """The answer to a prompt, and whether it ended by the stop set.

        As long as one forward over it says the same.
        """
        import mlx.core as mx
        from mlx_lm.generate import generate_step

        mx.random.seed(_SEED)
        tokens: list[int] = []
        for token, _ in generate_step(
            mx.array(ids), side.module, max_tokens=self._most, sampler=_sampler(side.sampler)
        ):
            tokens.append(int(token))
            if tokens[-1] in side.stop:
                break
        again = _chosen(side.module, ids, tokens, side.sampler)
        same = next((i for i, (x, y) in enumerate(zip(tokens, again, strict=True)) if x != y), len(tokens))
        tokens = tokens[: max(1, same)]
        return tokens, tokens[-1] in side.stop


def _sums(module: Any) -> str:
    """Tells two models apart whose parts bear the same names."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    sums = [mx.sum(mx.abs(array.astype(mx.float32))).item() for _, array in tree_flatten(module.parameters())]
    return hashlib.sha256(repr(sums).encode()).hexdigest()


def _sampler(settings: Mapping[str, float]) -> Any:
    if not settings.get("temp"):
        return None
    from mlx_lm.sample_utils import make_sampler

    return make_sampler(**{key: value for key, value in settings.items() if value})


def _chosen(module: Any, ids: list[int], tokens: list[int], sampler: Mapping[str, float]) -> list[int]:
    """The token that would be chosen at each place of an answer, given what stands before it there."""
    import mlx.core as mx

    logits = module(mx.array([ids + tokens[:-1]]))[0, len(ids) - 1 :].astype(mx.float32)
    draw = _sampler(sampler)
    if draw is None:
        return [int(number) for number in mx.argmax(logits, axis=-1).tolist()]
    mx.random.seed(_SEED)
    scores = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    return [int(draw(row[None]).item()) for row in scores]


if __name__ == "__main__":
    main(sys.argv[1])
