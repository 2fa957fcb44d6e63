"""Compile the GPU's kernels where there is no GPU: what each takes.

    python -m benchmarks.gpu_kernels [--target 90]

Triton's interpreter forgives what its compiler doesn't. This catches every launch of a forward and
backward pass on the CPU, and compiles it for a compute capability instead of running it.
"""

import argparse
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

os.environ.pop("TRITON_INTERPRET", None)  # before Triton is imported

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

import rawdrift as rd
from rawdrift.isp.fused import gpu
from rawdrift.isp.fused.fusable import fusable

CASES = (("bi,s,me", "luma"), ("me,u,ga", "luma"), ("ma,u,me", "luma"), ("ma,s,ga", "yuv"))
TYPES = {
    torch.float32: "*fp32",
    torch.uint8: "*u8",
    torch.uint16: "*u16",
    torch.int8: "*i8",
}


def compiled(kernel: Any, target: int, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The kernel for these arguments."""
    constants = {name: named[name] for name in kernel.arg_names if name in named}
    types = dict.fromkeys(constants, "constexpr")
    names = [name for name in kernel.arg_names if name not in constants]
    for name, value in zip(names, values, strict=True):
        if value is None:
            types[name], constants[name] = "constexpr", None
        elif isinstance(value, torch.Tensor):
            types[name] = TYPES[value.dtype]
        else:
            types[name] = "fp32" if isinstance(value, float) else "i32"
    source = ASTSource(kernel, {name: types[name] for name in kernel.arg_names}, constants)
    options = {name: value for name, value in named.items() if name not in kernel.arg_names}
    return triton.compile(source, target=GPUTarget("cuda", target, 32), options=options)


def resources(binary: bytes) -> str:
    """What a tool of Triton's package says about a kernel; spilled registers are on the stack."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        said = subprocess.run(
            [tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    return " ".join(re.findall(r"(?:REG|STACK|SHARED):\d+", said))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--target", type=int, default=90, help="compute capability, 90 for 9.0")
    target = parser.parse_args().target
    done = set()

    def run(self: Any, *values: Any, grid: Any, warmup: bool, **named: Any) -> None:
        sizes = tuple((k, v) for k, v in named.items() if k in self.arg_names)
        if (self.__name__, sizes) not in done:
            done.add((self.__name__, sizes))
            kernel = compiled(self, target, values, named)
            print(f"{self.__name__:16s} {resources(kernel.asm['cubin']):30s} {dict(sizes)}")

    JITFunction.run = run
    camera = rd.Camera.load("raw-drone")
    for name, channels in CASES:
        isp = rd.isp.parametrized(name, camera, channels)
        gpu.develop(fusable(list(isp.steps.values())), torch.rand(2, 64, 80), 16).sum().backward()


if __name__ == "__main__":
    main()
