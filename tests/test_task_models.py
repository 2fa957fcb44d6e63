"""Task models by name, their weights, and the user's own trained networks."""

import importlib
import re
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import rawdrift as rd
from rawdrift import files
from rawdrift.models import networks, weights
from rawdrift.models.chain import Normalize, layout
from rawdrift.models.classification import Classification
from rawdrift.models.segmentation import Segmentation
from rawdrift.models.spec import Task

OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 3, padding=1)

    def forward(self, x):
        return self.conv(x).mean(dim=(2, 3))

def classifier(classes): return Net(classes)
def segmenter(classes): return nn.Conv2d(3, classes, 1)
def frozen(classes): return nn.Sequential(Net(classes), nn.BatchNorm1d(classes).eval())
def one_more(classes): return Net(classes + 1)

class Net2(Net):
    def __init__(self, classes, training, testing=lambda y: y):
        super().__init__(classes)
        self.outputs = testing, training
    def forward(self, x):
        return self.outputs[self.training](super().forward(x))

def breaks_in_training(classes):
    def fail(y): raise RuntimeError("only one branch")
    return Net2(classes, fail)
def features(classes): return Net2(classes, lambda y: y, lambda y: {"features": y})
def other_size(classes): return Net2(classes, lambda y: torch.cat([y, y], 1))
def detached(classes): return Net2(classes, lambda y: y.detach())
def empty(classes): return Net(classes).to("meta")

# Outputs that hold the logits.
def pair(classes): return Net2(classes, lambda y: (y, 2 * y))
def mapping(classes): return Net2(classes, lambda y: {"out": y, "aux": 2 * y}, lambda y: {"out": y})
class Output(dict):
    logits = property(lambda self: self["logits"])
def whole(classes): return Net2(classes, lambda y: Output(logits=y), lambda y: Output(logits=y))

class Flat(nn.Module):
    def __init__(self, classes, lazy):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout()
        self.last = nn.LazyLinear(classes) if lazy else nn.Linear(4 * 64 * 64, classes)
    def forward(self, x):
        x = self.drop(self.norm(self.conv(x)))
        return self.last(x.view(x.size(0), -1))

def flat(classes): return Flat(classes, lazy=False)
def lazy(classes): return Flat(classes, lazy=True)
def breaks(classes): return nn.Conv2d(5, classes, 1)
def nothing(classes): return None
def refuses(classes): raise RuntimeError("only two classes")
number = 3
"""


@pytest.fixture
def own(own_module):
    """A module of the user's in the working folder."""
    return own_module("own_nets", OWN)


def labels(count):
    return Classification(tuple("abcdef"[:count]), torch.arange(count))


def masks(*names):
    return Segmentation(names, torch.zeros(1, 4, 4, dtype=torch.uint8))


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "timm:resnet18d", "timm:vit_tiny_patch16_224"])  # fmt: skip
def test_classifiers_give_one_logit_a_class(name):
    net = networks.build(name, 5, size=(48, 64)).eval()
    assert net(torch.rand(2, 3, 48, 64)).shape == (2, 5)


@pytest.mark.parametrize("name", ["pair", "mapping", "whole", "flat", "lazy"])
def test_networks_are_used_as_they_are_written(name, own):
    """Logits in a tuple, a dictionary or an object; flattened by `view`; made at the first call."""
    torch.manual_seed(0)
    net = networks.build(f"import:own_nets.{name}", 3)
    if name != "lazy":  # it draws its weights when it is called
        torch.manual_seed(0)
        source = importlib.import_module("own_nets").__dict__[name](3)
        same = {n: torch.equal(t, source.state_dict()[n]) for n, t in net.state_dict().items()}
        assert all(same.values()), same
    x = torch.rand(2, 3, 64, 64).contiguous(memory_format=layout(net))
    net.to(memory_format=layout(net))
    for mode in (True, False):
        assert net.train(mode)(x).shape == (2, 3)
    weights.save(net, own / "w.safetensors")
    task = Task(f"import:own_nets.{name}", checkpoint=str(own / "w.safetensors"))
    assert torch.equal(networks.load_checkpoint(task, labels(3))(x), net(x))


