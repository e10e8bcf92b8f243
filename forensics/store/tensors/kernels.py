"""Compiled loops for `measure` and `difference`, where llvmlite is installed (the extra `fast`); without it NumPy does the same.

They are written as LLVM's own text and compiled for this processor in 30 ms a type when first needed; LLVM makes vector instructions of
them. They release the interpreter's lock, so threads measure in parallel. numba would write them for us, and take over a second of
every command to load.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

WORTH = 64 << 20
"""Bytes measured in this process from which on the loops are worth loading: 0.1 s."""
OFF = "FORENSICS_NO_KERNELS"
Block = bytes | memoryview

_lock = threading.Lock()
_seen = 0


@dataclass(frozen=True, slots=True)
class Loops:
    """Compiled loops over blocks of one type. All numbers are float64, counts as well.

    `moments(block, n)` gives sum, sum of squares, smallest, largest, zeros, numbers that are not finite; `spread(block, n, mean)` the
    sum of squares around the mean; `apart(x, y, n)` gives |x|^2, |y|^2, x y, |y - x|^2, largest |y - x|, elements whose bits differ,
    numbers in either that are not finite. Where something is not finite, nothing else that they say holds.
    """

    moments: Callable[[Block, int], list[float]]
    spread: Callable[[Block, int, float], float]
    apart: Callable[[Block, Block, int], list[float]]


def loops(dtype: str, nbytes: int) -> Loops | None:
    """The loops for a tensor of `nbytes`, where there are some for its type and enough was measured to be worth loading them."""
    global _seen
    with _lock:
        _seen += nbytes
        return compiled(dtype) if _seen >= WORTH and dtype in _TYPES and not os.environ.get(OFF) else None


@cache
def compiled(dtype: str) -> Loops | None:
    """The loops for a type; None where llvmlite is not there, or does not know this processor."""
    try:
        address = _addresses(_text(_TYPES[dtype]))
    except (ImportError, RuntimeError, OSError):
        return None
    pointer, whole, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    moments = ctypes.CFUNCTYPE(None, pointer, whole, pointer)(address("moments"))
    spread = ctypes.CFUNCTYPE(number, pointer, whole, number)(address("spread"))
    apart = ctypes.CFUNCTYPE(None, pointer, pointer, whole, pointer)(address("apart"))

    def of_one(block: Block, n: int) -> list[float]:
        x, out = np.frombuffer(block, np.uint8), np.empty(6)
        moments(x.ctypes.data, n, out.ctypes.data)
        return list(out.tolist())

    def of_two(a: Block, b: Block, n: int) -> list[float]:
        x, y, out = np.frombuffer(a, np.uint8), np.frombuffer(b, np.uint8), np.empty(7)
        apart(x.ctypes.data, y.ctypes.data, n, out.ctypes.data)
        return list(out.tolist())

    return Loops(of_one, lambda block, n, mean: float(spread(np.frombuffer(block, np.uint8).ctypes.data, n, mean)), of_two)


# -- the program -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Type:
    """How an element of `bits` becomes a double. `odd` masks the bits that are all set in NaN and infinity, and in nothing else."""

    bits: int
    odd: int
    double: str


_TYPES = {
    "F32": _Type(32, 0x7F800000, "%V.f = bitcast i32 %V.b to float; %V = fpext float %V.f to double"),
    "F16": _Type(16, 0x7C00, "%V.h = bitcast i16 %V.b to half; %V = fpext half %V.h to double"),
    "BF16": _Type(
        16,
        0x7F80,
        "%V.w = zext i16 %V.b to i32; %V.s = shl i32 %V.w, 16; %V.f = bitcast i32 %V.s to float; %V = fpext float %V.f to double",
    ),
    "U32": _Type(32, 0, "%V = uitofp i32 %V.b to double"),
    "I32": _Type(32, 0, "%V = sitofp i32 %V.b to double"),
}


@dataclass(frozen=True, slots=True)
class _Fold:
    """What is carried from element to element: %V becomes %V.new by the element's %T."""

    kind: str
    start: str
    step: str


# Sums may be reordered, which vector registers need. NaN is counted by its bits, so that no comparison need care for it.
_SUM = _Fold("double", "0.0", "%V.new = fadd reassoc nsz double %V, %T")
_LOW = _Fold(
    "double", "0x7FF0000000000000", "%V.c = fcmp nnan nsz olt double %T, %V; %V.new = select nnan nsz i1 %V.c, double %T, double %V"
)
_HIGH = _Fold("double", "0xFFF0000000000000", _LOW.step.replace("olt", "ogt"))
_COUNT = _Fold("i64", "0", "%V.one = zext i1 %T to i64; %V.new = add i64 %V, %V.one")
_Folds = Mapping[str, tuple[_Fold, str]]
"""Name to how it is folded and what of."""


