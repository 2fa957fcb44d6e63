"""An ISP and its network, out of the folder of a run, as one file."""

from pathlib import Path

import torch
from torch import nn

from rawdrift.checks import InputError, choose
from rawdrift.controls.optimization.experiment import DriftOptimization
from rawdrift.controls.optimization.settings import front_of
from rawdrift.controls.optimization.spec import OptimizationSpec
from rawdrift.controls.optimization.unit import Unit
from rawdrift.models import weights
from rawdrift.models.chain import Develop
from rawdrift.models.deploy import to_export, to_onnx
from rawdrift.models.train import network
from rawdrift.runs.store import Store

WRITERS = {".onnx": to_onnx, ".pt2": to_export}
COMPARED = 8  # test images that the logits are compared on


def export(
    spec: OptimizationSpec, run: str | Path, name: str, path: str | Path, any_size: bool = False
) -> dict[str, str]:
    """Write what a training of a run has learned, ISP and network, as `tasks.deploy` does; returns
    what the file says of itself.

    name: of the training, as its ISP file is called, such as "learned-0.05-fold1". path: ends in
    .onnx, or in .pt2 for `torch.export.load`. The logits are compared on test images of the fold.

    Raises InputError for a run without saved networks, and for what can't be exported.
    """
    run, path = Path(run), Path(path)
    choose("suffix of the file", path.suffix, WRITERS)
    experiment = DriftOptimization(spec)
    saved = {
        title(unit): unit
        for unit in experiment.units
        if (run / "networks" / f"{unit.name}.safetensors").is_file()
    }
    if not saved:
        raise InputError(
            f"{run} has no saved networks; run it anew, in a new folder, with "
            f"--optimization.save_networks true"
        )
    unit = saved[choose("training", name, saved)]
    material = experiment.materials[unit.intensity]
    data, targets, splits = material
    record = Store(run, spec, experiment.columns).read(unit.name)
    if record is None:
        raise InputError(f"{run} has no whole record of {name}; run the same command again")
    configuration = (record["choice"] or {"chosen": spec.optimization.isp})["chosen"]
    front = front_of(unit, spec.optimization, material, configuration, 0)
    if not isinstance(front, Develop):
        raise InputError(f"{name} has no ISP of rawdrift; export one of another setting")
    split = splits[unit.fold]
    running = unit.setting in ("learned", "frozen-matched")
    with torch.random.fork_rng(devices=[]):  # what is drawn is overwritten
        net = network(
            data, targets, torch.from_numpy(split.train), front, spec.task,
            running and spec.optimization.normalization == "running",
        )  # fmt: skip
    source = run / "networks" / f"{unit.name}.safetensors"
    whole = nn.ModuleDict({"front": front, "net": net})
    weights.load(whole, weights.read(source), str(source))
    return WRITERS[path.suffix](
        front,
        net.eval(),
        path,
        data.mosaics[torch.from_numpy(split.test[:COMPARED])],
        camera=data.cameras[0],
        classes=targets.names if targets.kind == "classification" else (),
        any_size=any_size,
    )


def title(unit: Unit) -> str:
    """Of a training, for a person to type."""
    return f"{unit.setting}-{unit.intensity:g}-fold{unit.fold + 1}"
