"""A barrier for two threads that run the same kernel: spins, and lets go of the processor if the other is late."""

# ruff: noqa: ARG001 (Numba gives every code generator the same arguments)
# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import sys

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

I32, I64 = ir.IntType(32), ir.IntType(64)
SPINS = 20_000  # some 100 us: far longer than any step if both threads have a processor


@intrinsic
def _increment(typingctx, array):
    """array[0] += 1, atomically."""

    def codegen(context, builder, signature, args):
        pointer = context.make_array(signature.args[0])(context, builder, args[0]).data
        builder.atomic_rmw("add", pointer, ir.Constant(I64, 1), "seq_cst")
        return context.get_dummy_value()

    return types.void(array), codegen


@intrinsic
def _read(typingctx, array):
    """array[0], seen after all that the other threads wrote before they incremented it."""

    def codegen(context, builder, signature, args):
        pointer = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(array), codegen


@intrinsic
def _yield(typingctx):
    """Let another thread have the processor."""

    def codegen(context, builder, signature, args):
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        function = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(I32, []), name)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


@njit(nogil=True)
def wait(sync, target):
    """Arrive, and return when sync[0], the count of arrivals since it was last zero, has reached target."""
    _increment(sync)
    spins = 0
    while _read(sync) < target:
        spins += 1
        if spins > SPINS:
            _yield()
