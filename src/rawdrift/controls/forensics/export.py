"""Export the ISP and a network of a forensics run as one file."""

from pathlib import Path

import torch

from rawdrift.checks import InputError, choose
from rawdrift.controls.forensics.setup import Setup
from rawdrift.controls.forensics.spec import ForensicsSpec
from rawdrift.isp.external import External
from rawdrift.models.deploy import COMPARED, WRITERS


def export(
    spec: ForensicsSpec, run: str | Path, name: str, path: str | Path, any_size: bool = False
) -> dict[str, str]:
    """Write the ISP at the camera's own setting and a network as one file; return its metadata.

    name: of the network, as its file is called, such as "fold0". path: ends in .onnx, or in .pt2
    for `torch.export.load`. The logits of the file are compared with those of PyTorch on test
    images.

    Raises InputError for a run without networks, and for what can't be exported.
    """
    run, path = Path(run), Path(path)
    choose("suffix of the file", path.suffix, WRITERS)
    setup = Setup(spec)
    if isinstance(setup.developing, External):
        raise InputError(f"{run} has no ISP of rawdrift but {spec.forensics.isp!r}, a black box")
    saved = {
        Path(model.name).stem: fold
        for fold, model in enumerate(setup.models)
        if (run / model.name).is_file()
    }
    if not saved:
        raise InputError(f"{run} has no trained network yet; run the same command again")
    fold = saved[choose("training", name, saved)]
    data, targets, _ = setup.material
    return WRITERS[path.suffix](
        setup.developing,
        setup.models[fold].get(run),
        path,
        data.mosaics[torch.tensor(setup.tests[fold][:COMPARED])],
        camera=setup.camera,
        classes=targets.names if targets.of_classes else (),
        any_size=any_size,
    )