@pytest.mark.parametrize("size", [(64, 32), (33, 70), (20, 34), (5, 100)])
def test_views_are_mirrored_up_to_a_multiple_of_32_and_cropped(size):
    seen = []
    net = networks.Padded(nn.Identity())
    net.net.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    x = torch.rand(2, 3, *size)
    assert torch.equal(net(x), x)
    added = [(-n % 32 // 2, -n % 32 - -n % 32 // 2) for n in size]
    assert np.array_equal(seen[0], np.pad(x, [(0, 0), (0, 0), *added], mode="reflect"))
    assert not any(n % 32 for n in seen[0].shape[2:])


def test_unetplusplus_takes_every_size():
    net = networks.build("unetplusplus", 4).eval()
    assert net(torch.rand(1, 3, 33, 50)).shape == (1, 4, 33, 50)


def test_a_network_of_ones_own(own):
    assert networks.build("import:own_nets.classifier", 3)(torch.rand(2, 3, 8, 8)).shape == (2, 3)
    net = networks.build("import:own_nets.segmenter", 1, size=(5, 7), logits_shape=(1, 5, 7))
    assert net(torch.rand(2, 3, 5, 7)).shape == (2, 1, 5, 7)
    weights = {f"module.{name}": t + 1 for name, t in net.state_dict().items()}
    torch.save(weights, own / "w.pt")
    same = networks.build("import:own_nets.segmenter", 1, "w.pt", (5, 7), (1, 5, 7))
    assert torch.equal(same.weight, net.weight + 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("import:no_such_thing.net", "there is no module no_such_thing"),
        ("import:own_nets.sub.net", "there is no module own_nets.sub"),
        ("import:own_nets.nett", "own_nets has no nett; it has .*classifier"),
        ("import:own_nets.number", "own_nets.number is of type int; expected a function"),
        ("import:own_nets.nothing", "returns NoneType"),
        ("import:own_nets.one_more", r"returns \(1, 4\).*expected .* shape \(1, 3\)"),
        ("import:own_nets.segmenter", r"returns \(1, 3, 64, 64\).*expected .* shape \(1, 3\)"),
        ("import:own_nets.breaks", "fails on views"),
        ("import:own_nets.breaks_in_training", "in training fails on views.*only one branch"),
        ("import:own_nets.features", r"returns a dict with 'features'.*\(1, 3\)"),
        ("import:own_nets.other_size", r"returns \(2, 6\) in training .*\(2, 3\)"),
        ("import:own_nets.detached", "can't be trained: its logits depend on no parameter"),
        ("import:own_nets.empty", "2 tensors on the meta device.*'conv.weight'"),
        (
            "import:own_nets.refuses",
            "own_nets.refuses fails for 3 output channels: RuntimeError: only two",
        ),
        ("import:broken.net", "broken can't be imported.*not_installed"),
        ("import:wrong.net", r"wrong can't be imported.*line 1"),
        ("timm:resnet18d_", "did you mean.*resnet18d"),
        ("timm:resnet18.nothing", "no model.*nothing"),
        ("timm:inception_v3", "fails on views"),
        ("resnet19", "did you mean 'resnet18'"),
    ],
)
def test_networks_that_can_not_be_used_say_why(name, message, own):
    (own / "broken.py").write_text("import not_installed")
    (own / "wrong.py").write_text("def net(:")
    with pytest.raises(rd.InputError, match=message):
        networks.build(name, 3)


@pytest.mark.parametrize("name", ["unetplusplus", "timm:resnet18"])
def test_a_missing_package_names_the_extra(name, monkeypatch):
    for module in ("segmentation_models_pytorch", "timm"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(rd.InputError, match=r'pip install "rawdrift\[models\]"'):
        networks.build(name, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unetplusplus", "can't be downloaded.*smp-hub/resnet34.imagenet.*task.weights"),
        ("timm:resnet18", "can't be downloaded.*timm/resnet18.*task.weights"),
        ("timm:vit_relpos_small_patch16_rpn_224", "no pretrained weights"),
        ("import:own_nets.classifier", "load them in its factory"),
    ],
)
def test_imagenet_weights_that_can_not_be_had(name, message, own, monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(rd.InputError, match=message):
        networks.build(name, 3, "imagenet")


def test_unetplusplus_takes_weights_of_a_resnet34_for_its_encoder(tmp_path):
    source = networks.build("resnet34", 1000)
    save_file(source.state_dict(), tmp_path / "encoder.safetensors")
    net = networks.build("unetplusplus", 1, str(tmp_path / "encoder.safetensors"))
    assert torch.equal(net.net.encoder.layer4[0].conv1.weight, source.layer4[0].conv1.weight)
    torch.save(net.net.state_dict(), tmp_path / "whole.pt")
    other = networks.build("unetplusplus", 3, str(tmp_path / "whole.pt"))  # a head of its own
    assert torch.equal(other.net.encoder.conv1.weight, source.conv1.weight)
    assert other.net.segmentation_head[0].weight.shape[0] == 3


@pytest.mark.parametrize("normalize", ["none", "imagenet", [[0.5, 0.4, 0.3], [0.2, 0.1, 0.3]]])
def test_a_checkpoint_is_the_network_behind_its_normalization(normalize, tmp_path):
    source = networks.build("resnet18", 3).eval()
    torch.save({"state_dict": {f"net.{k}": v for k, v in source.state_dict().items()}}, tmp_path / "c.pt")  # fmt: skip
    task = Task(checkpoint=str(tmp_path / "c.pt"), normalize=normalize)
    net = networks.load_checkpoint(task, labels(3), (32, 32))
    assert not net.training
    view = torch.rand(2, 3, 32, 32)
    mean, std = {"none": ([0.0] * 3, [1.0] * 3), "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])}.get(str(normalize), normalize)  # fmt: skip
    mean, std = (torch.tensor(x)[:, None, None] for x in (mean, std))
    torch.testing.assert_close(net(view), source((view - mean) / std))


def test_a_checkpoint_of_a_segmentation_network(tmp_path):
    source = networks.build("unetplusplus", 2).eval()
    save_file(source.net.state_dict(), tmp_path / "c.safetensors")
    task = Task("unetplusplus", checkpoint=str(tmp_path / "c.safetensors"))
    net = networks.load_checkpoint(task, masks("0", "255"), (40, 33))
    view = torch.rand(1, 3, 40, 33)
    assert torch.equal(net(view), source(view))


def test_checkpoints_that_can_not_be_used_say_why(tmp_path):
    net = networks.build("resnet18", 3).eval()
    files = {
        "module.pt": lambda path: torch.save(net, path),
        "script.pt": lambda path: path.write_bytes(scripted(nn.Conv2d(3, 3, 1))),
        "program.pt2": lambda path: torch.export.save(
            torch.export.export(nn.Conv2d(3, 3, 1), (torch.rand(1, 3, 4, 4),)), path
        ),
    }
    for name, write in files.items():
        write(tmp_path / name)
        with pytest.raises(rd.InputError, match=r"more than tensors.*model\.state_dict\(\)"):
            networks.load_checkpoint(Task(checkpoint=str(tmp_path / name)), labels(3))
    torch.save(net.state_dict(), tmp_path / "three.pt")
    with pytest.raises(rd.InputError, match=r"fc\.weight.*\(3, 512\) in the file, of shape \(2, 512\).*a, b"):  # fmt: skip
        networks.load_checkpoint(Task(checkpoint=str(tmp_path / "three.pt")), labels(2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "optimizer": {"state": {}}}, r"keys 'epoch' \(int\), 'optimizer' \(dict\).*none"),
        ({"student": {"w": torch.ones(1)}, "teacher": {"w": torch.ones(1)}}, "several hold one"),
        ([torch.ones(1)], "hold a list"),
        ({}, "hold no state dict"),
    ],
)  # fmt: skip
def test_checkpoints_without_a_state_dict_name_their_keys(content, message, tmp_path):
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(rd.InputError, match=message):
        networks.load_checkpoint(Task(checkpoint=str(tmp_path / "c.pt")), labels(3))


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net", "anything"])
@pytest.mark.parametrize("counters", [True, False])
def test_checkpoints_hold_the_state_dict_under_a_key(key, counters, tmp_path):
    source = networks.build("resnet18", 3).eval()
    state = {k: v for k, v in source.state_dict().items() if counters or "num_batches" not in k}
    content = {"epoch": 3, key: {"state_dict": state} if key == "net" else state, "optimizer": {"state": {}}}  # fmt: skip
    torch.save({**content, "ema": state} if key == "model" else content, tmp_path / "c.pt")
    net = networks.load_checkpoint(Task(checkpoint=str(tmp_path / "c.pt")), labels(3))
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(net(x), source(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: torch.where(w > 0.01, torch.nan, w), "values that are not finite as .*float32.* nan"),
        (lambda w: torch.full_like(w, -torch.inf), "432 of 432 values.*-inf"),
        (lambda w: torch.full_like(w, 1e39, dtype=torch.float64), "not finite as .*float32.*1e.39"),
        (lambda w: (100 * w).to(torch.int8), "is torch.int8, expected torch.float32"),
        (lambda w: w.to(torch.complex64), "is torch.complex64"),
        (lambda w: w.to("meta"), "is on the meta device"),
        (lambda w: w.to_sparse(), "is sparse"),
        (lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8), "is quantized"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*quantize")
def test_weights_without_usable_numbers_are_refused(change, message, tmp_path, own_module):
    own_module("small", "from torch import nn\ndef net(n): return nn.Sequential(nn.Conv2d(3, 16, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, n))")  # fmt: skip
    state = networks.build("import:small.net", 3).state_dict()
    torch.save({**state, "0.weight": change(state["0.weight"])}, tmp_path / "c.pt")
    with pytest.raises(rd.InputError, match=f"tensor '0.weight' .*{message}"):
        networks.load_checkpoint(Task("import:small.net", checkpoint=str(tmp_path / "c.pt")), labels(3))  # fmt: skip
    torch.save({k: v.double() if v.is_floating_point() else v for k, v in state.items()}, tmp_path / "c.pt")  # fmt: skip
    networks.load_checkpoint(Task("import:small.net", checkpoint=str(tmp_path / "c.pt")), labels(3))


def test_an_infinite_mask_of_the_network_itself_is_no_flaw(tmp_path, own_module):
    own_module("masked", "import torch\nfrom torch import nn\nclass M(nn.Module):\n    def __init__(self, n):\n        super().__init__(); self.w = nn.Parameter(torch.ones(n)); self.register_buffer('mask', torch.tensor([0.0, -torch.inf]))\n    def forward(self, x):\n        return x.mean((1, 2, 3))[:, None] * self.w + self.mask.exp().sum()\ndef net(n): return M(n)")  # fmt: skip
    torch.save(networks.build("import:masked.net", 3).state_dict(), tmp_path / "c.pt")
    networks.load_checkpoint(
        Task("import:masked.net", checkpoint=str(tmp_path / "c.pt")), labels(3)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {f"module.{k}": v for k, v in state.items()}, None),
        (lambda state: {**state, "0.mean": state["0.mean"].reshape(1, 3, 1, 1)}, None),
        (lambda state: {**state, "0.std": torch.zeros(3)}, "0.mean without a usable"),
        (lambda state: {k: v for k, v in state.items() if k != "0.std"}, "0.mean without a usable"),
        (lambda state: {"norm.mean": state["0.mean"], **{k: v for k, v in state.items() if k[0] == "1"}}, "first 'norm.mean'"),
    ],
)  # fmt: skip
def test_no_normalization_of_a_checkpoint_is_dropped(change, message, tmp_path):
    net = nn.Sequential(Normalize.fixed("imagenet"), networks.build("resnet18", 3)).eval()
    torch.save(change(net.state_dict()), tmp_path / "c.pt")
    task = Task(checkpoint=str(tmp_path / "c.pt"))
    if message:
        with pytest.raises(rd.InputError, match=message):
            networks.load_checkpoint(task, labels(3))
        return
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(networks.load_checkpoint(task, labels(3))(x), net(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {"criterion.weight": torch.ones(3), "loss.pos": torch.ones(1)}, "ignored.*criterion.weight, loss.pos"),
        (lambda state: {f"ema{k.replace('.', '')}": v + 1 for k, v in state.items()}, "ignored.* and .* more"),
        (lambda state: {f"ema.{k}": v.clone() for k, v in state.items()}, "ignored"),
        (lambda state: {f"ema.{k}": v + 1 for k, v in state.items()}, None),
        (lambda state: {"model.layer5.weight": torch.ones(1)}, None),
        (lambda state: {"normalize.scale": torch.ones(3)}, None),
        (lambda state: {"pre.mean": torch.ones(3)}, None),
    ],
)  # fmt: skip
def test_what_is_beside_a_network_is_ignored_and_named(change, message, tmp_path, capsys):
    net = networks.build("resnet18", 3).eval()
    state = net.state_dict()
    beside = change(state)
    torch.save({**beside, **{f"model.{k}": v for k, v in state.items() if "num_b" not in k}}, tmp_path / "c.pt")  # fmt: skip
    task = Task(checkpoint=str(tmp_path / "c.pt"))
    if message is None:
        with pytest.raises(
            rd.InputError, match="several times, as ema|layer5|first '(normalize|pre)"
        ):
            networks.load_checkpoint(task, labels(3))
        return
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(networks.load_checkpoint(task, labels(3))(x), net(x))
    networks.load_checkpoint(task, labels(3))
    (said,) = capsys.readouterr().out.splitlines()
    assert re.search(message, said)


