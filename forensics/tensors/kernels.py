"""Compiled loops for `measure` and `difference`, where llvmlite is installed (the extra `fast`); without it NumPy does the same.

They are written as LLVM's own text, in vectors, and compiled for this processor in 50 ms a type when first needed. They release the
interpreter's lock, so threads measure in parallel. numba would write them for us, and take over a second of every command to load.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
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
    """Compiled loops over the first `n` elements of blocks of one type; `n` is a multiple of LANES above 0. All results are float64.

    `moments(block, n)` gives sum, sum of squares, smallest, largest, zeros; `spread(block, n, mean)` the sum of squares around the mean;
    `apart(x, y, n)` gives |y - x|^2, largest |y - x|, elements whose bits differ, |x|^2, |y|^2, x y.
    Where an element is not finite, neither is the sum of squares (|y - x|^2 of two), and nothing else that they say holds.
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


def expect(nbytes: int) -> None:
    """So much will be measured: where it is worth it, the loops are there from the first tensor on."""
    global _seen
    with _lock:
        _seen = max(_seen, WORTH) if nbytes >= WORTH else _seen


@cache
def compiled(dtype: str) -> Loops | None:
    """The loops for a type; None where llvmlite is not there, or does not know this processor."""
    try:
        address = _addresses(_TYPES[dtype])
    except (ImportError, RuntimeError, OSError):
        return None
    pointer, whole, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    moments = ctypes.CFUNCTYPE(None, pointer, whole, pointer)(address("moments"))
    spread = ctypes.CFUNCTYPE(number, pointer, whole, number)(address("spread"))
    apart = ctypes.CFUNCTYPE(None, pointer, pointer, whole, pointer)(address("apart"))

    one, two = ctypes.c_double * 5, ctypes.c_double * 6

    def of_one(block: Block, n: int) -> list[float]:
        out = one()
        moments(_address(block), n, out)
        return list(out)

    def of_two(a: Block, b: Block, n: int) -> list[float]:
        out = two()
        apart(_address(a), _address(b), n, out)
        return list(out)

    def around(block: Block, n: int, mean: float) -> float:
        return float(spread(_address(block), n, mean))

    return Loops(of_one, around, of_two)


def _address(block: Block) -> bytes | int:
    """What ctypes takes for a pointer to a block that its caller holds: bytes as they are, in a third of the time."""
    return block if isinstance(block, bytes) else int(np.frombuffer(block, np.uint8).ctypes.data)


# -- the program -----------------------------------------------------------------------------------------------------------

LANES = 16
"""Elements that are looked at together where vectors have 512 bits, and half as many where two blocks are looked at.

Elsewhere it is half of both: what is carried would not fit the registers."""


@dataclass(frozen=True, slots=True)
class _Type:
    """An element of `bits`. `value` makes %V, its double, of its bits %V.b, and %V.f on the way where `small`: where it is a float exactly.

    `unsigned` are the bits that say whether it is 0: for most without the sign.
    """

    bits: int
    value: str
    small: bool = True
    unsigned: str = "add I %x.b, %x.b"


_TYPES = {
    "F32": _Type(32, "%V.f = bitcast I %V.b to [float]; %V = fpext [float] %V.f to D"),
    "F16": _Type(16, "%V.h = bitcast I %V.b to [half]; %V.f = fpext [half] %V.h to [float]; %V = fpext [float] %V.f to D"),
    "BF16": _Type(
        16,
        "%V.w = zext I %V.b to [i32]; %V.s = shl [i32] %V.w, {i32 16}; %V.f = bitcast [i32] %V.s to [float]; %V = fpext [float] %V.f to D",
    ),
    "U32": _Type(32, "%V = uitofp I %V.b to D", small=False, unsigned="or I %x.b, %x.b"),
    "I32": _Type(32, "%V = sitofp I %V.b to D", small=False, unsigned="or I %x.b, %x.b"),
}


