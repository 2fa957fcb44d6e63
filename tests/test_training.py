"""Trainings on masks, and trainings that carry on after a kill."""

import shutil

import numpy as np
import pytest
import torch

from rawdrift.controls import training
from rawdrift.controls.material import Material
from rawdrift.data.dataset import RawDataset
from rawdrift.data.splits import Split
from rawdrift.models.chain import Develop
from rawdrift.models.evaluate import Case, evaluate
from rawdrift.models.spec import Task
from rawdrift.models.targets import targets_of
from rawdrift.models.train import train

from conftest import random_camera

OWN = """
from torch import nn

def tiny(classes):  # dropout draws from torch's own random state
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3),
        nn.Conv2d(8, classes, 1),
    )

def classifier(classes):
    return nn.Sequential(tiny(classes), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.fixture(autouse=True)
def own(own_module):
    """Small networks of the user's."""
    own_module("tiny_nets", OWN)


@pytest.fixture(scope="module")
def data():
    """Bright squares, by the side on which they are; with a size that is no multiple of 32."""
    rng = torch.Generator().manual_seed(0)
    mosaics = 0.2 + 0.05 * torch.rand(16, 24, 36, generator=rng)
    masks = torch.zeros(16, 24, 36, dtype=torch.uint8)
    for i in range(16):
        row, column = 3 + i % 7, 2 + i % 5 + 18 * (i % 2)
        masks[i, row : row + 12, column : column + 12] = 128 + 127 * (i % 2)
    mosaics[masks > 0] *= 3
    return RawDataset(
        mosaics=(mosaics * 65535).to(torch.uint16),
        images=tuple(map(str, range(16))),
        cameras=(random_camera(1, "RGGB"), random_camera(2, "GBRG")),
        camera_index=torch.tensor([0, 1] * 8),
        classes=("left", "right"),
        labels=torch.tensor([0, 1] * 8),
        masks=masks,
    )


def trained(data, checkpoint=None, on_epoch=lambda: None, seed=0, **settings):
    task = Task(**{"epochs": 4, "lr": 1e-2, "batch_size": 5, "precision": "32", **settings})
    develop = Develop.static("bi,s,ga", data.cameras, "luma")
    return train(
        data, targets_of(data, task), torch.arange(12), develop, task,
        seed=seed, on_epoch=on_epoch, checkpoint=checkpoint,
    )  # fmt: skip


def same(first, second):
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def scores(net, data, **settings):
    targets = targets_of(data, Task(**settings))
    held_out = torch.arange(12, 16)
    cases = [Case("isp", "bi,s,ga"), Case("isp", "me,u,me")]
    outcomes = evaluate(net, data, targets, held_out, "bi,s,ga", cases).outcomes
    return {c.name: targets.scores(outcomes[c.key], held_out) for c in cases}


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "dice_cross_entropy"])
def test_segmentation_learns(loss, data):
    settings = {"model": "import:tiny_nets.tiny", "kind": "segmentation"}
    net = trained(data, **settings, loss=loss, epochs=8, lr=0.05)
    assert scores(net, data, **settings)["bi,s,ga"]["iou"] > 0.9


def test_segmentation_of_several_classes_with_balanced_weights(data):
    settings = {"model": "import:tiny_nets.tiny", "kind": "segmentation", "mask": "classes"}
    net = trained(data, **settings, class_weights="balanced", precision="bf16")
    assert net[1][-1].out_channels == 3
    found = scores(net, data, **settings)
    assert set(found) == {"bi,s,ga", "me,u,me"}
    assert all(0 < score["iou"] < score["dice"] < 1 for score in found.values())


def test_unetplusplus_learns_on_views_of_any_size(data):
    net = trained(data, model="unetplusplus", lr=1e-3, epochs=3)
    assert scores(net, data, model="unetplusplus")["bi,s,ga"]["image_dice"] > 0.5


