"""Steps of a user's own: one class in a module, and everything works with it."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from torch import nn

import rawdrift as rd
from planted import CAMERA, planted
from rawdrift.cli import main
from rawdrift.controls.optimization import learned
from rawdrift.isp import file
from rawdrift.models.chain import Develop

from conftest import random_mosaic

MODULE = '''
from rawdrift.checks import positive
from rawdrift.isp import Number, Option, Step, absolute, relative
from rawdrift.isp.yuv import luma


class Saturation(Step):
    """v = y + amount * (x - y) around the luma y; amount 1 changes nothing. View kept."""

    numbers = {"amount": Number(shape=(), default=1.0, drift=relative(0.2), least=0.0)}

    def forward(self, x):
        self.check(x)
        y = luma(x).unsqueeze(-3)
        return y + self.amount.to(x) * (x - y)


class Flare(Step):
    """v = x + share * mean(x). Mosaic kept."""

    takes = gives = "mosaic"
    numbers = {"share": Number(default=0.0, drift=absolute(0.02), least=0.0, unit="of the mean")}

    def forward(self, x):
        return x + self.share.to(x) * x.mean((-2, -1), keepdim=True)


class Tone(Step):
    """v = lift * x ** (g / gamma) * gains, g an option."""

    options = {"g": Option(default=2.2, check=positive)}
    numbers = {
        "gamma": Number(camera="gamma", above=0.0),
        "gains": Number(shape=(3,), default=(1.0, 1.0, 1.0), elements="RGB", unit="x"),
    }

    def forward(self, x):
        power = x.clamp(1e-6, 1) ** (self.g / self.gamma.to(x))
        return power * self.gains.to(x)[:, None, None]


class Ceiling(Step):
    numbers = {"white": Number(camera="white_level")}
'''
SATURATION = "import:own_lab.steps.Saturation"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """The folder of the package `own_lab`, which holds the steps."""
    folder = tmp_path / "own_lab"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "steps.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    forget()


def forget():
    for name in [name for name in sys.modules if name.startswith("own_lab")]:
        del sys.modules[name]


def steps():
    import own_lab.steps

    return own_lab.steps


def everywhere(isp, amount=1.1):
    """The pipeline with steps of one's own before, between and behind ours, one of them twice."""
    own = steps()
    return (
        isp.insert("flare", own.Flare(0.01), before="black_level")
        .insert("vivid", own.Saturation(amount), after="color_correction")
        .insert("tone", own.Tone.of(CAMERA), after="gamma")
        .insert("pale", own.Saturation(0.9), after="tone")
    )


def test_it_is_constructed_as_it_is_declared():
    with pytest.raises(TypeError, match="missing a required argument: 'gains'"):
        rd.isp.WhiteBalance()
    with pytest.raises(TypeError, match="'forward' can't name"):
        type("Bad", (rd.isp.Step,), {"numbers": {"forward": rd.isp.Number()}})
    numbers = {"a": rd.isp.Number(default=1.0), "b": rd.isp.Number()}
    with pytest.raises(TypeError, match="without a default before"):
        type("Bad", (rd.isp.Step,), {"numbers": numbers})
    with pytest.raises(rd.InputError, match="unknown camera field 'gama'"):
        rd.isp.Number(camera="gama")


def test_numbers_are_checked(lab):
    own = steps()
    assert own.Saturation().amount == 1
    assert own.Saturation(amount=0.5).amount == own.Saturation(0.5).amount == 0.5
    tone = own.Tone(2.0, g=1.8)
    assert (tone.gamma, tone.gains.tolist(), tone.g) == (2, [1, 1, 1], 1.8)
    assert own.Tone.of(CAMERA).gamma == CAMERA.gamma
    assert [n for n, _ in own.Tone.of(CAMERA, parametrized=True).named_parameters()] == [
        "gamma", "gains",
    ]  # fmt: skip
    for make, message in [
        (lambda: own.Saturation(-1.0), r"Saturation.amount must be at least 0, got -1"),
        (lambda: own.Saturation([1.0, 2.0]), r"Saturation.amount must have shape \(\)"),
        (lambda: own.Saturation(float("nan")), "Saturation.amount must be finite"),
        (lambda: own.Tone(0.0), "Tone.gamma must be above 0"),
        (lambda: own.Tone(1.0, g=-1), "g must be a number above 0"),
        (lambda: own.Ceiling.of(CAMERA), "Ceiling.white must be given; camera 'lab' does not"),
    ]:
        with pytest.raises(rd.InputError, match=message):
            make()


