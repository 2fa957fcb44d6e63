"""Export a trained ISP with its network from a run folder as one file."""

from pathlib import Path

import torch
from torch import nn

from rawdrift.checks import InputError, choose
from rawdrift.controls.optimization.experiment import DriftOptimization
from rawdrift.controls.optimization.settings import front_of, is_running
from rawdrift.controls.optimization.spec import OptimizationSpec
from rawdrift.models import weights
from rawdrift.models.chain import Develop
from rawdrift.models.deploy import COMPARED, WRITERS
from rawdrift.models.train import network


def export(
    spec: OptimizationSpec, run: str | Path, name: str, path: str | Path, any_size: bool = False
) -> dict[str, str]:
    """Write the ISP and the network of a training as one file; return the file's metadata.

    name: of the training, as its ISP file is called, such as "learned-0.05-fold1". path: ends in
    .onnx, or in .pt2 for `torch.export.load`. The logits of the file are compared with those of
    PyTorch on test images of the fold.

    Raises InputError for a run without saved networks, and for what can't be exported.
    """
    run, path = Path(run), Path(path)
    choose("suffix of the file", path.suffix, WRITERS)
    experiment = DriftOptimization(spec)
    saved = {
        unit.title: unit
        for unit in experiment.units
        if (run / "networks" / f"{unit.name}.safetensors").is_file()
    }
    if not saved:
        raise InputError(
            f"{run} has no saved networks; run it again, in a new folder, with "
            f"optimization.save_networks set to true"
        )
    unit = saved[choose("training", name, saved)]
    material = experiment.materials[unit.intensity]
    data, targets, splits = material
    finished = experiment.store(spec, run).read(unit.name)
    if finished is None:
        raise InputError(f"the record of {name} in {run} is damaged; run the same command again")
    choice = finished.record.choice
    chosen = choice.chosen if choice else None
    front = front_of(unit, spec.optimization, material, chosen, 0)
    if not isinstance(front, Develop):
        raise InputError(f"{name} has no ISP of rawdrift; export one of another setting")
    split = splits[unit.fold]
    running = is_running(unit.setting, spec.optimization)
    with torch.random.fork_rng(devices=[]):  # what is drawn is overwritten
        train = torch.from_numpy(split.train)
        net = network(data, targets, train, front, spec.task, running)
    source = run / "networks" / f"{unit.name}.safetensors"
    whole = nn.ModuleDict({"front": front, "net": net})
    weights.load(whole, weights.read(source), str(source))
    return WRITERS[path.suffix](
        front,
        net.eval(),
        path,
        data.mosaics[torch.from_numpy(split.test[:COMPARED])],
        camera=data.cameras[0],
        classes=targets.names if targets.of_classes else (),
        any_size=any_size,
    )
