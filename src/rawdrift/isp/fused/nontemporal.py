"""Stores that leave the caches alone.

Before a common store to a view the processor reads what is there into its caches, though all of it
is overwritten: that takes several times as long as the stores themselves.
"""

from typing import Any

from llvmlite import ir
from numba import extending, types

intrinsic: Any = extending.intrinsic  # what it makes is called without the compiler's context
LINE = 16  # float32 in a line of the cache


@intrinsic
def store_line(context, out, i, source, j):
    """out[i : i + LINE] = source[j : j + LINE], where out[i] begins a line of the cache."""

    def generate(context, builder, signature, arguments):
        line = ir.VectorType(ir.FloatType(), LINE).as_pointer()
        pointers = []
        for array, index in ((0, 1), (2, 3)):
            kind = signature.args[array]
            data = context.make_array(kind)(context, builder, arguments[array]).data
            pointers.append(builder.bitcast(builder.gep(data, [arguments[index]]), line))
        values = builder.load(pointers[1])
        values.align = 4
        store = builder.store(values, pointers[0])
        store.align = 4 * LINE
        yes = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        store.set_metadata("nontemporal", yes)
        return context.get_dummy_value()

    return types.void(out, types.intp, source, types.intp), generate


@intrinsic
def fence(context):
    """What was stored is seen by other threads from here on."""

    def generate(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate
