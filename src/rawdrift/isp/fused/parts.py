"""A compiler of parts of kernels: functions that only ever other kernels call.

Numba optimizes every function by itself, together with all that it calls, and makes machine code of
it, before it does the same with its callers. What this compiler leaves is not optimized before it
is linked into the kernel that Python calls: once, which takes half the time.
"""

from numba import _dynfunc, types  # type: ignore[attr-defined]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import NativeLowering


class _Linked(JITCodeLibrary):
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
        found = state["cr"]
        takes_rows = any(isinstance(kind, types.Array) for kind in state.args)
        if takes_rows and not state.flags.forceinline:
            # Its loops become SIMD by themselves, but seldom amid those of other parts.
            code = state.library.get_function(found.fndesc.llvm_func_name)
            code.add_function_attribute("noinline")
        # What its callers find it by. Python couldn't call it.
        name, module = state.func_id.func_name, found.fndesc.lookup_module()
        key = _dynfunc.make_function(module, name, name, 0, found.env, (state.library,))
        state.targetctx.insert_user_function(key, found.fndesc, [state.library])
        state["cr"] = found._replace(cfunc=key)
        return True


class PartCompiler(CompilerBase):
    def define_pipelines(self):
        passes = PassManager("part")
        for step, text in DefaultPassBuilder.define_nopython_pipeline(self.state).passes:
            passes.add_pass(_Lowering if step is NativeLowering else step, text)
        passes.finalize()
        return [passes]