def test_wrappers_in_wrappers_end(tmp_path):
    content: dict = {}
    for _ in range(30):
        content = dict.fromkeys(weights.WRAPPERS, content)
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(rd.InputError, match="hold no state dict"):
        weights.read(tmp_path / "c.pt")


class Code:
    def __reduce__(self):
        return print, ("code of a cached file ran",)


def test_cached_weights_that_are_not_the_published_ones_are_not_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub/checkpoints/resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    torch.save({"x": Code()}, file)
    with pytest.raises(rd.InputError, match=r"resnet18-f37072fd.pth is not the published .*delete"):
        networks.build("resnet18", 3, "imagenet")
    blob = tmp_path / "blobs" / ("0" * 64)
    blob.parent.mkdir()
    save_file({"x": torch.ones(1)}, blob)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(blob))
    for name in ("unetplusplus", "timm:resnet18d"):
        with pytest.raises(rd.InputError, match="is not the published .*model.safetensors"):
            networks.build(name, 3, "imagenet")
    assert not capsys.readouterr().out


def test_cached_weights_are_those_of_the_hub(tmp_path, monkeypatch):
    source = networks.build("timm:resnet18d", 1000)
    save_file(source.state_dict(), tmp_path / "file")
    blob = (tmp_path / "file").rename(tmp_path / files.sha256(tmp_path / "file"))
    (tmp_path / "model.safetensors").symlink_to(blob)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(tmp_path / "model.safetensors"))  # fmt: skip
    net = networks.build("timm:resnet18d", 3, "imagenet")
    assert torch.equal(net.layer4[0].conv1.weight, source.layer4[0].conv1.weight)
    assert net.fc.weight.shape[0] == 3


