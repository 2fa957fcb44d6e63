"""Models, augmentation and training."""

import logging
import os
import signal
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

import rawdrift as rd
from rawdrift.data.dataset import RawDataset
from rawdrift.models import evaluate as testing
from rawdrift.models import networks
from rawdrift.models.chain import Develop, Normalize
from rawdrift.models.evaluate import Case, _distances, evaluate
from rawdrift.models.fronts import NeuralISP
from rawdrift.models.quick import Quick
from rawdrift.models.spec import Task
from rawdrift.models.targets import targets_of
from rawdrift.models.train import shuffled, train

from conftest import random_camera, random_mosaic


@pytest.fixture(scope="module")
def data():
    """Two cameras; class "b" is bright."""
    mosaics = torch.stack([random_mosaic(i, 32, 32) * (0.4 + 0.5 * (i % 2)) for i in range(16)])
    return RawDataset(
        mosaics=(mosaics * 65535).round().to(torch.uint16),
        images=tuple(map(str, range(16))),
        cameras=(random_camera(1, "RGGB"), random_camera(2, "GBRG")),
        camera_index=torch.tensor([0, 0, 1] * 5 + [0]),
        classes=("a", "b"),
        labels=torch.tensor([0, 1] * 8),
    )


def trained(data, seed=0, on_epoch=lambda: None, checkpoint=None, **changes):
    """The network of a short training on 12 of the 16 images."""
    task = Task(**{"epochs": 2, "lr": 1e-3, "batch_size": 5, "precision": "32", **changes})
    develop = Develop.static("bi,s,ga", data.cameras, "luma")
    targets = targets_of(data, task)
    return train(
        data, targets, torch.arange(12), develop, task,
        seed=seed, on_epoch=on_epoch, checkpoint=checkpoint,
    )  # fmt: skip


def labels_of(data):
    return targets_of(data, Task())


def test_each_image_is_developed_by_its_camera(data):
    develop = Develop.static("ma,s,me", data.cameras, "luma")
    views = develop(data.mosaics, data.camera_index)
    for i, view in enumerate(views):
        isp = rd.isp.static("ma,s,me", data.cameras[int(data.camera_index[i])])
        torch.testing.assert_close(view, isp(data.mosaics[i]), rtol=0, atol=2e-6)