@pytest.mark.parametrize("name", ["bi,s,ga", "me,u,me"])
def test_it_develops_and_is_differentiable(name, lab):
    isp = everywhere(rd.isp.parametrized(name, CAMERA))
    mosaic = 0.2 + 0.5 * random_mosaic(0, 6, 8)
    view, stages = isp.trace(mosaic)
    assert list(stages) == list(isp.steps)
    plain = rd.isp.static(name, CAMERA)(mosaic + 0.01 * mosaic.mean())
    own = steps()
    without = isp.remove("vivid", "tone", "pale")(mosaic)
    torch.testing.assert_close(without, plain)
    torch.testing.assert_close(view, own.Saturation(0.9)(own.Tone.of(CAMERA)(stages["gamma"])))
    torch.testing.assert_close(isp(mosaic.float()), view.float(), rtol=0, atol=1e-5)
    amount = torch.tensor(1.1, dtype=torch.float64, requires_grad=True)

    def developed(amount, x):
        return torch.func.functional_call(isp, {"vivid.amount": amount}, (x,))

    assert torch.autograd.gradcheck(lambda amount: developed(amount, mosaic), (amount,), atol=1e-4)


def test_a_file_with_it_is_loaded_only_if_that_is_allowed(lab):
    isp = everywhere(rd.isp.static("ma,u,ga", CAMERA))
    path = lab / "own.toml"
    rd.isp.save(isp, path, CAMERA)
    text = path.read_text()
    assert f'kind = "{SATURATION}"' in text
    allowed = [f"import:own_lab.steps.{name}" for name in ("Saturation", "Flare", "Tone")]
    forget()
    for some in ([], allowed[:2]):
        with pytest.raises(rd.InputError, match="names code to import.*if you trust it"):
            rd.isp.load(path, allow_import=some)
        with pytest.raises(rd.InputError, match="names code to import"):
            rd.isp.open(path, allow_import=some)
        with pytest.raises(rd.InputError, match="names code to import"):
            file.read(path)
    assert "own_lab" not in sys.modules
    found = rd.isp.load(path, allow_import=allowed)
    going_on = rd.isp.load(path, allow_import=allowed, parametrized=True)
    assert [type(s).__name__ for s in found.steps.values()] == [
        type(s).__name__ for s in isp.steps.values()
    ]
    for loaded in (found, going_on):
        assert loaded.state_dict().keys() == isp.state_dict().keys()
        for name, value in loaded.state_dict().items():
            assert torch.equal(value, isp.state_dict()[name]), name
    assert found.tone.g == 2.2
    assert not list(found.parameters())
    assert dict(going_on.named_parameters()).keys() == isp.state_dict().keys()
    rd.isp.save(going_on, lab / "again.toml", CAMERA)
    assert (lab / "again.toml").read_text() == text
    assert rd.Camera.load(path) == CAMERA  # a camera file, for which nothing is imported


