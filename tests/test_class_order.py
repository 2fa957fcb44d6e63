"""The meaning of the outputs of a checkpoint."""

import numpy as np
import pytest
import tifffile
import torch
from torch import nn

import rawdrift as rd
from rawdrift.controls.material import notes, read
from rawdrift.data.dataset import in_order
from rawdrift.models import networks, weights
from rawdrift.models.chain import Develop
from rawdrift.models.spec import Task
from rawdrift.models.targets import class_order
from rawdrift.models.train import network


class Bright(nn.Module):
    """Output i is the largest for a view of brightness (i + 0.5) / n."""

    def __init__(self, outputs):
        super().__init__()
        self.steepness = nn.Parameter(torch.tensor(100.0))
        self.register_buffer("centers", (torch.arange(outputs) + 0.5) / outputs)

    def forward(self, view):
        return -self.steepness * (view.mean((1, 2, 3))[:, None] - self.centers).abs()


@pytest.fixture
def folder(tmp_path):
    """Images of labels; the brightness of a label is that of its place in the order."""

    def write(order, labels, name="data"):
        root = tmp_path / name
        root.mkdir()
        (root / "camera.toml").write_text('name = "c"\ncfa = "RGGB"\ngamma = 1.0\n')
        lines = ["image,label"]
        for i, label in enumerate(labels):
            level = int((order.index(label) + 0.5) / len(order) * 65535)
            tifffile.imwrite(root / f"{i}.tif", np.full((16, 16), level, np.uint16))
            lines.append(f"{i}.tif,{label}")
        (root / "manifest.csv").write_text("\n".join(lines) + "\n")
        return rd.Data(root=str(root))

    return write


def _right(data, task):
    material = read(data, task, None, 0)
    net = networks.load_checkpoint(task, material.targets, material.data.size)
    views = torch.stack([material.data.mosaics[:].float() / 65535] * 3, 1)
    return (net(views).argmax(1) == material.targets.values).float().mean().item(), material


def _task(path, outputs, **more):
    torch.save(Bright(outputs).state_dict(), path)
    return Task("import:test_class_order.Bright", checkpoint=str(path), **more)


def test_whole_numbers_are_in_the_order_of_their_values(folder, tmp_path):
    assert in_order(map(str, [10, 2, 0, 11, 1, 2])) == ("0", "1", "2", "10", "11")
    assert in_order(["-1", "10", "+2"]) == ("-1", "+2", "10")
    assert in_order(["10", "2", "b"]) == ("10", "2", "b")
    assert in_order(["10", "2", "²"]) == ("10", "2", "²")
    order = [str(i) for i in range(12)]
    right, material = _right(folder(order, order * 2), _task(tmp_path / "n.pt", 12))
    assert right == 1
    assert f"outputs of the network, in order: {', '.join(order)}" in notes(material)


def test_the_order_of_a_checkpoint_is_stated(folder, tmp_path):
    order = ["wolf", "ant", "bee"]
    data = folder(order, order * 2)
    assert _right(data, _task(tmp_path / "n.pt", 3))[0] < 1
    assert _right(data, _task(tmp_path / "n.pt", 3, classes=order))[0] == 1


def test_data_may_lack_classes_of_a_checkpoint(folder, tmp_path):
    order = ["wolf", "ant", "bee", "cat"]
    data = folder(order, ["bee", "wolf"] * 3)
    right, material = _right(data, _task(tmp_path / "n.pt", 4, classes=order))
    assert right == 1
    assert material.data.counts() == {"wolf": 3, "ant": 0, "bee": 3, "cat": 0}
    with pytest.raises(rd.InputError, match="task.classes"):
        _right(data, _task(tmp_path / "n.pt", 4))


def test_labels_that_a_checkpoint_does_not_have_are_refused_naming_both_lists(folder, tmp_path):
    data = folder(["a", "b", "c"], ["a", "b", "c"] * 2)
    task = _task(tmp_path / "n.pt", 2, classes=["a", "b"])
    with pytest.raises(rd.InputError, match=r"labels a, b, c, but .* are a, b, without c"):
        read(data, task, None, 0)


def test_our_own_files_hold_the_order(folder, tmp_path):
    order = ["0", "1", "2", "10"]
    data = folder(order, order * 2)
    trained = read(data, Task(), None, 0)
    with torch.random.fork_rng():
        net = network(
            trained.data,
            trained.targets,
            torch.arange(8),
            Develop.static("bi,s,ga", trained.data.cameras, "luma"),
            Task("import:test_class_order.Bright"),
            False,
        )
    path = tmp_path / "own.safetensors"
    weights.save(net, path, trained.targets.names)
    task = Task("import:test_class_order.Bright", checkpoint=str(path))
    assert class_order(task) == ("0", "1", "2", "10")
    fewer = folder(order, ["10", "2"] * 3, "fewer")
    material = read(fewer, task, None, 0)
    assert material.targets.names == ("0", "1", "2", "10")
    assert set(material.targets.values.tolist()) == {2, 3}
    contradiction = Task(task.model, checkpoint=str(path), classes=[0, 1, 10, 2])
    with pytest.raises(rd.InputError, match=r"10, 2 contradicts .* are 0, 1, 2, 10;"):
        read(data, contradiction, None, 0)
    with pytest.raises(rd.InputError, match=r"network for .*classes here are a, b"):
        networks.load_checkpoint(task, _named(trained.targets, ("a", "b")))


def _named(targets, names):
    from dataclasses import replace

    return replace(targets, names=names)


def test_masks_of_classes_may_lack_some(tmp_path):
    path = tmp_path / "n.pt"
    torch.save({"w": torch.zeros(1)}, path)
    masks = torch.zeros(2, 4, 4, dtype=torch.uint8)
    masks[:, :2] = 7
    data = rd.data.RawDataset(
        mosaics=torch.zeros(2, 4, 4),
        images=("a", "b"),
        cameras=(rd.Camera("c", "RGGB"),),
        camera_index=torch.zeros(2, dtype=torch.long),
        masks=masks,
    )
    from rawdrift.models.targets import targets_of

    task = Task("import:x.y", kind="segmentation", mask="classes", checkpoint=str(path))
    named = Task(task.model, "none", task.kind, "classes", checkpoint=str(path), classes=[0, 3, 7])
    assert targets_of(data, named).names == ("0", "3", "7")
    assert targets_of(data, named).values.unique().tolist() == [0, 2]
    wrong = Task(task.model, "none", task.kind, "classes", checkpoint=str(path), classes=[0, 3])
    with pytest.raises(rd.InputError, match=r"values 0, 7, but .* are 0, 3, without 7"):
        targets_of(data, wrong)


@pytest.mark.parametrize(
    ("classes", "why"), [([True, "a"], "quotes"), (["a", "a"], "repeat"), (["a", 1.5], "quotes")]
)
def test_wrong_orders_are_refused(classes, why, tmp_path):
    path = tmp_path / "n.pt"
    path.touch()
    with pytest.raises(rd.InputError, match=why):
        Task(checkpoint=str(path), classes=classes)
    with pytest.raises(rd.InputError, match="checkpoint only"):
        Task(classes=["a", "b"])
