"""Export an ISP and its task model as one file that runs without rawdrift: ONNX or `torch.export`.

The file maps batches of raw mosaics, float32 (batch, H, W), x = DN / (2**bit_depth - 1), to logits.
It is written only if its logits are those of PyTorch. It describes itself by texts with the names

- rawdrift: the version that wrote it. input: what it takes. camera: the camera's name.
- configuration: the ISP's, or "none of Table 1". isp: the whole ISP file, for `isp.load`.
- normalization: mean and std of R, G and B as JSON, or "the net's own". classes: names as JSON.
- sha256: the fingerprint of the net, as in a forensic signature (`forensics.fingerprint`).
"""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from rawdrift import __version__, files, imports, isp
from rawdrift.camera.camera import Camera
from rawdrift.camera.read import to_unit
from rawdrift.checks import InputError
from rawdrift.isp import file
from rawdrift.isp.pipeline import Pipeline
from rawdrift.isp.presets import configuration
from rawdrift.models import onnx_graph
from rawdrift.models.chain import Develop, Normalize
from rawdrift.models.weights import fingerprint
from rawdrift.neighborhood import extend

TOLERANCE = 1e-4  # of logits: absolute, or relative to the largest logit if that is above 1
LARGEST = 2**31 - 2**26  # bytes that an ONNX file can hold, without some room for its graph


def to_onnx(
    develop: Pipeline | Develop,
    net: nn.Module,
    path: str | Path,
    example: Tensor,
    *,
    camera: Camera | None = None,
    classes: Sequence[str] = (),
    any_size: bool = False,
) -> dict[str, str]:
    """Write pipeline and net as one ONNX file with input "mosaic" and output "logits".

    Return the description of the file, which is also in its metadata, under names such as
    "rawdrift.camera". Needs the extra "onnx".

    develop: a pipeline, or a front with one. Its float64 numbers become float32 constants, rounded
        as PyTorch rounds them.
    net: from view to logits, including normalization. It is copied and put into evaluation mode.
    example: mosaics (n, H, W), float32, or uint8 or uint16 as in their files, on which logits are
        compared; use images of your own.
    camera: of the pipeline. classes: names, one for each channel of the logits.
    any_size: let the file take mosaics of every even height and width from 16 pixels, if the net
        does; otherwise it takes those of the example's size.

    Raises InputError if the net can't be exported, or if the logits of ONNX Runtime differ from
    PyTorch's by more than 1e-4 (relative to the largest logit if that is above 1).
    """
    onnx_graph.need()
    made = _export(develop, net, example, camera, classes, any_size)
    if sum(v.numel() * v.element_size() for v in made.chain.state_dict().values()) > LARGEST:
        raise InputError("the net is too large for an ONNX file, which holds 2 GiB; use to_export")
    onnx = onnx_graph.graph(made.program, "mosaic")
    onnx.model.metadata_props.update({f"rawdrift.{k}": v for k, v in made.about.items()})
    content = onnx.model_proto.SerializeToString()
    _compare(made, onnx_graph.session(content))
    files.write(Path(path), content)
    return made.about


def to_export(
    develop: Pipeline | Develop,
    net: nn.Module,
    path: str | Path,
    example: Tensor,
    *,
    camera: Camera | None = None,
    classes: Sequence[str] = (),
    any_size: bool = False,
) -> dict[str, str]:
    """Write pipeline and net as one program that `torch.export.load` reads (.pt2).

    Arguments and errors are those of `to_onnx`. The description is the program's extra file
    "rawdrift.json".
    """
    made = _export(develop, net, example, camera, classes, any_size)
    for module in made.program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)  # source lines, with paths of this machine
    buffer = BytesIO()
    about = json.dumps(made.about, indent=1)
    with onnx_graph.explained("the program can't be written"):
        torch.export.save(made.program, buffer, extra_files={"rawdrift.json": about})
    buffer.seek(0)
    _compare(made, torch.export.load(buffer).module())
    files.write(Path(path), buffer.getvalue())
    return made.about