def test_what_a_file_says_of_it_is_checked(lab):
    isp = rd.isp.static("bi,s,ga", CAMERA)
    isp = isp.insert("vivid", steps().Saturation(1.5), after="gamma")
    text = file.to_toml(isp, CAMERA)
    path = lab / "own.toml"
    for old, new, message in [
        ("amount = 1.5", "amount = -1", "step 'vivid': Saturation.amount must be at least 0"),
        ("amount = 1.5", "", "field of step 'vivid' amount is missing"),
        ("amount = 1.5", "amount = 1.5\nhue = 1", "unknown field of step 'vivid' 'hue'"),
        ("steps.Saturation", "steps.Saturate", "own_lab.steps has no Saturate"),
        ("steps.Saturation", "steps.luma", "is not a class of steps"),
        ("own_lab.steps.Saturation", "own_labs.steps.Saturation", "there is no module own_labs"),
    ]:
        path.write_text(text.replace(old, new))
        kinds = [word.strip('"') for word in path.read_text().split() if "import:" in word]
        with pytest.raises(rd.InputError, match=message):
            rd.isp.load(path, allow_import=kinds)


def test_its_numbers_are_axes_with_names_and_units(lab):
    isp = everywhere(rd.isp.static("bi,s,ga", CAMERA))
    axes = {axis.name: axis for axis in rd.forensics.ParameterSpace.around(isp).axes}
    assert next(iter(axes)) == "flare.share"
    assert (axes["flare.share"].low, axes["flare.share"].high) == (0, pytest.approx(0.03))
    assert (axes["flare.share"].unit, axes["flare.share"].label) == ("of the mean", "flare share")
    assert (axes["vivid.amount"].low, axes["vivid.amount"].high) == pytest.approx((0.88, 1.32))
    assert axes["tone.gains[2]"].label == "tone gains B"
    assert axes["gamma.gamma"].label == "gamma"
    assert axes["white_balance.gains[0]"].label == "white balance gain R"
    named = rd.forensics.ParameterSpace.around(isp, {"pale.amount": (0.5, 1), "tone.gains": 0.1})
    assert named.names == ["pale.amount", *(f"tone.gains[{i}]" for i in range(3))]
    moved = named.pipeline(isp, np.array([0.7, 1.0, 1.1, 1.0]))
    assert (moved.pale.amount, moved.vivid.amount) == (0.7, 1.1)
    assert moved.tone.gains.tolist() == [1, 1.1, 1]
    with pytest.raises(rd.InputError, match="vivid.amount must be at least 0"):
        rd.forensics.ParameterSpace.around(isp, {"vivid.amount": (-1, 2)})


def test_it_is_searched(lab):
    net, data, _ = planted("hue", images=16, size=8)
    isp = rd.isp.static("bi,s,ga", CAMERA)
    isp = isp.insert("vivid", steps().Saturation(), before="gamma")
    space = rd.forensics.ParameterSpace.around(isp, {"vivid.amount": (0.0, 1.5)})
    found = rd.forensics.search(net, isp, data, space, restarts=1, steps=8, rivals=(), seed=0)
    assert found.baseline > found.metric
    assert found.parameters["vivid.amount"] < 0.5


def test_it_is_learned_within_its_bounds(lab):
    isp = rd.isp.static("bi,s,ga", CAMERA)
    amount = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    isp = isp.insert("vivid", steps().Saturation(amount), before="gamma")
    mosaics = random_mosaic(0, 12, 12, (4,)).float()
    index = torch.zeros(4, dtype=torch.long)
    target = isp.replace(vivid=steps().Saturation(0.0))(mosaics)
    for bounds, expected in [("default", 0.8), ("none", 0.0), ({"vivid.amount": (0.5, 2)}, 0.5)]:
        with torch.no_grad():
            amount.fill_(1.0)
        develop = Develop([isp])
        sides = learned.box(develop, [CAMERA], bounds)
        optimizer = torch.optim.Adam([amount], lr=0.1)
        for _ in range(60):
            optimizer.zero_grad()
            (develop(mosaics, index) - target).square().mean().backward()
            optimizer.step()
            learned.project(sides)
        assert amount.item() == pytest.approx(expected, abs=0.05)
    physical = steps().Saturation.numbers["amount"].not_physical
    assert list(physical(np.array(-0.1), np.array(1.0), [0.1] * 4)) == ["-0.1 is not at least 0"]


