"""How kernels are compiled: parts in several ways, and whole tasks, which are kept on disk."""

import gc
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import ir
from numba import _dynfunc, extending, njit, types  # type: ignore[attr-defined]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.registry import cpu_target
from numba.core.runtime.nrt import rtsys
from numba.core.typed_passes import NativeLowering

from rawdrift import progress

if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise ImportError("kernels need Numba's compiler; unset NUMBA_DISABLE_JIT")

# Parts

# Only tasks are called from Python: everything else is compiled without wrappers.
_PART: dict[str, Any] = {
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


# On processors with AVX-512, LLVM uses half of each register, since the first of them slowed their
# clock for whole ones. These kernels gain by whole ones.
_WIDE = '"prefer-vector-width"="512"'


class _Library(JITCodeLibrary):
    """The code of a task."""

    def add_ir_module(self, ir_module):
        for function in ir_module.functions:
            set.add(function.attributes, _WIDE)  # llvmlite knows no attributes with values
        super().add_ir_module(ir_module)


class _Linked(_Library):
    """The code of a part and of all that it calls, to be linked into other libraries."""

    def finalize(self):
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    _name = "native_lowering_of_a_part"

    def run_pass(self, state):
        state.library = _Linked(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        result = state["cr"]
        takes_rows = any(isinstance(kind, types.Array) for kind in state.args)
        if takes_rows and not state.flags.forceinline:
            # Its loops become SIMD by themselves, but seldom amid those of other parts.
            code = state.library.get_function(result.fndesc.llvm_func_name)
            code.add_function_attribute("noinline")
        # What its callers find it by. Python couldn't call it.
        name, module = state.func_id.func_name, result.fndesc.lookup_module()
        key = _dynfunc.make_function(module, name, name, 0, result.env, (state.library,))
        state.targetctx.insert_user_function(key, result.fndesc, [state.library])
        state["cr"] = result._replace(cfunc=key)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _TaskLowering(NativeLowering):
    _name = "native_lowering_of_a_task"

    def run_pass(self, state):
        state.library = _Library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super().run_pass(state)


class _TaskCompiler(CompilerBase):
    """Compiles a task as Numba does, for whole registers."""

    def define_pipelines(self):
        return [_pipeline("task", self.state, _TaskLowering)]


class _PartCompiler(CompilerBase):
    """Compiles a part without optimizing it before it is linked into a task.

    By default Numba optimizes every function together with all that it calls, makes machine code
    of it, and then does the same again with its callers: the first forward and backward pass of
    `bi,s,ga` then take 34 s instead of 19 (November 2026, one shared core).
    """

    def define_pipelines(self):
        return [_pipeline("part", self.state, _Lowering)]


def _pipeline(name: str, state: Any, lowering: Any) -> PassManager:
    """The passes of Numba, with this one in place of its lowering."""
    passes = PassManager(name)
    for step, text in DefaultPassBuilder.define_nopython_pipeline(state).passes:
        passes.add_pass(lowering if step is NativeLowering else step, text)
    passes.finalize()
    return passes


_KNOWN = numba.version_info[:2] == (0, 68)  # reach into Numba only where that has been tested
_TASK: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
if _KNOWN:
    _PART["pipeline_class"] = _PartCompiler
    _TASK["pipeline_class"] = _TaskCompiler
# Nor do parts count references to their arrays, which would cost more than a row of a filter.
_BORROWING: dict[str, Any] = {"_nrt": False, **_PART}


def _part(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a part once for all integers, not again for each constant it is called with."""

    def compiled(function: Callable[..., Any]) -> Any:
        part: Any = njit(**options)(function)
        template = part.get_call_template
        part.get_call_template = lambda args, kws: template(
            [types.unliteral(kind) for kind in args],
            {name: types.unliteral(kind) for name, kind in kws.items()},
        )
        return part

    return compiled


allocating = _part(**_PART)
"""A part that makes arrays, or calls such a part."""

exact = _part(**_BORROWING)
"""A part that rounds every operation, as the steps do."""

fast = _part(fastmath={"contract"}, **_BORROWING)
"""A part that may contract a * b + c to one fused operation."""

inlined = njit(fastmath={"contract"}, forceinline=True, **_BORROWING)
"""The same, compiled anew wherever it is called, with the constants it is called with."""

summing = _part(fastmath={"contract", "reassoc", "nsz"}, **_BORROWING)
"""A part that may also add up in another order: one sum in each lane of SIMD."""

# Tasks


def with_names(function: Callable[..., Any], **names: Any) -> FunctionType:
    """A copy of a function in which these names have these values.

    What it is made of is part of its own name: Numba keeps what it compiled for as long as the file
    of a task is unchanged, and machine code that is kept is linked by names.
    """
    assert isinstance(function, FunctionType)
    copy = FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
    copy.__qualname__ = f"{function.__name__}-{key(copy)}"
    return copy


def task(function: Callable[..., Any], **names: Any) -> Callable[..., bool]:
    """A kernel that Python calls: a copy of the function in which `names` have these values.

    It runs without the GIL. Loops over rows belong into a part: a task counts references to every
    row that it takes, which costs more than a small row. The compiled code is kept beside this
    file, or for the user where that can't be written, or not at all.
    """
    copy = with_names(function, **names)
    try:
        compiled: Any = njit(cache=True, **_TASK)(copy)
        if _KNOWN:
            _load_alone(compiled._cache)
    except RuntimeError:  # no folder to write to
        compiled = njit(**_TASK)(copy)
    loaded = False

    def call(*arguments: Any) -> bool:
        nonlocal loaded
        if loaded:
            return bool(compiled(*arguments))
        with _uncollected(), progress.step("compiling kernels, once on each machine"):
            try:
                sane: bool = compiled(*arguments)
            except OSError:  # it is compiled, but there is no room to keep it
                sane = compiled(*arguments)
        loaded = True
        return sane

    return call


def _load_alone(cache: Any) -> None:
    """Let a cache load what it keeps without importing what only compiling needs, such as SciPy:
    that would be two thirds of the time of loading."""

    def load_overload(signature: Any, context: Any) -> Any:
        rtsys.initialize(context)  # the memory of arrays
        try:
            with cache._guard_against_spurious_io_errors():
                return cache._load_overload(signature, context)
        except Exception:  # a file that was cut short, in whatever way: compile again
            with suppress(OSError):
                cache.flush()
            return None

    cache.load_overload = load_overload


def key(function: Any) -> str:
    """A hash of everything that is compiled into a kernel: it changes whenever that does.

    That is the function's code and all that the global names in it stand for, wherever they come
    from: constants by their values, other functions in the same way.
    """
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    digest.update(Path(__file__).read_bytes())
    seen: set[Any] = set()

    def add(value: Any) -> None:
        options = getattr(value, "targetoptions", {})
        value = getattr(value, "py_func", None) or getattr(value, "_defn", None) or value
        if isinstance(value, FunctionType):
            if value in seen:
                return
            seen.add(value)
            for name in sorted(options):
                add((name, options[name]))
            add_code(value.__code__, value.__globals__)
            for cell in value.__closure__ or ():
                add(cell.cell_contents)
        elif isinstance(value, tuple):
            for part in (type(value).__name__, len(value), *value):
                add(part)
        elif isinstance(value, set | frozenset):
            add(("set", *sorted(value)))
        elif isinstance(value, type):
            add((value.__name__, *getattr(value, "_fields", ())))
        elif isinstance(value, np.ndarray | np.generic):
            digest.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
        elif isinstance(value, str | int | float | None):
            digest.update(f"{type(value).__name__} {value!r};".encode())
        else:  # what Python and NumPy bring along
            digest.update(getattr(value, "__name__", type(value).__name__).encode())

    def add_code(code: CodeType, names: dict[str, Any]) -> None:
        digest.update(code.co_code + repr((code.co_names, code.co_varnames)).encode())
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                add_code(constant, names)
            else:
                add(constant)
        for name in code.co_names:
            value = names.get(name)
            if isinstance(value, ModuleType) and value.__name__.startswith("rawdrift."):
                for attribute in code.co_names:
                    add(getattr(value, attribute, None))
            else:
                add(value)

    add(function)
    return digest.hexdigest()[:16]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector.

    What Numba loads with its first kernel makes it look through all of torch several times, in a
    fifth of the time of loading.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@cache
def has(feature: str) -> bool:
    """Whether kernels are compiled for a processor with this feature, by LLVM's name."""
    *_, features = cpu_target.target_context.codegen().magic_tuple()
    return f"+{feature}" in features.split(",")


intrinsic: Any = extending.intrinsic  # what it makes is called without the compiler's context

# Tables

# LLVM makes no SIMD of loops that read at indices which they have read, since what they store might
# change what they read. In a loop that reads by `look_up` alone and stores by `put` it can't.


def _tables(module):
    """The set of all tables, as LLVM names what doesn't overlap."""
    domain = module.add_metadata(["rawdrift"])
    return module.add_metadata([module.add_metadata(["tables", domain])])


@intrinsic
def look_up(context, table, i):
    """table[i] of an array (n,) that the loop doesn't change, for 0 <= i < n."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(table)(context, builder, arguments[0]).data
        value = builder.load(builder.gep(data, [arguments[1]]))
        value.set_metadata("alias.scope", _tables(builder.module))
        return value

    return table.dtype(table, i), generate


@intrinsic
def put(context, out, i, value):
    """out[i] = value, where nothing of `out` (n,) is read in the loop, for 0 <= i < n."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(out)(context, builder, arguments[0]).data
        store = builder.store(arguments[2], builder.gep(data, [arguments[1]]))
        store.set_metadata("noalias", _tables(builder.module))
        return context.get_dummy_value()

    return types.void(out, i, out.dtype), generate


# Narrow integers

# Numba computes with 64 bits, as NumPy does with a scalar, and LLVM seldom takes fewer, which would
# let more numbers into a register. These keep the bits of their first argument, and wrap around.


def _narrow(operation: str) -> Any:
    def narrow(context, a, b):
        def generate(context, builder, signature, arguments):
            return getattr(builder, operation)(*arguments)

        kind = types.unliteral(a)
        return kind(kind, kind), generate

    return intrinsic(narrow)


add, sub, mul = _narrow("add"), _narrow("sub"), _narrow("mul")


@intrinsic
def shr(context, a, bits):
    """a >> bits."""
    kind = types.unliteral(a)

    def generate(context, builder, signature, arguments):
        return (builder.ashr if kind.signed else builder.lshr)(*arguments)

    return kind(kind, kind), generate


@intrinsic
def mul_whole(context, a, b):
    """The product of two 16-bit numbers with sign, in 32 bits."""

    def generate(context, builder, signature, arguments):
        return builder.mul(*(builder.sext(one, ir.IntType(32)) for one in arguments))

    return types.int32(types.int16, types.int16), generate


@intrinsic
def mul_high(context, a, b):
    """The upper half of the product of two 16-bit numbers without sign."""

    def generate(context, builder, signature, arguments):
        bits, count = ir.IntType(16), ir.IntType(32)
        kind = ir.FunctionType(bits, [bits, bits, count])
        fixed = builder.module.declare_intrinsic("llvm.umul.fix", [bits], kind)
        return builder.call(fixed, [*arguments, count(16)])

    return types.uint16(types.uint16, types.uint16), generate


# The range of floats

# As whole numbers, the bits of 0 to 1 are in order and below those of all other floats, and of -0.


@intrinsic
def bits_of(context, value):
    """The bits of a float, as a whole number without sign."""
    kind: Any = {types.float32: types.uint32, types.float64: types.uint64}[value]

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(kind))

    return kind(value), generate


@exact
def highest_bits(view, first, end):
    """The highest bits in these rows of a view (C, H, W)."""
    most = bits_of(view[0, first, 0])
    for k in range(len(view)):
        for y in range(first, end):
            row = view[k, y]
            for x in range(len(row)):
                most = max(most, bits_of(row[x]))
    return most


@inlined
def is_within(most, view):
    """Whether values of a view whose highest bits these are surely lie in [0, 1]."""
    return most <= bits_of(view.dtype.type(1))


# Stores that leave the caches alone

# Before a common store to a view the processor reads what is there into its caches, though all of
# it is overwritten: that takes several times as long as the stores themselves.

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
def before_line(context, out):
    """How many float32 of an array lie before the first that begins a line of the cache."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(out)(context, builder, arguments[0]).data
        words = builder.lshr(builder.ptrtoint(data, ir.IntType(64)), ir.IntType(64)(2))
        return builder.and_(builder.neg(words), ir.IntType(64)(LINE - 1))

    return types.intp(out), generate


@exact
def store_row(row, out):
    """Copy a row of float32 or float64."""
    row, out = row.view(np.float32), out.view(np.float32)  # their bits
    n = len(out)
    begin = min(before_line(out), n)
    end = begin + (n - begin) // LINE * LINE
    for x in range(begin):
        out[x] = row[x]
    for x in range(begin, end, LINE):
        store_line(out, x, row, x)
    for x in range(end, n):
        out[x] = row[x]


@intrinsic
def fence(context):
    """Let other threads see from here on what was stored."""

    def generate(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate
