"""The forensic signature: written, read, tampered with, and checked from the command line."""

import copy
import hashlib
import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
import torch

import rawdrift as rd
from planted import CAMERA, ISP, planted
from rawdrift.camera.camera import Noise, Optics
from rawdrift.cli import main
from rawdrift.controls.evidence.signature import schema
from rawdrift.controls.synthesis.spec import SynthesisSpec
from rawdrift.data.spec import Data
from rawdrift.runs.spec import to_yaml

from test_read import write_dng

RANGES = {
    "gamma.gamma": (1.9, 2.5),
    "white_balance.gains": 0.1,
    "color_correction.saturation": 0.3,
    "color_correction.hue": (-10, 10),
}


def signed(isp=ISP, camera=CAMERA, ranges=RANGES, spec=None):
    net, data, _ = planted("brightness", images=24, size=8)
    space = rd.forensics.ParameterSpace.around(isp, ranges)
    found = rd.forensics.envelope(net, isp, data, space, max_drop=0.25, cameras=10)
    return found, rd.forensics.sign(found, net, isp, data, camera, spec)


@pytest.fixture(scope="module")
def made():
    return signed(spec=SynthesisSpec(Data("synthetic-microscopy")))


@pytest.fixture
def file(made, tmp_path):
    path = tmp_path / "signature.json"
    made[1].save(path)
    return path