def test_it_is_signed_and_checked(lab, capsys):
    net, data, _ = planted("brightness", images=24, size=8)
    isp = rd.isp.static("bi,s,ga", CAMERA)
    tone = steps().Tone.of(CAMERA, gains=[1.0, 1.0, 1.0], g=CAMERA.gamma)
    isp = isp.insert("vivid", steps().Saturation(1.1), before="gamma")
    isp = isp.insert("tone", tone, after="gamma")
    space = rd.forensics.ParameterSpace.around(isp, {"vivid.amount": 0.2, "tone.gamma": 0.02})
    envelope = rd.forensics.envelope(net, isp, data, space, max_drop=0.25, cameras=5)
    signature = rd.forensics.sign(envelope, net, isp, data, CAMERA)
    signature.save(lab / "signature.json")
    described = json.loads((lab / "signature.json").read_text())["isp"]
    assert described["configuration"] is None
    own = [step for step in described["steps"] if step["kind"].startswith("import:")]
    assert own == [
        {"name": "vivid", "kind": SATURATION, "camera": {}},
        {
            "name": "tone",
            "kind": "import:own_lab.steps.Tone",
            "camera": {"gamma": "gamma"},
            "options": {"g": 2.2},
        },
    ]
    rd.isp.save(isp, lab / "own.toml", CAMERA)
    vivid = isp.replace(vivid=steps().Saturation(1.9), tone=steps().Tone.of(CAMERA, g=2.0))
    rd.isp.save(vivid, lab / "vivid.toml", CAMERA)
    replace(CAMERA, gamma=3.0).save(lab / "other.toml")
    CAMERA.save(lab / "camera.toml")
    forget()

    def checked(*arguments):
        code = main(["check", str(lab / "signature.json"), *arguments])
        out = capsys.readouterr()
        return code, out.out + out.err

    # A camera is checked without the code, by the fields that the signature names.
    assert checked("--camera", str(lab / "camera.toml"))[0] == 0
    code, text = checked("--camera", str(lab / "other.toml"))
    assert code == 1
    assert "tone.gamma is 3" in text
    assert "gamma.gamma is 3" in text
    code, text = checked("--isp", str(lab / "own.toml"))
    assert code == 2
    assert "names code to import" in text
    assert "own_lab" not in sys.modules
    allow = ["--allow_import", SATURATION, "--allow_import", "import:own_lab.steps.Tone"]
    assert checked("--isp", str(lab / "own.toml"), *allow)[0] == 0
    code, text = checked("--isp", str(lab / "vivid.toml"), *allow)
    assert code == 1
    assert "vivid.amount is 1.9" in text
    assert "tone.g is 2.0, validated for 2.2 alone" in text


def test_raw_files_are_developed_with_it(lab, capsys):
    mosaic = random_mosaic(1, 12, 14)
    tifffile.imwrite(lab / "raw.tif", np.rint(65535 * mosaic.numpy()).astype(np.uint16))
    isp = everywhere(rd.isp.static("bi,s,ga", CAMERA))
    rd.isp.save(isp, lab / "own.toml", CAMERA)
    command = ["develop", str(lab / "raw.tif"), "--isp", str(lab / "own.toml"), "--format", "tiff"]
    command += ["--out", str(lab / "views")]
    assert main(command) == 2
    assert "names code to import" in capsys.readouterr().err
    for name in ("Saturation", "Flare", "Tone"):
        command += ["--allow_import", f"import:own_lab.steps.{name}"]
    assert main(command) == 0
    picture = tifffile.imread(lab / "views/raw_own.tiff").astype(np.float64) / 65535
    raw = rd.read_raw(lab / "raw.tif", CAMERA)
    expected = isp(raw.mosaic).permute(1, 2, 0).clamp(0, 1)
    np.testing.assert_allclose(picture, expected, atol=0.51 / 65535)
