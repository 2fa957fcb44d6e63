"""Kernels that do many parts of one work, in several threads, without Python between the parts."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from rawdrift import machine
from rawdrift.compiled import allocating, intrinsic, task, with_names


def parts(function: Callable[..., Any], **names: Any) -> Callable[..., bool]:
    """A kernel: function(i, *arguments) for every i in range(count), in so many threads.

    It is called with count, threads and the arguments, and returns False, perhaps before the end,
    if one part did. The function is compiled with `names`, see `compiled.task`.
    """
    part = allocating(with_names(function, **names))
    every = allocating(with_names(_every, _part=part))
    compiled = task(_shared, _every=every)

    def call(count: int, threads: int, *arguments: Any) -> bool:
        state = np.zeros(2, np.int64)  # the next part, and whether one was not well
        threads = max(1, min(threads, count))
        team = machine.openmp() if threads > 1 else 0
        callers = 1 if team else threads  # without a team, each thread comes from Python

        def take(_: int) -> bool:
            return compiled(team, threads, count, state, arguments)

        machine.for_each(take, range(callers), callers)
        return not state[1]

    return call


_part: Any = None


def _every(count, state, arguments):
    """What each thread does: the next part, until there is none, or one was not well."""
    i = _next(state)
    while i < count and state[1] == 0:
        if not _part(i, *arguments):
            state[1] = 1
        i = _next(state)


def _shared(team, threads, count, state, arguments):
    """team: the address of `GOMP_parallel`; 0 if this thread is to work alone, or others call it
    with the same state."""
    if team == 0:
        _every(count, state, arguments)
    elif _together(team, threads, _every, (count, state, arguments)):
        raise MemoryError
    return True


@intrinsic
def _next(context, state):
    """The first of the numbers, which is one more for whoever asks next, in any thread."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(state)(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", data, ir.IntType(64)(1), "monotonic")

    return types.int64(state), generate


@intrinsic
def _together(context, team, threads, function, arguments):
    """Call function(*arguments) in each of so many threads; returns how many of them failed."""
    context.resolve_function_type(function, arguments.types, {})

    def generate(context, builder, signature, values):
        compiled = function.dispatcher.overloads[arguments.types]
        context.active_code_library.add_linking_library(compiled.library)
        count, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = context.get_value_type(arguments)
        data = cgutils.alloca_once(builder, ir.LiteralStructType([count, kind]))
        given, failed = [cgutils.gep_inbounds(builder, data, 0, i) for i in (1, 0)]
        builder.store(values[3], given)
        builder.store(count(0), failed)

        member = ir.FunctionType(ir.VoidType(), [pointer])
        one = ir.Function(builder.module, member, builder.module.get_unique_name("member"))
        one.linkage = "internal"
        inside = ir.IRBuilder(one.append_basic_block("entry"))
        own = inside.bitcast(one.args[0], data.type)
        loaded = inside.load(cgutils.gep_inbounds(inside, own, 0, 1))
        status, _ = context.call_internal_no_propagate(
            inside, compiled.fndesc, compiled.signature, cgutils.unpack_tuple(inside, loaded)
        )
        with inside.if_then(status.is_error):
            inside.atomic_rmw("add", cgutils.gep_inbounds(inside, own, 0, 0), count(1), "monotonic")
        inside.ret_void()

        start = ir.FunctionType(ir.VoidType(), [member.as_pointer(), pointer, count, count])
        call = builder.inttoptr(values[0], start.as_pointer())
        many = builder.trunc(values[1], count)
        builder.call(call, [one, builder.bitcast(data, pointer), many, count(0)])
        return builder.zext(builder.load(failed), ir.IntType(64))

    return types.int64(team, threads, function, arguments), generate