def resealed(content):
    """With the checksum that the changed content would have."""
    rest = {key: value for key, value in content.items() if key != "checksum"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return {**rest, "checksum": hashlib.sha256(text.encode()).hexdigest()}


def test_a_signature_is_read_back_and_says_what_was_found(made, file):
    envelope, signature = made
    read = rd.forensics.Signature.load(file)
    assert read == signature
    content = json.loads(file.read_text())
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(content, schema())
    assert content == resealed(content)
    assert list(content)[:2] == ["format", "version"]
    assert content["box"] == {name: list(bounds) for name, bounds in envelope.box.items()}
    assert content["tolerances"]["gamma.gamma"]["low"] == envelope.tolerances["gamma.gamma"].low
    assert content["isp"]["configuration"] == "bi,s,ga"
    assert content["baseline"]["value"] == envelope.baseline.value
    spec = to_yaml(SynthesisSpec(Data("synthetic-microscopy")))
    assert content["spec_sha256"] == hashlib.sha256(spec.encode()).hexdigest()


def test_fingerprints_are_of_every_weight_and_pixel(made):
    net, data, _ = planted("brightness", images=24, size=8)
    content = made[1].content
    assert rd.forensics.fingerprint(net) == content["model"]["sha256"]
    net.at += 1e-6
    assert rd.forensics.fingerprint(net) != content["model"]["sha256"]
    space = rd.forensics.ParameterSpace.around(ISP, {"gamma.gamma": 0.01})
    data[3] = (data[3][0].clone().index_fill_(0, torch.tensor(2), 0.1), data[3][1])
    found = rd.forensics.envelope(net, ISP, data, space, max_drop=0.25, cameras=1)
    other = rd.forensics.sign(found, net, ISP, data, CAMERA).content
    assert other["data"]["sha256"] != content["data"]["sha256"]
    assert other["spec_sha256"] is None


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def test_any_change_is_noticed(file):
    content = json.loads(file.read_text())
    for path, value in leaves(content):
        changed = copy.deepcopy(content)
        at = changed
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value + 1e-9 if isinstance(value, float) else f"{value}x"
        file.write_text(json.dumps(changed))
        with pytest.raises(rd.InputError, match="signature"):
            rd.forensics.Signature.load(file)


UNUSABLE = {
    "no JSON": (lambda file, content: file.write_text("{"), "it is not JSON"),
    "NaN": (lambda file, content: file.write_text('{"format": NaN}'), "it is not JSON"),
    "binary": (lambda file, content: file.write_bytes(b"\xff\xfe"), "it is not JSON"),
    "beyond any float": (
        lambda file, content: file.write_text(
            json.dumps(content).replace(json.dumps(content["space"][0]["low"]), "-1e999")
        ),
        "it is not JSON (-1e999 is not a JSON number",
    ),
    "a whole number beyond any float": (
        lambda file, content: (
            content["isp"]["numbers"].update({"gamma.gamma": 10**400}),
            file.write_text(json.dumps(resealed(content))),
        ),
        "it is not JSON (1000",
    ),
    "another file": (lambda file, content: file.write_text("[1]"), "its format is not"),
    "no file": (lambda file, content: file.unlink(), "does not exist"),
    "another version": (
        lambda file, content: file.write_text(json.dumps(resealed(content | {"version": 2}))),
        "version 2, expected 1",
    ),
    "a field less": (
        lambda file, content: (content.pop("box"), file.write_text(json.dumps(resealed(content)))),
        "'box' is a required property",
    ),
    "an axis less": (
        lambda file, content: (
            content["box"].pop("gamma.gamma"),
            file.write_text(json.dumps(resealed(content))),
        ),
        "space, tolerances and box differ",
    ),
    "no numbers": (
        lambda file, content: (
            content["isp"]["numbers"].pop("gamma.gamma"),
            file.write_text(json.dumps(resealed(content))),
        ),
        "lacks isp.numbers gamma.gamma",
    ),
    "changed": (
        lambda file, content: file.write_text(json.dumps(content | {"max_drop": 0.2})),
        "has been changed since it was written",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_signatures_end_with_2(name, file, tmp_path, capsys):
    break_it, message = UNUSABLE[name]
    break_it(file, json.loads(file.read_text()))
    CAMERA.save(tmp_path / "camera.toml")
    assert main(["check", str(file), "--camera", str(tmp_path / "camera.toml")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def run(file, camera, capsys, *more):
    path = file.parent / "camera.toml"
    camera.save(path)
    code = main(["check", str(file), "--camera", str(path), "--json", *more])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if code < 2 else captured.err


def test_the_own_camera_is_inside(file, capsys):
    code, verdict = run(file, replace(CAMERA, name="renamed", provenance="new"), capsys)
    assert (code, verdict["inside"], verdict["outside"], verdict["moved"]) == (0, True, [], [])
    rounded = [[round(number, 3) for number in row] for row in CAMERA.color_matrix]
    assert run(file, replace(CAMERA, color_matrix=rounded), capsys)[0] == 0
    assert run(file, CAMERA, capsys, "--isp", "bi,s,ga")[0] == 0
    code, error = run(file, CAMERA, capsys, "--isp", "ma,s,ga")
    assert code == 2
    assert "for the ISP 'bi,s,ga'" in error


@pytest.mark.parametrize("end", ["low", "high"])
def test_one_number_alone_may_go_as_far_as_its_tolerance(made, file, capsys, end):
    tolerance = made[0].tolerances["gamma.gamma"]
    edge = getattr(tolerance, end)
    step = 0.01 if end == "high" else -0.01
    assert run(file, replace(CAMERA, gamma=edge - step), capsys)[0] == 0
    code, verdict = run(file, replace(CAMERA, gamma=edge + step), capsys)
    assert code == 1
    assert verdict["together"] is False
    (found,) = verdict["outside"]
    assert found["parameter"] == "gamma.gamma"
    assert found["by"] == pytest.approx(0.01, abs=1e-9)
    assert (found["low"], found["high"]) == (tolerance.low, tolerance.high)


def test_several_numbers_must_be_in_the_joint_box(made, file, capsys):
    box = made[0].box
    rng = np.random.default_rng(0)
    space = rd.forensics.ParameterSpace.around(ISP, RANGES)
    for _ in range(3):
        setting = np.array([rng.uniform(*bounds) for bounds in box.values()])
        isp = space.pipeline(ISP, setting)
        camera = replace(
            CAMERA,
            gamma=float(isp.gamma.gamma),
            white_balance=isp.white_balance.gains.tolist(),
            color_matrix=isp.color_correction.matrix.tolist(),
        )
        code, verdict = run(file, camera, capsys)
        assert code == 0, verdict
        assert verdict["together"] is True
    beyond = {name: high + 0.1 * abs(high) for name, (_, high) in box.items()}
    isp = rd.forensics.ParameterSpace.around(
        ISP, {name: (-99, 99) if "hue" in name else (0.1, 99) for name in box}
    ).pipeline(ISP, np.array([*beyond.values()]))
    camera = replace(
        CAMERA,
        gamma=float(isp.gamma.gamma),
        white_balance=isp.white_balance.gains.tolist(),
        color_matrix=isp.color_correction.matrix.tolist(),
    )
    code, verdict = run(file, camera, capsys)
    assert code == 1
    found = {one["parameter"]: one for one in verdict["outside"]}
    assert set(found) == set(box)
    for name, one in found.items():
        assert one["by"] == pytest.approx(beyond[name] - box[name][1], abs=1e-9)
        assert one["value"] == pytest.approx(beyond[name], abs=1e-9)


HELD = {
    "black level": ({"black_level": (0.03, 0.02, 0.02, 0.02)}, "black_level.level[0]"),
    "white level": ({"white_level": 0.9}, "black_level.white"),
    "pattern": ({"cfa": "BGGR"}, "demosaic.cfa"),
    "matrix": (
        {"color_matrix": ((1.5, -0.4, -0.1), (-0.2, 1.9, -0.4), (0.0, -0.4, 1.4))},
        "color_correction.matrix[",
    ),
}


@pytest.mark.parametrize("name", HELD)
def test_what_is_no_axis_must_be_as_it_was(name, file, capsys):
    change, parameter = HELD[name]
    code, verdict = run(file, replace(CAMERA, **change), capsys)
    assert code == 1
    assert any(one["parameter"].startswith(parameter) for one in verdict["outside"])


def test_text_for_people_names_what_is_outside(file, tmp_path, capsys):
    replace(CAMERA, name="dark", gamma=3.0, cfa="GBRG").save(tmp_path / "dark.toml")
    assert main(["check", str(file), "--camera", str(tmp_path / "dark.toml")]) == 1
    told = capsys.readouterr().out
    assert told.startswith("dark is outside the envelope\n")
    assert "demosaic.cfa is GBRG, validated for RGGB alone" in told
    assert "gamma.gamma is 3, validated from" in told
    assert "note: the signature does not speak of the sensor" in told


def test_a_level_is_named_as_in_the_camera_file(file, tmp_path, capsys):
    replace(CAMERA, white_level=0.9).save(tmp_path / "white.toml")
    assert main(["check", str(file), "--camera", str(tmp_path / "white.toml")]) == 1
    told = capsys.readouterr().out
    assert "black_level.white (white_level of the camera) is 0.9, validated without it" in told


def test_a_dng_says_its_camera(file, tmp_path, capsys):
    dng = write_dng(tmp_path / "shot.dng", np.full((64, 48), 9000, np.uint16))
    assert main(["check", str(file), "--camera", str(dng), "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)
    found = {one["parameter"]: one for one in verdict["outside"]}
    assert found["black_level.level[0]"]["value"] == pytest.approx(512 / 65535)
    assert found["black_level.white"]["value"] == pytest.approx(60000 / 65535)


def test_sensors_are_compared_where_their_settings_are_axes(tmp_path, capsys):
    camera = replace(CAMERA, noise=Noise(20.0, 3.0), optics=Optics(1.0))
    isp = rd.forensics.with_sensor(ISP, camera)
    ranges = {"sensor.gain": 0.02, "sensor.read_noise": (0, 4), "sensor.psf_sigma": (0, 1)}
    envelope, signature = signed(isp, camera, ranges)
    assert envelope.tolerances["sensor.read_noise"].high == 4
    file = tmp_path / "signature.json"
    signature.save(file)
    assert signature.content["isp"]["configuration"] == "bi,s,ga"
    assert run(file, camera, capsys)[0] == 0
    assert run(file, replace(camera, noise=Noise(20.0, 4.9)), capsys)[0] == 0  # 3 and 3.87
    code, verdict = run(file, replace(camera, noise=Noise(20.0, 5.5)), capsys)
    assert code == 1
    assert verdict["outside"][0]["parameter"] == "sensor.read_noise"
    code, verdict = run(file, replace(camera, noise=Noise(30.0, 3.0)), capsys)
    assert verdict["outside"][0]["value"] == pytest.approx(1.5)
    code, verdict = run(file, replace(camera, optics=Optics(3.0)), capsys)
    assert verdict["outside"][0]["value"] == pytest.approx(8**0.5)


def test_an_isp_of_another_camera_is_not_signed():
    net, data, _ = planted("brightness", images=24, size=8)
    space = rd.forensics.ParameterSpace.around(ISP, {"gamma.gamma": 0.01})
    found = rd.forensics.envelope(net, ISP, data, space, max_drop=0.25, cameras=1)
    with pytest.raises(rd.InputError, match=r"gamma\.gamma.*give the camera it was made of"):
        rd.forensics.sign(found, net, ISP, data, replace(CAMERA, gamma=2.3))


def test_an_isp_file_is_checked_with_its_kernels(file, tmp_path, capsys):
    path = tmp_path / "learned.toml"

    def checked(isp, *more):
        rd.isp.save(isp, path, CAMERA)
        code = main(["check", str(file), "--isp", str(path), "--json", *more])
        captured = capsys.readouterr()
        return code, json.loads(captured.out)["outside"] if code < 2 else captured.err

    assert checked(ISP) == (0, [])
    sharper = [[0, -1.5, 0], [-1, 5.5, -1], [0, -1, 0]]
    code, outside = checked(ISP.replace(sharpen=rd.isp.SharpeningFilter(sharper)))
    assert code == 1
    assert [one["parameter"] for one in outside] == ["sharpen.kernel[0,1]", "sharpen.kernel[1,1]"]
    code, outside = checked(ISP.replace(gamma=rd.isp.Gamma(3.5)))
    assert (code, [one["parameter"] for one in outside]) == (1, ["gamma.gamma"])
    code, outside = checked(rd.isp.static("bi,s,ga", CAMERA, "yuv"))
    assert (code, [one["parameter"] for one in outside]) == (
        1, ["sharpen.channels", "denoise.channels"],
    )  # fmt: skip
    assert (outside[0]["value"], outside[0]["low"]) == ("yuv", "luma")
    code, error = checked(rd.isp.static("bi,s,me", CAMERA))
    assert code == 2
    assert "is for the ISP 'bi,s,ga', not for one with denoise (MedianDenoising)" in error
    assert "leave out --camera" in checked(ISP, "--camera", str(path))[1]
    assert main(["check", str(file)]) == 2
    assert "--camera is missing" in capsys.readouterr().err