def test_normalized_training_views_have_mean_0_and_variance_1(data):
    develop = Develop.static("bi,s,ga", data.cameras, "luma")
    indices = torch.arange(10)
    normalize = Normalize.of(develop, data, indices)
    views = normalize(develop(data.mosaics[indices], data.camera_index[indices]))
    torch.testing.assert_close(views.mean(dim=(0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(views.std(dim=(0, 2, 3)), torch.ones(3), rtol=0, atol=1e-3)
    black = replace(data, mosaics=torch.zeros_like(data.mosaics))
    views = Normalize.of(develop, black, indices)(torch.zeros(1, 3, 4, 4))
    assert torch.isfinite(views).all()


def test_a_neural_isp_gets_the_same_bits_from_every_engine(data):
    front, given = NeuralISP(data.cameras), (data.mosaics, data.camera_index)
    with rd.isp.engine("eager"):
        expected = Develop.forward(front.develop, *given)
    assert torch.equal(front.develop(*given), expected)


def test_the_same_seed_gives_the_same_network_and_leaves_the_random_state(data):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, second, other = trained(data), trained(data), trained(data, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()
    pairs = list(zip(first.state_dict().values(), second.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first[1].fc.weight, other[1].fc.weight)
    assert not first.training


@pytest.mark.parametrize(
    "change",
    [
        {"augment": "none"},
        {"augment": "strong"},
        {"schedule": "constant"},
        {"lr": 1e-2},
    ],
)
def test_every_setting_counts(data, change):
    assert not torch.equal(trained(data)[1].fc.weight, trained(data, **change)[1].fc.weight)


def test_training_learns_and_counts_its_epochs(data):
    epochs = []
    net = trained(data, epochs=8, precision="auto", on_epoch=lambda: epochs.append(1))
    assert len(epochs) == 8
    held_out = torch.arange(12, 16)
    case = Case("isp", "bi,s,ga")
    answers = evaluate(net, data, labels_of(data), held_out, "bi,s,ga", [case])
    assert torch.equal(answers.outcomes[case.key], data.labels[held_out])


def settings():
    """What torch, the environment and the signals of the process are set to."""
    return (
        torch.get_rng_state().tolist(), torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(), torch.backends.cudnn.benchmark,
        torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_num_threads(),
        dict(os.environ), signal.getsignal(signal.SIGINT), list(logging.root.handlers),
    )  # fmt: skip


@pytest.mark.parametrize("deterministic", [False, True])
def test_nothing_global_is_left_changed(data, deterministic):
    def interrupt():
        assert torch.are_deterministic_algorithms_enabled()
        raise KeyboardInterrupt

    before = settings()
    torch.use_deterministic_algorithms(deterministic, warn_only=deterministic)
    try:
        changed = settings()
        trained(data, epochs=1)
        assert settings() == changed
        with pytest.raises(KeyboardInterrupt):
            trained(data, on_epoch=interrupt)
        assert settings() == changed
    finally:
        torch.use_deterministic_algorithms(False)
    assert settings() == before


def test_answers_are_those_to_the_developed_and_corrupted_views(data):
    net, own = trained(data, epochs=1), "ma,u,ga"
    indices = torch.tensor([15, 3, 8])
    cases = [Case("isp", name) for name in rd.isp.CONFIGURATIONS]
    cases += [Case("corruption", "gaussian_noise", 3), Case("corruption", "contrast", 5)]
    answers = evaluate(net, data, labels_of(data), indices, own, cases, table="small", seed=7)
    assert list(answers.outcomes) == list(answers.distance) == [case.key for case in cases]
    for case in cases:
        name = case.name if case.kind == "isp" else own
        develop = Develop.static(name, data.cameras, "luma")
        with torch.inference_mode():
            views = develop(data.mosaics[indices], data.camera_index[indices])
            if case.kind == "corruption":
                seeds = [(7, index) for index in indices.tolist()]
                views = rd.corruptions.corrupt(views, case.name, case.severity, seeds, "small")
            assert torch.equal(answers.outcomes[case.key], net(views).argmax(dim=1))


def test_classes_in_float32_may_come_from_bfloat16_where_there_is_no_doubt(data, monkeypatch):
    net, indices, kinds = trained(data, epochs=2), torch.arange(16), []
    cases = [Case("isp", "bi,s,ga"), Case("isp", "ma,u,me"), Case("corruption", "contrast", 3)]

    def quick_of(net, views, pixels, runtime):
        half = deepcopy(net).to(torch.bfloat16)
        kinds.append(Quick(net, lambda views: half(views.bfloat16()).float()))
        kinds[-1].learn(views)
        return kinds[-1]

    def outcomes(**ways):
        return evaluate(net, data, labels_of(data), indices, "bi,s,ga", cases, **ways).outcomes

    monkeypatch.setattr(testing, "quick_of", lambda *_: None)
    expected = outcomes()
    monkeypatch.setattr(testing, "quick_of", quick_of)
    found = outcomes()
    assert kinds[0].error > 1e-5
    assert all(torch.equal(found[case.key], expected[case.key]) for case in cases)
    outcomes(precision="bf16")
    assert len(kinds) == 1


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_network_is_tested_in_the_precision_that_was_asked_for(data, precision):
    net, case = trained(data, epochs=1), Case("isp", "bi,s,ga")
    develop, indices = Develop.static("bi,s,ga", data.cameras, "luma"), torch.arange(16)
    found = []
    hook = net.register_forward_hook(lambda net, views, logits: found.append(logits))
    evaluate(net, data, labels_of(data), indices, case.name, [case], precision=precision)
    hook.remove()
    with torch.inference_mode():
        exact = net(develop(data.mosaics, data.camera_index))
    assert {part.dtype for part in found} == {
        torch.bfloat16 if precision == "bf16" else torch.float32
    }
    torch.testing.assert_close(
        torch.cat(found).float(), exact, atol=1e-5 if precision == "32" else 0.1, rtol=0
    )


def test_views_are_as_far_as_scikit_image_says():
    draws = torch.Generator().manual_seed(0)
    own = torch.rand(2, 3, 160, 150, generator=draws)
    view = (own + 0.2 * torch.randn(own.shape, generator=draws)).clamp(0, 1)
    found = _distances(view, own)
    settings = {"data_range": 1, "channel_axis": 0, "gaussian_weights": True}
    for (dssim, mse), a, b in zip(found, view.numpy(), own.numpy(), strict=True):
        ssim = structural_similarity(a, b, use_sample_covariance=False, **settings)
        assert dssim == pytest.approx(1 - ssim, abs=2e-3)  # of all pixels, not of the inner ones
        assert mse == pytest.approx(np.mean((a - b) ** 2))
    ssim = structural_similarity_index_measure(view, own, data_range=1.0, reduction="none")
    assert found[:, 0].tolist() == pytest.approx((1 - ssim).tolist(), abs=1e-6)
    assert torch.equal(_distances(own, own), torch.zeros(2, 2).double())
    assert _distances(own[..., :8, :8], view[..., :8, :8]).min() > 0  # smaller than the window


def test_weights_are_loaded_from_safetensors_and_state_dicts(tmp_path):
    source = networks.build("resnet18", 3)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    torch.save({"state_dict": source.state_dict()}, tmp_path / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        same = networks.build("resnet18", 3, str(tmp_path / name))
        other = networks.build("resnet18", 5, str(tmp_path / name))  # a head of its own
        assert torch.equal(same.fc.weight, source.fc.weight)
        assert torch.equal(other.conv1.weight, source.conv1.weight)
        assert other.fc.weight.shape == (5, 512)


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a stranger was run')",))


def test_weights_that_can_not_be_used_are_refused(tmp_path):
    state = networks.build("resnet18", 3).state_dict()
    files = {
        "text.pt": lambda path: path.write_text("hello"),
        "text.safetensors": lambda path: path.write_text("hello"),
        "list.pt": lambda path: torch.save([1, 2], path),
        "evil.pt": lambda path: torch.save({"x": Evil()}, path),
        "part.pt": lambda path: torch.save(
            {k: v for k, v in state.items() if "layer1" not in k}, path
        ),
        "more.pt": lambda path: torch.save({**state, "extra": torch.zeros(1)}, path),
    }
    for name, write in files.items():
        write(tmp_path / name)
        with pytest.raises(rd.InputError, match=name.replace(".", r"\.")):
            networks.build("resnet18", 3, str(tmp_path / name))


def test_imagenet_weights_without_network_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refuse(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(rd.InputError, match="can't be downloaded.*task.weights"):
        networks.build("resnet18", 3, "imagenet")


@pytest.mark.parametrize(("images", "size"), [(12, 11), (5, 2), (9, 4), (3, 2), (2, 32), (33, 32)])
def test_no_batch_holds_a_single_image(images, size):
    indices = torch.arange(images) % 16
    batches = shuffled(indices, size, torch.Generator().manual_seed(0))
    sizes = [len(batch) for batch in batches]
    assert torch.equal(torch.cat(batches).sort().values, indices.sort().values)
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1


def test_a_training_that_diverges_is_stopped(data):
    with pytest.raises(rd.InputError, match="diverged.*lower task.lr"):
        trained(data, lr=1e30, epochs=4)
