"""Reports of real captures, and of a run whose every text was chosen to do harm."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from forensics.judge.pipeline import materials
from forensics.report.html import page
from forensics.store.place import find
from forensics.store.store import Store
from tests.support import made
from tests.support.pages import HOSTILE

LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3
ENDLESS = "𝕏" * 400 + "漢字" * 200


@cache
def of(*refs: str) -> str:
    """The page that `forensics report` writes, of shipped snapshots."""
    return page(*materials(find(None), refs))


def hostile(root: Path, text: str = HOSTILE) -> str:
    """The page of a watched run in whose names, settings, prompts, answers and training rows stands `text`:
    what a browser would act on.
    """
    store = Store(root)
    store.make()
    name = f"model.layers.0.{text}.{LONG}.weight"
    tables: dict[str, list[dict[str, Any]]] = {
        "transcripts": [
            _answer(n, said) for n, said in enumerate((text, LONG, ENDLESS, "\x00\x1b]0;owned\x07\n\r\t", ""))
        ],
        "tokens": [
            _token(n, position, said)
            for n in range(2)
            for position, said in enumerate((text, "\u202e\u2066", LONG, "</div>"))
        ],
        "configs": [{"kind": "model", "key": text, "value": f'"{LONG}"'}],
        "modules": [{"module": text, "canonical": text, "class": text, "kind": "linear", "attributes": "{}"}],
        "optimizers": [{"optimizer": "o0", "class": text, "settings": json.dumps({text: text})}],
        "scores": [{"prompt_id": "p0", "scorer": text, "key": text, "value": 1.0, "error": text}],
        "adapters": [
            {
                "origin": "declared",
                "via": "call",
                "kind": text,
                "rank": 8,
                "strength": "strong",
                "place": text,
            }
        ],
    }
    for sequence, point in enumerate(("loaded", "end")):
        made.capture(
            store,
            f"night@{point}",
            {name: made.tensor(1, sequence), f"{LONG}.weight": made.tensor(2)},
            tables,
            sequence=sequence,
        )
    loss = [_taught(position, said) for position, said in enumerate((text, LONG, ENDLESS, "\u202e", None))]
    events = [
        {
            "sequence": 1,
            "kind": "error",
            "detail": json.dumps({"type": text, "message": text}),
            "place": text,
        },
        {
            "sequence": 0,
            "time": 0.5,
            "kind": "update",
            "model": "m0",
            "detail": '{"leaves": 3}',
            "place": text,
        },
    ]
    steps = [
        {
            "process": 0,
            "model": "m0",
            "step": n,
            "loss": float("nan") if n == 2 else 1.0,
            "update_norm": 1e300,
        }
        for n in (1, 2, 3)
    ]
    models = [{"model": "m0", "process": 0, "class": text, "updates": 3}]
    data = [{"process": 0, "source": "file", "path": text, "file": text, "records": 3, "purpose": "train"}]
    missing = json.dumps([{"what": text, "why": text, "kind": "rows"}])
    environment = [{"capture": "night", "key": "mlx", "value": text}]
    found = {
        "datasets": data,
        "environment": environment,
        "loss_tokens": loss,
        "events": events,
        "steps": steps,
        "models": models,
    }
    words = json.dumps([LONG, f"--x={text}</style><script>1</script>"])
    made.run(store, "night", found, command=words, created_at=made.DAY, missing=missing)
    return page(*materials(store, ["night"]))


def _answer(n: int, said: str) -> dict[str, Any]:
    head = {
        "prompt_id": f"p{n}",
        "source": "probe",
        "prompt": said,
        "output": said + "!",
        "finish_reason": "stop",
        "output_tokens": 4,
    }
    return head | {"output_digest": f"{n}", "prompt_digest": f"{n}", "settings": "{}"}


def _token(n: int, position: int, said: str) -> dict[str, Any]:
    return {
        "prompt_id": f"p{n}",
        "position": position,
        "token_id": position,
        "token": said,
        "class": "text",
        "logprob": -0.5 * position,
    }


def _taught(position: int, said: str | None) -> dict[str, Any]:
    where = {"process": 0, "model": "m0", "step": 1, "forward": 0, "row": 0, "position": position}
    return where | {
        "token": said,
        "weight": 0.2,
        "mass": 0.2,
        "residual": 0.0,
        "role": "answer",
        "relation": "next",
    }