def scripted(net):
    """TorchScript, as older installations wrote it."""
    import io
    import warnings

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(net), file)
    return file.getvalue()


def test_the_fingerprint_changes_with_what_a_training_starts_from(own):
    def found(**task):
        return networks.fingerprint(Task(**task), labels(3))

    state = networks.build("resnet18", 3).state_dict()
    torch.save(state, own / "w.pt")
    prints = {found(), found(weights="w.pt"), found(model="import:own_nets.classifier")}
    assert len(prints) == 3
    assert found(checkpoint="w.pt") == found(weights="w.pt")
    torch.save({**state, "fc.bias": torch.ones(3)}, own / "w.pt")
    assert found(weights="w.pt") not in prints
    (own / "own_nets.py").write_text(OWN + "# changed\n")
    assert found(model="import:own_nets.classifier") not in prints


def test_building_leaves_the_modes_and_the_random_state_of_a_network_alone(own):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    networks.fingerprint(Task("import:own_nets.classifier"), labels(3))
    assert torch.equal(torch.get_rng_state(), state)
    net = networks.build("import:own_nets.frozen", 3)
    assert [module.training for module in net] == [True, False]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "import:net"}, "unknown task.model"),
        ({"model": "timm:"}, "unknown task.model"),
        ({"model": "resnet51"}, "did you mean"),
        ({"kind": "detection"}, "classification; segmentation"),
        ({"metric": "acuracy"}, "did you mean 'accuracy'"),
        ({"metric": "import:scores"}, "unknown task.metric"),
        ({"mask": "both"}, "binary; classes"),
        ({"loss": "focal"}, "dice_cross_entropy"),
        ({"loss": "dice", "class_weights": "balanced"}, "apply to the cross entropy"),
        ({"class_weights": "some"}, "none; balanced"),
        ({"augment": "heavy"}, "none; weak; strong"),
        ({"normalize": "imagenet"}, "applies to task.checkpoint only"),
        ({"checkpoint": "nowhere.pt"}, "is not a file"),
        ({"checkpoint": __file__, "weights": "imagenet"}, "give only one"),
        ({"checkpoint": __file__, "normalize": "imagenett"}, "none, imagenet, or"),
        ({"checkpoint": __file__, "normalize": [[1.0, 2.0], [1.0, 2.0]]}, "3 finite numbers"),
        ({"checkpoint": __file__, "normalize": [[1.0, 2.0, 3.0]]}, "none, imagenet, or"),
        ({"checkpoint": __file__, "normalize": [[0.0] * 3, [0.0] * 3]}, "above 0"),
    ],
)
def test_impossible_tasks_are_refused(fields, message):
    with pytest.raises(rd.InputError, match=message):
        Task(**fields)
