"""What a run's loss taught: rows of loss_tokens and batch_rows, and every step's shares by role.

The watcher writes kept steps position by position (`forwards`), and all steps in brief (`weights`): runs of
positions of about equal weight, beside each distinct row once (`rows`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from forensics.capture import order, ranks, roles
from forensics.capture.batches import Lesson, Rows
from forensics.capture.frames import Facts
from forensics.capture.spool import Spool
from forensics.records import Row, Scalar
from forensics.store.keyed import Keyed
from forensics.typed import whole

POSITIONS = 4096
"""Positions of one forward that `loss_tokens` holds, in whole rows; shares are taken over all positions."""
IGNORE_INDICES = (-100, -1)
"""The labels that other frameworks, and trainers written by hand, leave out of the loss."""
_SHARES = (roles.PROMPT, roles.ANSWER, roles.END, roles.PAD)
Key = tuple[int, str, int]  # process, model, step


@dataclass
class _Step:
    """Sums over the forwards of one step: |weight| by role, |dL/dlogits| on padding and in all."""

    weight: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    pad: float = 0.0
    mass: float = 0.0

    def row(self) -> dict[str, Scalar]:
        """The columns of `steps` that hang on roles; a share of nothing is NULL."""
        total = sum(self.weight.values())
        shares: dict[str, Scalar] = {
            f"weight_{role}": self.weight[role] / total if total else None for role in _SHARES
        }
        return {**shares, "mass_pad": self.pad / self.mass if self.mass else None}


def learned(spool: Spool, facts: Mapping[str, Facts], keyed: Keyed) -> tuple[dict[str, list[Row]], Rows]:
    """Rows of loss_tokens, batch_rows and steps, and the training rows.

    Generations are compared with the training rows.
    """
    facts = _with_text(spool, facts)
    tokens: list[dict[str, Any]] = []
    lessons: list[Lesson] = []
    usual: Counter[tuple[int, str, str]] = Counter()
    words: dict[Any, Scalar] = {
        (whole(w["process"]), str(w.get("model")), w.get("id")): w.get("text") for w in spool.table("words")
    }
    for forward in spool.rows("forwards"):
        key = _key(forward)
        of = facts.get(key[1], Facts())
        head = {
            "run": spool.run,
            "process": key[0],
            "model": key[1],
            "step": key[2],
            "forward": forward.get("forward"),
        }
        left = POSITIONS
        for read in roles.read(list(roles.lines(forward)), of):
            lessons.append(Lesson(head, read, of))
            usual.update((key[0], key[1], relation) for relation in read.relations if relation)
            if left > 0:
                taught = _loss_tokens(head, read, of)
                following = [*read.line.inputs[1:], None]
                tokens.extend(
                    {
                        **row,
                        "token": words.get((*key[:2], row["target_id"])),
                        "next_token": words.get((*key[:2], after)),
                    }
                    for row, after in zip(taught, following, strict=True)
                )
                left -= len(read.line.inputs)
    brief = _Brief(spool, facts, _next_token(usual))
    order.mark(tokens, brief.rows())
    steps = brief.steps()
    seen = Rows(lessons, brief.seen(), _caps(spool), keyed)
    tables: dict[str, list[Row]] = {
        "loss_tokens": list[Row](tokens),
        "batch_rows": list(seen.batch_rows()),
        "steps": [
            {**row, **(steps[_key(row)].row() if _key(row) in steps else {})} for row in spool.table("steps")
        ],
        "datasets": ranks.datasets(spool, brief.drawn),
    }
    return tables, seen


def _with_text(spool: Spool, facts: Mapping[str, Facts]) -> Mapping[str, Facts]:
    """The same, and of models without a tokenizer the ids that are no padding."""
    models = [str(row["model"]) for row in spool.latest("models", "model")]
    if models and not any(facts.get(model, Facts()).unnamed for model in models):
        return facts  # the rows are many, and are read once
    rows: dict[str, list[roles.Edges | None]] = defaultdict(list)
    for forward in spool.rows("forwards"):
        model = _key(forward)[1]
        if facts.get(model, Facts()).unnamed:
            rows[model] += [roles.edges(line.inputs) for line in roles.lines(forward)]
    found = {model: replace(facts.get(model, Facts()), text=roles.text(of)) for model, of in rows.items()}
    return {**facts, **found}


def _next_token(relations: Mapping[tuple[int, str, str], int]) -> set[tuple[int, str]]:
    """(process, model) of those whose targets are next tokens, mostly."""
    best: dict[tuple[int, str], tuple[int, str]] = {}
    for (process, model, relation), count in relations.items():
        best[process, model] = max(best.get((process, model), (0, "")), (count, relation))
    return {key for key, (_, relation) in best.items() if relation == roles.NEXT}


def _labels(of: Facts) -> dict[int | None, int]:
    """The label by the row of the embedding that it wraps to; a row with a meaning of its own is no label."""
    wrapped = {} if of.rows is None else {of.rows + label: label for label in IGNORE_INDICES}
    meant = {of.pad, *of.special, *of.stop, *of.ends}
    return {row: label for row, label in wrapped.items() if row not in meant or label != -1}


def _loss_tokens(head: Mapping[str, Any], read: roles.Read, of: Facts) -> Iterator[Row]:
    """Rows of `loss_tokens` of one training row."""
    line, labels = read.line, _labels(of)
    for i, token in enumerate(line.inputs):
        label = labels.get(line.targets[i]) if line.weights[i] else None
        yield {
            **head,
            "row": line.row,
            "position": i,
            "input_id": token,
            "target_id": line.targets[i] if line.weights[i] else None,
            "weight": line.weights[i],
            "mass": line.mass[i],
            "residual": line.residual[i],
            "role": read.role(i),
            "relation": read.relations[i],
            "ignore_index": label is not None if line.weights[i] and labels else None,
            "elsewhere": None,
            "label": label,
            "renumbered": None,
        }


class _Brief:
    """All steps, from `weights` and `rows`.

    Roles are worked out once a row, way of padding, and place where its weights begin.
    """

    def __init__(self, spool: Spool, facts: Mapping[str, Facts], next_token: set[tuple[int, str]]) -> None:
        self._spool, self._facts, self._next = spool, facts, next_token
        self._rows = {
            (whole(r["process"]), whole(r.get("row"))): _ids(r.get("ids")) for r in spool.rows("rows")
        }
        self._edges: dict[tuple[int, int], roles.Edges | None] = {}
        self._outlines: dict[Any, tuple[roles.Outline, dict[str, list[int]]]] = {}
        self._seen: dict[tuple[str, int, int], tuple[roles.Outline, Sequence[int], Facts]] = {}
        self._distinct: dict[int, set[tuple[int, ...]]] = defaultdict(set)
        self._drawn: Counter[int] = Counter()
        self._unknown: set[int] = set()  # processes with rows that were too many to be written

    def rows(self) -> Iterable[Sequence[int]]:
        """The token ids of each distinct row."""
        return self._rows.values()

    def drawn(self, processes: Sequence[int]) -> dict[str, Scalar]:
        """rows_seen and rows_drawn of `datasets`: distinct rows, whatever their padding, and all of them.

        NULL where none was seen.
        """
        if not (drawn := sum(self._drawn[process] for process in processes)):
            return {}
        seen = (
            None
            if self._unknown.intersection(processes)
            else len(set().union(*(self._distinct[process] for process in processes)))
        )
        return {"rows_seen": seen, "rows_drawn": drawn}

    def steps(self) -> dict[Key, _Step]:
        """The sums of each step that has its rows."""
        steps: dict[Key, _Step] = {}
        for forward in self._spool.rows("weights"):
            numbers = forward.get("rows")
            if isinstance(numbers, list) and numbers:
                self._add(steps.setdefault(_key(forward), _Step()), forward, numbers)
        return steps

    def seen(self) -> list[tuple[str, roles.Outline, Sequence[int], Facts]]:
        """(model, outline, tokens, tokenizer) of each distinct row."""
        return [(model, *each) for (model, _, _), each in self._seen.items()]

    def _add(self, step: _Step, forward: Mapping[str, Any], numbers: Sequence[Any]) -> None:
        process, model, _ = _key(forward)
        of = self._facts.get(model, Facts())
        keys = [(process, n if isinstance(n, int) else -1) for n in numbers]
        for key in keys:
            if key not in self._edges:
                self._edges[key] = roles.edges(self._rows.get(key, ()))
        pads = roles.padding((self._edges[key] for key in keys), of)
        last = forward.get("last") or [None] * len(keys)
        for key, runs, mass, after in zip(keys, forward["runs"], forward["mass"], last, strict=False):
            tokens = self._rows.get(key)
            self._drawn[process] += 1
            if not tokens:
                self._unknown.add(process)
                continue
            extra = (int(after),) if after is not None and (process, model) in self._next else ()
            outline, sums = self._outline(key, tokens, extra, of, pads, int(runs[0][0]) if runs else None)
            if (model, *key) not in self._seen:
                self._seen[model, *key] = (outline, tokens, of)
                self._distinct[process].add(_row_key(tokens, outline))
            for start, length, total in runs:
                for role, upto in sums.items():
                    count = upto[int(start + length)] - upto[int(start)]
                    step.weight[role] += abs(total) * count / length
            step.mass += sum(mass)
            edges = self._edges[key]
            step.pad += _mass_on_padding(mass, outline, len(tokens) - edges.tail) if edges else 0.0

    def _outline(
        self,
        key: tuple[int, int],
        tokens: Sequence[int],
        extra: tuple[int, ...],
        of: Facts,
        pads: frozenset[int],
        first: int | None,
    ) -> tuple[roles.Outline, dict[str, list[int]]]:
        mark = (key, extra, tokens[0] in pads, tokens[-1] in pads, extra and extra[0] in pads, first, id(of))
        if mark not in self._outlines:
            outline = roles.outline([*tokens, *extra], of, pads, first)
            n = len(tokens)
            taught = [outline.roles[min(i + 1, len(outline.roles) - 1)] for i in range(n)]
            sums = {role: [0] * (n + 1) for role in dict.fromkeys(taught)}
            for role, upto in sums.items():
                for i, each in enumerate(taught):
                    upto[i + 1] = upto[i] + (each == role)
            self._outlines[mark] = outline, sums
        return self._outlines[mark]


def _row_key(tokens: Sequence[int], outline: roles.Outline) -> tuple[int, ...]:
    """What makes a row distinct: its tokens without padding, and without the last.

    The program may have cut off the last one.
    """
    return tuple(tokens[outline.head : min(outline.tail, len(tokens) + 1) - 1])


def _mass_on_padding(mass: Sequence[float], outline: roles.Outline, tail: int) -> float:
    """The parts of a row's loss that teach padding.

    The watcher sums four parts: head, middle, the position before the tail, and tail.

    `tail` is where the row's last run of one id begins; its first token may be the end of the answer.
    """
    head, _, before, after = mass
    padding = head if outline.head else 0.0
    if outline.tail < len(outline.roles) and outline.tail <= tail + 1:
        padding += after + (before if outline.tail == tail else 0.0)
    return padding


def _caps(spool: Spool) -> dict[str, int]:
    """The longest row that the program said it makes, by model."""
    caps: dict[str, int] = {}
    for event in spool.table("events"):
        detail = event.get("detail")
        declared = (
            detail.get("declared") if event.get("kind") == "train" and isinstance(detail, Mapping) else None
        )
        cap = declared.get("max_seq_length") if isinstance(declared, Mapping) else None
        if isinstance(cap, int):
            caps[str(event.get("model"))] = cap
    return caps


def _key(row: Mapping[str, Any]) -> Key:
    return whole(row["process"]), str(row.get("model")), whole(row.get("step"))


def _ids(value: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in value) if isinstance(value, list) else ()