@pytest.mark.parametrize(
    ("epoch", "settings"),
    [
        (1, {"model": "import:tiny_nets.classifier", "augment": "strong"}),
        (3, {"model": "import:tiny_nets.classifier"}),
        (2, {"model": "import:tiny_nets.tiny", "kind": "segmentation", "schedule": "constant"}),
        (2, {"model": "resnet18", "precision": "bf16"}),
    ],
)
def test_a_training_carries_on_after_a_kill_with_the_same_numbers(epoch, settings, data, tmp_path):
    whole = trained(data, on_epoch=lambda: torch.rand(3), **settings)
    checkpoint, seen = tmp_path / "checkpoints/unit.ckpt", []

    def kill():
        torch.rand(3)  # a resumed training must not depend on what it draws
        seen.append(1)
        if len(seen) > epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(data, checkpoint, kill, **settings)
    assert [path.name for path in checkpoint.parent.iterdir()] == ["unit.ckpt"]
    epochs = []
    assert same(trained(data, checkpoint, lambda: epochs.append(torch.rand(3)), **settings), whole)
    assert len(epochs) == 4


@pytest.mark.parametrize("kill_at", range(1, 5))
def test_a_kill_while_a_checkpoint_is_written_leaves_the_last_one(
    kill_at, data, tmp_path, monkeypatch
):
    settings = {"model": "import:tiny_nets.classifier"}
    checkpoint, writes, save = tmp_path / "checkpoints/unit.ckpt", [], torch.save

    def half(state, file):
        writes.append(1)
        if len(writes) == kill_at:
            file.write(b"half a file")
            raise KeyboardInterrupt
        save(state, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(KeyboardInterrupt):
            trained(data, checkpoint, **settings)
    assert len(list(checkpoint.parent.iterdir())) == (kill_at > 1)
    assert same(trained(data, checkpoint, **settings), trained(data, **settings))


def test_only_the_epochs_that_are_left_are_trained(data, tmp_path, monkeypatch):
    settings = {"model": "import:tiny_nets.classifier"}
    checkpoint = tmp_path / "unit.ckpt"
    whole = trained(data, checkpoint, **settings)
    steps = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *a, **k: steps.append(1) or step(*a, **k))
    assert same(trained(data, checkpoint, **settings), whole)  # killed before its end was kept
    assert not steps


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_passed_over(data, tmp_path):
    settings = {"model": "import:tiny_nets.classifier"}
    checkpoint = tmp_path / "unit.ckpt"
    trained(data, checkpoint, **settings)
    kept = shutil.copy(checkpoint, tmp_path / "kept.ckpt")
    assert same(trained(data, checkpoint, seed=1, **settings), trained(data, seed=1, **settings))
    shutil.copy(kept, checkpoint)
    other = {**settings, "augment": "none"}
    assert same(trained(data, checkpoint, **other), trained(data, **other))
    whole = trained(data, **settings)
    content = kept.read_bytes()
    for damaged in (b"", content[: len(content) // 2], content[:5000] + b"x" * 99 + content[5099:]):
        checkpoint.write_bytes(damaged)
        assert same(trained(data, checkpoint, **settings), whole)


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a stranger was run')",))


def test_a_checkpoint_runs_no_code(data, tmp_path):
    torch.save({"identity": Evil()}, tmp_path / "unit.ckpt")
    trained(data, tmp_path / "unit.ckpt", model="import:tiny_nets.classifier", epochs=1)


def test_checkpoints_are_written_no_more_often_than_asked(data, tmp_path):
    task = Task("import:tiny_nets.classifier", epochs=2, precision="32")
    develop = Develop.static("bi,s,ga", data.cameras, "luma")
    train(
        data, targets_of(data, task), torch.arange(12), develop, task,
        seed=0, checkpoint=tmp_path / "unit.ckpt", checkpoint_every=600.0,
    )  # fmt: skip
    assert not (tmp_path / "unit.ckpt").exists()


def test_an_estimate_leaves_out_what_happens_once(data, monkeypatch):
    """A clock by which the first training takes 15 s more, as imports and compilers do."""
    seconds, took = [0.0], [15.0]

    def train(_data, _targets, images, *_, **__):
        seconds[0] += 0.1 * len(images) + (took.pop() if took else 0.0)
        return torch.nn.Identity()

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(training.time, "monotonic", lambda: seconds[0])
    task = Task(model="import:tiny_nets.tiny", kind="segmentation", epochs=4, batch_size=2)
    split = Split(train=np.arange(12), test=np.arange(12, 16))
    material = Material(data, targets_of(data, task), [split])
    _, estimate = training.seconds_of_training(material, 0, None, task)
    assert estimate == pytest.approx(4 * 12 * 0.1)
    took.append(15.0)

    def work(count):
        seconds[0] += 0.3 * count + (took.pop() if took else 0.0)

    assert training.seconds_an_image(work, 4) == pytest.approx(0.3)