@dataclass(frozen=True, slots=True)
class _Fold:
    """What is carried from step to step: %V becomes %V.new by %T; `end` makes one double %V.out of its lanes."""

    kind: str
    start: str
    step: str
    end: str


_SUM = _Fold("D", "{double 0.0}", "%V.new = fadd D %V, %T", "%V.out = call reassoc double @sum(double -0.0, D %V.new)")
_SQUARES = replace(_SUM, step="%V.new = call D @fma(D %T, D %T, D %V)")
_PRODUCTS = replace(_SUM, step="%V.new = call D @fma(D %x, D %y, D %V)")


def _count(of: str) -> _Fold:
    """How often %T is true, in lanes of a whole number that is wide enough for a block."""
    end = f"%V.wide = zext [{of}] %V.new to [i64]; %V.all = call i64 @count([i64] %V.wide); %V.out = uitofp i64 %V.all to double"
    return _Fold(f"[{of}]", "zeroinitializer", f"%V.one = sext [i1] %T to [{of}]; %V.new = sub [{of}] %V, %V.one", end)


def _extreme(of: str, *, least: bool) -> _Fold:
    """The smallest or the largest of lanes of float or double. A comparison with NaN is false, so NaN is neither."""
    name, before, start = ("low", "olt", "7FF") if least else ("high", "ogt", "FFF")
    step = f"%V.c = fcmp {before} [{of}] %T, %V; %V.new = select [i1] %V.c, [{of}] %T, [{of}] %V"
    whole = "fpext float %V.one to double" if of == "float" else "fadd double %V.one, -0.0"
    return _Fold(f"[{of}]", f"{{{of} 0x{start}0000000000000}}", step, f"%V.one = call {of} @{name}.{of}([{of}] %V.new); %V.out = {whole}")


_Folds = Mapping[str, tuple[_Fold, str]]
"""Name to how it is folded and what of."""