WRITERS = {".onnx": to_onnx, ".pt2": to_export}
"""What writes a file, by its suffix."""
COMPARED = 8
"""Images of a run on which its exports compare logits."""


class _Exported(NamedTuple):
    """An exported chain.

    chain: ISP and net as PyTorch runs them. program: the same, exported. mosaics: for each size,
    images to compare both on. about: the description.
    """

    chain: nn.Module
    program: ExportedProgram
    mosaics: list[Tensor]
    about: dict[str, str]


def _export(
    develop: Pipeline | Develop,
    net: nn.Module,
    example: Tensor,
    camera: Camera | None,
    classes: Sequence[str],
    any_size: bool,
) -> _Exported:
    pipelines = list(develop.pipelines) if isinstance(develop, Develop) else [develop]
    if len(pipelines) != 1 or not isinstance(pipelines[0], Pipeline):
        raise InputError(
            f"a file is for the pipeline of one camera, got {len(pipelines)}; write one for each"
        )
    # Read from its own ISP file, so that the file is described as it runs.
    text = file.to_toml(pipelines[0], camera)
    with imports.allowing(imports.references(text)):  # the pipeline has imported them
        described, pipeline = file.from_toml(text, "the pipeline")
    chain = nn.Sequential(pipeline, deepcopy(net).cpu().float()).eval().requires_grad_(False)

    x = to_unit(example.detach().cpu(), pipeline.bit_depth).float()
    pipeline.check(x)
    if x.ndim != 3 or not len(x):
        raise InputError(f"the example must be mosaics (n, H, W), got {tuple(example.shape)}")
    mosaics, sizes = [x], {}
    if any_size:
        if any(length % 2 or length < 16 for length in x.shape[1:]):
            raise InputError(
                f"any_size is for even heights and widths from 16, got an example of "
                f"{x.shape[1]}x{x.shape[2]}"
            )
        sizes = {1: 2 * Dim("rows", min=8), 2: 2 * Dim("columns", min=8)}
        mosaics.append(extend(x, 2, 4))
    with onnx_graph.explained("the net can't be exported" + " for any size" * any_size):
        logits = chain(x)
        two = x.expand(2, -1, -1) if len(x) == 1 else x[:2]  # a batch of one would be kept as one
        program = torch.export.export(
            chain, (two.contiguous(),), dynamic_shapes=({0: Dim("batch"), **sizes},)
        )
    if not isinstance(logits, Tensor) or logits.ndim < 2:
        raise InputError("the net must give logits (n, C) or (n, C, H, W)")
    if classes and len(classes) != logits.shape[1]:
        raise InputError(f"the logits are of {logits.shape[1]} classes, got {len(classes)} names")
    norm = next((layer for layer in chain.modules() if isinstance(layer, Normalize)), None)
    full_scale = 2**described.bit_depth - 1
    about = {
        "rawdrift": __version__,
        "input": f"{described.cfa} mosaic, float32 (batch, H, W), DN / {full_scale}",
        "camera": described.name,
        "configuration": configuration(pipeline.steps) or "none of Table 1",
        "isp": text,
        "normalization": json.dumps({"mean": norm.mean.tolist(), "std": norm.std.tolist()})
        if norm
        else "the net's own",
        "classes": json.dumps(list(classes)),
        "sha256": fingerprint(net),
    }
    return _Exported(chain, program, mosaics, about)


def _compare(made: _Exported, run: Callable[[Tensor], Tensor]) -> None:
    """Raise InputError unless `run` gives PyTorch's logits, also for one image and for three."""
    for x in made.mosaics:
        for batch in (x, x[:1], x[:1].repeat(3, 1, 1)):
            with torch.inference_mode(), isp.engine("eager"):
                expected = made.chain(batch)
                exported = run(batch)
            allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
            difference = float((exported - expected).abs().max())
            if not difference <= allowed:  # also if it is NaN
                raise InputError(
                    f"the exported logits differ by {difference:.2g} from PyTorch's, of mosaics "
                    f"{tuple(batch.shape)}, at most {allowed:.2g} is allowed; nothing is written"
                )
