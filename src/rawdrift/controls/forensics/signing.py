"""The signature of an envelope."""

import hashlib
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from rawdrift import __version__
from rawdrift.camera.camera import Camera
from rawdrift.checks import InputError
from rawdrift.controls.evidence import Outside, Signature, Verdict, check, describe
from rawdrift.controls.forensics.result import Envelope
from rawdrift.controls.forensics.samples import Samples
from rawdrift.controls.result import to_builtins
from rawdrift.data.dataset import RawDataset
from rawdrift.isp.pipeline import Pipeline
from rawdrift.models.weights import fingerprint, kind
from rawdrift.runs.spec import to_yaml

__all__ = ["Outside", "Signature", "Verdict", "check", "fingerprint", "sign"]

BOUNDS = (
    "finite-sample tests of the drop in the population, for images or groups drawn from it: exact "
    "for the accuracy of images, by betting for other metrics and for groups; settings of an axis "
    "are tested from the camera's own outward up to the first that fails, both ends of all axes "
    "together (fixed sequences, Holm); the box is built with a fifth of the images or groups and "
    "tested with the others, at its corners and for cameras drawn from it"
)

SIGNED = (
    "metric", "baseline", "max_drop", "confidence", "tolerances", "box", "scale", "validation",
)  # fmt: skip


def sign(
    envelope: Envelope,
    net: nn.Module,
    isp: Pipeline,
    data: RawDataset | Samples,
    camera: Camera,
    spec: Any = None,
) -> Signature:
    """Return the signature of an envelope: `save` writes it, `rawdrift check` reads it.

    net, isp, data: those that the envelope was made with. camera: whose numbers the ISP has.
    spec: of the experiment, to be hashed. Raises InputError if the ISP is not this camera's, and if
    the envelope is empty because there were too few images.
    """
    if envelope.is_empty:
        raise InputError(f"nothing can be signed: {envelope.warnings[0]}")
    safe = to_builtins(envelope)
    signature = Signature.seal(
        {
            "rawdrift": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": {
                "sha256": fingerprint(net),
                "kind": kind(net),
                "parameters": sum(parameter.numel() for parameter in net.parameters()),
            },
            "data": {
                "sha256": _of_data(data),
                "images": envelope.images,
                "groups": envelope.groups,
            },
            "camera": asdict(camera),
            "isp": describe(isp),
            "space": [{k: v for k, v in axis.items() if k != "label"} for axis in safe["axes"]],
            **{key: safe[key] for key in SIGNED},
            "method": {
                "bounds": BOUNDS,
                **{key: safe[key] for key in ("level", "seed", "evaluations")},
            },
            "libraries": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("numpy", "torch")},
            },
            "spec_sha256": None
            if spec is None
            else hashlib.sha256(to_yaml(spec).encode()).hexdigest(),
            "claims": envelope.claims(),
            "warnings": safe["warnings"],
        }
    )
    own = check(signature, camera)
    if own.outside or own.moved:
        raise InputError(
            f"the ISP does not have the numbers of camera {camera.name!r}: "
            f"{', '.join([*own.moved, *map(str, own.outside)])}; give the camera it was made of"
        )
    return signature


def _of_data(data: RawDataset | Samples) -> str:
    if isinstance(data, RawDataset):
        return data.fingerprint()
    digest = hashlib.sha256()
    for index in range(len(data)):
        for part in data[index]:
            value = torch.as_tensor(part)
            digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
