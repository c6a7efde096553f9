"""What kernels need of LLVM beside numba: functions written once per module, loops, vectors, the width of the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba.core import types
from numba.np import arrayobj

BYTE, SHORT, INT, LONG = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
REAL = ir.FloatType()  # 32 bits; only training by gradients has such arrays


def has_wide_registers() -> bool:
    """Whether this machine has 32 vector registers of 512 bits with 8 and 16-bit lanes (AVX-512BW)."""
    return _has("avx512bw")


def has_byte_compress() -> bool:
    """Whether this machine moves chosen bytes of a vector together in one instruction (AVX-512VBMI2)."""
    return _has("avx512vbmi2")


def _has(feature: str) -> bool:
    try:
        return bool(llvmlite.binding.get_host_cpu_features().get(feature))
    except RuntimeError:  # LLVM does not know this system's processors
        return False


def function(module: Any, name: str, result: Any, arguments: Sequence[Any], write: Callable[..., None]) -> Any:
    """Return a function of a module; `write` (builder, arguments) is called if the module does not have it yet.

    Equal functions of several modules are merged when numba links them, and none is inlined: one copy of the machine
    code, compiled once, however many kernels call it.
    """
    if name in module.globals:
        return module.globals[name]
    made = ir.Function(module, ir.FunctionType(result, list(arguments)), name)
    made.linkage = "linkonce_odr"
    made.attributes.add("noinline")
    made.attributes.add("nounwind")
    builder = ir.IRBuilder(made.append_basic_block("entry"))
    write(builder, *made.args)
    return made


def call(name: str, result: Any, kinds: Sequence[Any], arrays: Sequence[Any], write: Callable[..., None]) -> Any:
    """Return what numba needs of a function written in instructions: its types, and how to call it.

    Parameters
    ----------
    name : str
    result : numba type
        int64 or void.
    kinds : sequence of numba types
        Of the arguments: integers, or the element of an array, which may be a float of 32 bits.
    arrays : sequence of numba types
        What the caller gives. None is returned, and numba refuses the call, unless every array is one-dimensional, contiguous
        and of its kind.
    write : callable
        See `function`; an array comes as the pointer to its first element.
    """
    given = [one if isinstance(one, types.Array) else kind for one, kind in zip(arrays, kinds, strict=True)]
    for one, kind in zip(given, kinds, strict=True):
        if isinstance(one, types.Array) and (one.dtype, one.ndim, one.layout) != (kind, 1, "C"):
            return None
    signature = result(*given)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values, pointers = [], []
        for one, kind, value in zip(signature.args, kinds, args, strict=True):
            is_array = isinstance(one, types.Array)
            values.append(arrayobj.make_array(one)(context, builder, value).data if is_array else value)
            element = REAL if isinstance(kind, types.Float) else ir.IntType(kind.bitwidth)
            pointers.append(element.as_pointer() if is_array else element)
        kind = ir.VoidType() if result == types.void else ir.IntType(result.bitwidth)
        found = builder.call(function(builder.module, name, kind, pointers, write), values)
        return context.get_dummy_value() if result == types.void else found

    return signature, code


def filled(kind: Any, value: int) -> Any:
    """Return a vector of one number."""
    return ir.Constant(kind, kind.count * [value])


def splat(builder: Any, value: Any, kind: Any) -> Any:
    """Return a vector of one value."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, INT(0))
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), filled(ir.VectorType(INT, kind.count), 0))


def load(builder: Any, array: Any, index: Any, kind: Any) -> Any:
    """Read a vector from an array, which need not be aligned."""
    loaded = builder.load(builder.bitcast(builder.gep(array, [index]), kind.as_pointer()))
    loaded.align = bytes_of(kind.element)
    return loaded


def store(builder: Any, array: Any, index: Any, value: Any) -> None:
    """Write a vector to an array, which need not be aligned."""
    where = builder.bitcast(builder.gep(array, [index]), value.type.as_pointer())
    builder.store(value, where).align = bytes_of(value.type.element)


def bytes_of(element: Any) -> int:
    """Return how many bytes a number takes."""
    return 4 if element == REAL else element.width // 8


@contextmanager
def loop(builder: Any, start: Any, stop: Any, step: int, *carried: Any) -> Iterator[tuple[Any, list[Any], list[Any]]]:
    """Write ``for index in range(start, stop, step)`` around values that stay in registers.

    Yields the index, the values at the start of a pass, and a list to be filled with those at its end; below the loop
    that list holds the values left by the last pass (those given, if there was none), and behind them the index.
    """
    before, head = builder.block, builder.append_basic_block("loop")
    body, end = builder.append_basic_block("body"), builder.append_basic_block("end")
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(LONG)
    index.add_incoming(start, before)
    values = [builder.phi(value.type) for value in carried]
    for phi, value in zip(values, carried, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", index, stop), body, end)
    builder.position_at_end(body)
    new: list[Any] = []
    yield index, values, new
    assert len(new) == len(values)
    index.add_incoming(builder.add(index, LONG(step)), builder.block)
    for phi, value in zip(values, new, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(end)
    new[:] = [*values, index]
