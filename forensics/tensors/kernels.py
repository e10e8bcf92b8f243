"""Compiled loops for `measure` and `difference`, where llvmlite is installed (the extra `fast`).

Without it NumPy does the same.

They are written as LLVM's own text (`loops.ll.jinja`) and compiled for this processor in 50 ms a type when
first needed. They release the interpreter's lock, so threads measure in parallel. numba would write them for
us, and take over a second of every command to load.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

WORTH = 64 << 20
"""Bytes measured in this process from which on the loops are worth loading: 0.1 s."""
OFF = "FORENSICS_NO_KERNELS"
_TEMPLATE = Path(__file__).with_name("loops.ll.jinja")
Block = bytes | memoryview

_lock = threading.Lock()
_seen = 0


@dataclass(frozen=True, slots=True)
class Loops:
    """Compiled loops over the first `n` elements of blocks of one type; `n` is a multiple of LANES above 0.

    All results are float64.

    `moments(block, n)` gives sum, sum of squares, smallest, largest, zeros; `spread(block, n, mean)` the sum
    of squares around the mean; `apart(x, y, n)` gives |y - x|^2, largest |y - x|, elements whose bits differ,
    |x|^2, |y|^2, x y. Where an element is not finite, neither is the sum of squares (|y - x|^2 of two), and
    nothing else that they say holds.
    """

    moments: Callable[[Block, int], list[float]]
    spread: Callable[[Block, int, float], float]
    differences: Callable[[Block, Block, int], list[float]]


def loops(dtype: str, nbytes: int) -> Loops | None:
    """The loops for a tensor of `nbytes`.

    None where its type has none, or too little was measured for loading them to pay.
    """
    global _seen
    with _lock:
        _seen += nbytes
        return compiled(dtype) if _seen >= WORTH and dtype in _BITS and not os.environ.get(OFF) else None


def expect(nbytes: int) -> None:
    """Note how many bytes will be measured: if they are worth it, loops are used from the first tensor on."""
    global _seen
    with _lock:
        _seen = max(_seen, WORTH) if nbytes >= WORTH else _seen


@cache
def compiled(dtype: str) -> Loops | None:
    """The loops for a type; None where llvmlite is not there, or does not know this processor."""
    try:
        address = _addresses(dtype)
    except (ImportError, RuntimeError, OSError):
        return None
    pointer, whole, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    moments = ctypes.CFUNCTYPE(None, pointer, whole, pointer)(address("moments"))
    spread = ctypes.CFUNCTYPE(number, pointer, whole, number)(address("spread"))
    difference = ctypes.CFUNCTYPE(None, pointer, pointer, whole, pointer)(address("apart"))

    one, two = ctypes.c_double * 5, ctypes.c_double * 6

    def of_one(block: Block, n: int) -> list[float]:
        out = one()
        moments(_address(block), n, out)
        return list(out)

    def of_two(a: Block, b: Block, n: int) -> list[float]:
        out = two()
        difference(_address(a), _address(b), n, out)
        return list(out)

    def around(block: Block, n: int, mean: float) -> float:
        return float(spread(_address(block), n, mean))

    return Loops(of_one, around, of_two)


def _address(block: Block) -> bytes | int:
    """A pointer for ctypes to a block that its caller holds.

    Bytes are passed as they are, in a third of the time.
    """
    return block if isinstance(block, bytes) else int(np.frombuffer(block, np.uint8).ctypes.data)


# -- compiled ------------------------------------------------------------------------------------------------

LANES = 16
"""Elements that are looked at together where vectors have 512 bits, and half as many where two blocks are
looked at.

Elsewhere it is half of both: what is carried would not fit the registers."""
_BITS = {"F32": 32, "F16": 16, "BF16": 16, "U32": 32, "I32": 32}
_FLOATS = ("F32", "F16", "BF16")


def _text(dtype: str, lanes: int) -> str:
    """The loops over one type, as LLVM's text made from `loops.ll.jinja`.

    `lanes` elements are looked at together.
    """
    from jinja2 import Template  # 40 ms, which only loops that are compiled are to pay

    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    given = {"type": dtype, "bits": _BITS[dtype], "small": dtype in _FLOATS}
    parts = ((lanes, ("moments", "spread")), (lanes // 2, ("apart",)))
    return "\n".join(template.render(**given, n=n, functions=functions) for n, functions in parts)


_engines: list[Any] = []
"""What is compiled lives as long as its engine."""


def _addresses(dtype: str) -> Callable[[str], int]:
    """Compile the loops over a type for the processor at hand; where each then lies."""
    from llvmlite import binding as llvm  # of the extra `fast`

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    module = llvm.parse_assembly(_text(dtype, LANES if features.get("avx512f") else LANES // 2))
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=3
    )
    tuning = llvm.create_pipeline_tuning_options(speed_level=1)
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _engines.append(engine)
    address: Callable[[str], int] = engine.get_function_address
    return address