def _text(t: _Type) -> str:
    """The loops over one type, as LLVM's text."""
    return "\n".join([_moments(t), _spread(t), "declare double @llvm.fabs.f64(double)", _apart(t)])


def _moments(t: _Type) -> str:
    body = [*_load(t, "x", "a"), "%x2 = fmul double %x, %x", "%zero = fcmp oeq double %x, 0.0", *_odd(t, "x")]
    numbers = {"sum": (_SUM, "x"), "squares": (_SUM, "x2"), "low": (_LOW, "x"), "high": (_HIGH, "x")}
    counts = {"zeros": (_COUNT, "zero"), "odd": (_COUNT, "x.odd")}
    return _function("void @moments(ptr %a, i64 %n, ptr noalias %out)", body, {**numbers, **counts}, [*_store(numbers, counts), "ret void"])


def _spread(t: _Type) -> str:
    body = [*_load(t, "x", "a"), "%d = fsub double %x, %mean", "%d2 = fmul double %d, %d"]
    return _function("double @spread(ptr %a, i64 %n, double %mean)", body, {"squares": (_SUM, "d2")}, ["ret double %squares.new"])


def _apart(t: _Type) -> str:
    body = [*_load(t, "x", "a"), *_load(t, "y", "b"), *_odd(t, "x"), *_odd(t, "y"), "%either = or i1 %x.odd, %y.odd"]
    body += [f"%moved = icmp ne i{t.bits} %x.b, %y.b", "%d = fsub double %y, %x", "%far = call double @llvm.fabs.f64(double %d)"]
    body += [f"%{p}{q} = fmul double %{p}, %{q}" for p, q in ("xx", "yy", "xy", "dd")]
    numbers = {**{f"sum.{p}": (_SUM, p) for p in ("xx", "yy", "xy", "dd")}, "most": (_HIGH, "far")}
    counts = {"changed": (_COUNT, "moved"), "odd": (_COUNT, "either")}
    arguments = "ptr %a, ptr %b, i64 %n, ptr noalias %out"
    return _function(f"void @apart({arguments})", body, {**numbers, **counts}, [*_store(numbers, counts), "ret void"])


def _function(head: str, body: Iterable[str], folds: _Folds, end: Iterable[str]) -> str:
    """The body for each %i below %n, which is above 0; at the end what was carried is %NAME.new."""
    lines = [
        f"define {head} {{\nentry:\nbr label %loop\nloop:",
        "%i = phi i64 [0, %entry], [%next, %loop]",
        *(f"%{v} = phi {fold.kind} [{fold.start}, %entry], [%{v}.new, %loop]" for v, (fold, _) in folds.items()),
        *body,
        *(fold.step.replace("%V", f"%{v}").replace("%T", f"%{of}") for v, (fold, of) in folds.items()),
        "%next = add nuw nsw i64 %i, 1; %last = icmp eq i64 %next, %n; br i1 %last, label %end, label %loop",
        "end:",
        *end,
    ]
    return "\n".join(lines).replace("; ", "\n") + "\n}"


def _load(t: _Type, v: str, block: str) -> list[str]:
    """Element %i of a block: its bits as %v.b, its value as %v. Blocks of Python's bytes begin anywhere."""
    at = f"%{v}.at = getelementptr i{t.bits}, ptr %{block}, i64 %i"
    return [at, f"%{v}.b = load i{t.bits}, ptr %{v}.at, align 1", t.double.replace("%V", f"%{v}")]


def _odd(t: _Type, v: str) -> list[str]:
    """%v.odd: whether it is NaN or infinite, by its bits."""
    if not t.odd:
        return [f"%{v}.odd = icmp ne i{t.bits} %{v}.b, %{v}.b"]
    return [f"%{v}.m = and i{t.bits} %{v}.b, {t.odd}", f"%{v}.odd = icmp eq i{t.bits} %{v}.m, {t.odd}"]


def _store(numbers: Iterable[str], counts: Iterable[str]) -> list[str]:
    """What was carried into `out`, counts as doubles."""
    doubles = [f"%{v}.new" for v in numbers] + [f"%{v}.n" for v in counts]
    lines = [f"%{v}.n = sitofp i64 %{v}.new to double" for v in counts]
    for k, value in enumerate(doubles):
        lines += [f"%out.{k} = getelementptr double, ptr %out, i64 {k}", f"store double {value}, ptr %out.{k}"]
    return lines


# -- compiled --------------------------------------------------------------------------------------------------------------

_engines: list[Any] = []
"""What is compiled lives as long as its engine."""


def _addresses(text: str) -> Callable[[str], int]:
    """Compile for the processor at hand; where each function then lies."""
    from llvmlite import binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(text)
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.loop_interleaving = True
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _engines.append(engine)
    address: Callable[[str], int] = engine.get_function_address
    return address
