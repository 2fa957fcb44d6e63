"""Networks as ONNX graphs, and ONNX Runtime on the CPU. Needs the extra "onnx"."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from rawdrift import imports
from rawdrift.checks import InputError


def need() -> None:
    """Raise InputError if the extra is not installed."""
    imports.need("onnxruntime", "onnx")
    imports.need("onnxscript", "onnx")


def graph(program: ExportedProgram, takes: str) -> Any:
    """Return the ONNX program of an exported module with input `takes` and output "logits".

    It has no source lines, with paths of this machine. Raises InputError.
    """
    need()
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    with explained("the net can't be written as ONNX"):
        onnx = torch.onnx.export(
            program, dynamo=True, input_names=[takes], output_names=["logits"], verbose=False
        )
    assert onnx is not None
    ClearMetadataAndDocStringPass()(onnx.model)
    return onnx


def session(content: bytes) -> Callable[[Tensor], Tensor]:
    """Return the function of a file with one input and one output, on torch's number of threads."""
    runtime = imports.need("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Its threads wait for the next pass without computing, which torch does meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    opened = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (takes,) = (given.name for given in opened.get_inputs())

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(opened.run(None, {takes: x.contiguous().numpy()})[0])

    return run


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the many errors of tracing into an InputError of one line, and hide its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        reason = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
        raise InputError(f"{what}: {reason}") from error
