"""What kernels need of LLVM beside numba: functions written once per module, loops, the width of the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba.core import types
from numba.np import arrayobj

BYTE, SHORT, INT, LONG = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)


def has_wide_registers() -> bool:
    """Whether this machine has 32 vector registers of 512 bits with 8 and 16-bit lanes (AVX-512BW)."""
    try:
        return bool(llvmlite.binding.get_host_cpu_features().get("avx512bw"))
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


def data_of(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return the pointer to an array's first element, and any other value as it is."""
    return arrayobj.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value


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