def _text(t: _Type, lanes: int) -> str:
    """The loops over one type, as LLVM's text."""
    declared = [_expanded(_DECLARED, t, many) for many in (lanes, lanes // 2)]
    return "\n".join([*declared, _moments(t, lanes), _spread(t, lanes), _apart(t, lanes // 2)])


_DECLARED = """declare D @fma(D, D, D); declare D @abs(D); declare double @sum(double, D); declare i64 @count([i64])
declare float @low.float([float]); declare float @high.float([float]); declare double @low.double(D); declare double @high.double(D)"""
_INTRINSICS = {
    "fma": "fma.vNf64",
    "abs": "fabs.vNf64",
    "sum": "vector.reduce.fadd.vNf64",
    "count": "vector.reduce.add.vNi64",
    "low.float": "vector.reduce.fmin.vNf32",
    "low.double": "vector.reduce.fmin.vNf64",
    "high.float": "vector.reduce.fmax.vNf32",
    "high.double": "vector.reduce.fmax.vNf64",
}


def _expanded(text: str, t: _Type, lanes: int) -> str:
    """Short for long: [T] is a vector of T, {T X} one whose elements all are X, D and I are those of doubles and of an element's bits."""
    text = re.sub(
        r"@([a-z.]+)(?=\()",
        lambda found: f"@llvm.{_INTRINSICS[found[1]].replace('N', str(lanes))}" if found[1] in _INTRINSICS else found[0],
        text,
    )
    text = re.sub(r"\bI\b", f"[i{t.bits}]", re.sub(r"\bD\b", "[double]", text))
    text = re.sub(r"{(\w+ \S+)}", lambda found: f"<{', '.join([found[1]] * lanes)}>", text)
    return re.sub(r"\[(\w+)\]", rf"<{lanes} x \1>", text).replace("; ", "\n")


def _moments(t: _Type, lanes: int) -> str:
    body = [*_load(t, "x", "a"), f"%bare = {t.unsigned}", "%zero = icmp eq I %bare, zeroinitializer"]
    size, of = ("float", "x.f") if t.small else ("double", "x")
    least, most = (_extreme(size, least=yes) for yes in (True, False))
    folds = {
        "total": (_SUM, "x"),
        "squares": (_SQUARES, "x"),
        "least": (least, of),
        "most": (most, of),
        "zeros": (_count(f"i{t.bits}"), "zero"),
    }
    return _function(t, lanes, "void @moments(ptr %a, i64 %n, ptr noalias %out)", body, folds, [*_store(folds), "ret void"])


def _spread(t: _Type, lanes: int) -> str:
    body = [
        *_load(t, "x", "a"),
        "%mean.0 = insertelement D poison, double %mean, i64 0; %means = shufflevector D %mean.0, D poison, [i32] zeroinitializer",
        "%d = fsub D %x, %means",
    ]
    head, folds = "double @spread(ptr %a, i64 %n, double %mean)", {"squares": (_SQUARES, "d")}
    return _function(t, lanes, head, body, folds, ["ret double %squares.out"])


def _apart(t: _Type, lanes: int) -> str:
    body = [*_load(t, "x", "a"), *_load(t, "y", "b"), "%moved = icmp ne I %x.b, %y.b"]
    body += ["%d = fsub D %y, %x", "%far = call D @abs(D %d)"]
    folds = {"apart": (_SQUARES, "d"), "most": (_extreme("double", least=False), "far"), "changed": (_count("i32"), "moved")}
    folds |= {"xx": (_SQUARES, "x"), "yy": (_SQUARES, "y"), "xy": (_PRODUCTS, "")}
    head = "void @apart(ptr %a, ptr %b, i64 %n, ptr noalias %out)"
    return _function(t, lanes, head, body, folds, [*_store(folds), "ret void"])


def _function(t: _Type, lanes: int, head: str, body: Iterable[str], folds: _Folds, end: Iterable[str]) -> str:
    """The body for each %i below %n in steps of `lanes`; at the end what was carried is %NAME.out."""
    lines = [
        f"define {head} {{\nentry:\nbr label %loop\nloop:",
        "%i = phi i64 [ 0, %entry ], [ %next, %loop ]",
        *(f"%{v} = phi {fold.kind} [ {fold.start}, %entry ], [ %{v}.new, %loop ]" for v, (fold, _) in folds.items()),
        *body,
        *(fold.step.replace("%V", f"%{v}").replace("%T", f"%{of}") for v, (fold, of) in folds.items()),
        f"%next = add nuw nsw i64 %i, {lanes}; %more = icmp ult i64 %next, %n; br i1 %more, label %loop, label %end",
        "end:",
        *(fold.end.replace("%V", f"%{v}") for v, (fold, _) in folds.items()),
        *end,
    ]
    return _expanded("\n".join(lines) + "\n}", t, lanes)


def _load(t: _Type, v: str, block: str) -> list[str]:
    """The elements from %i on of a block: their bits as %v.b, their values as %v. Blocks of Python's bytes begin anywhere."""
    at = f"%{v}.at = getelementptr i{t.bits}, ptr %{block}, i64 %i"
    return [at, f"%{v}.b = load I, ptr %{v}.at, align 1", t.value.replace("%V", f"%{v}")]


def _store(folds: Iterable[str]) -> list[str]:
    """What was carried into `out`, in order."""
    places = ((f"%out.{k} = getelementptr double, ptr %out, i64 {k}", f"store double %{v}.out, ptr %out.{k}") for k, v in enumerate(folds))
    return [line for pair in places for line in pair]


# -- compiled --------------------------------------------------------------------------------------------------------------

_engines: list[Any] = []
"""What is compiled lives as long as its engine."""


def _addresses(t: _Type) -> Callable[[str], int]:
    """Compile the loops over a type for the processor at hand; where each then lies."""
    from llvmlite import binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    module = llvm.parse_assembly(_text(t, LANES if features.get("avx512f") else LANES // 2))
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=3)
    tuning = llvm.create_pipeline_tuning_options(speed_level=1)
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _engines.append(engine)
    address: Callable[[str], int] = engine.get_function_address
    return address
