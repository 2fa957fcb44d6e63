"""Calibration by photon transfer: what is simulated is found again, within the stated errors."""

import re
import warnings

import numpy as np
import pytest
import tifffile
import torch

import rawdrift as rd
from rawdrift import cfa
from rawdrift.camera.calibrate import calibrate
from rawdrift.camera.camera import Noise
from rawdrift.camera.photon_transfer import measure
from rawdrift.cli import main
from rawdrift.sensor import Sensor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from emva1288.camera.camera import Camera as EmvaCamera

BLACK = (0.0156, 0.016, 0.0164, 0.017)
LEVELS = (0.02, 0.2, 0.4, 0.6)
FULL_SCALE = 2**16 - 1


def camera(**fields):
    given = {"cfa": "GRBG", "noise": Noise(gain=5.4, read_noise=4.0), "black_level": BLACK}
    return rd.Camera(**{"name": "bench", **given, **fields})


def shoot(folder, taken, levels=LEVELS, seed=0, size=64, darks=2, suffix="npy"):
    """Dark frames, and two flats at each level, as files."""
    sensor, generator = Sensor(taken), torch.Generator().manual_seed(seed)

    def shot(name, level):
        path = folder / f"{name}.{suffix}"
        light = torch.full((3, size, size), float(level))
        dn = sensor.digital(light, generator).numpy()
        if taken.bit_depth <= 8:
            dn = dn.astype(np.uint8)
        np.save(path, dn) if suffix == "npy" else tifffile.imwrite(path, dn)
        return path

    return (
        [shot(f"dark_{i}", 0) for i in range(darks)],
        [shot(f"flat_{i}_{take}", level) for take in "ab" for i, level in enumerate(levels)],
    )


def known(**fields):
    return rd.Camera(name="lab", cfa="GRBG", **fields)


CASES = {
    "plain": {},
    "few electrons": {"levels": (0.0005, 0.002, 0.004)},
    "twelve of sixteen bits": {"adc_bits": 12, "noise": Noise(gain=8.4, read_noise=3.0)},
    "saturated flats": {"levels": (0.1, 0.3, 0.6, 0.9, 1.0, 2.0)},
    "three dark frames": {"darks": 3},
    "dark current": {"noise": Noise(gain=5.4, read_noise=3.0, dark_current=7.0)},
}


@pytest.mark.parametrize("case", CASES)
def test_the_intervals_cover_the_truth_as_often_as_they_say(case, tmp_path):
    fields = dict(CASES[case])
    shots = {name: fields.pop(name) for name in ("levels", "darks") if name in fields}
    taken = camera(**fields)
    misses = []
    for seed in range(40):
        found = calibrate(*shoot(tmp_path, taken, seed=seed, size=48, **shots), known())
        noise = found.camera.noise
        read = np.hypot(taken.noise.read_noise, (taken.noise.dark_current or 0) ** 0.5)
        black = np.subtract(found.camera.black_level, BLACK) * FULL_SCALE
        misses.append(
            [
                (noise.gain - taken.noise.gain) / found.errors.gain,
                (noise.read_noise - read) / found.errors.read_noise,
                *(black / found.black_error),
            ]
        )
    misses = np.array(misses)
    assert abs(misses.mean(axis=0)).max() < 4 / 40**0.5  # no bias beside the errors
    covered = (abs(misses) < 1.96).mean(axis=0)
    assert covered.min() >= 0.82  # 33 of 40: as few in one of 200 samples at 95 %
    assert (abs(misses) < 1).mean() == pytest.approx(0.68, abs=0.12)


def test_the_errors_shrink_with_the_frames(tmp_path):
    small = calibrate(*shoot(tmp_path, camera(), size=48), known())
    large = calibrate(*shoot(tmp_path, camera(), size=384), known())
    assert large.errors.gain == pytest.approx(small.errors.gain / 8, rel=0.3)
    assert large.errors.read_noise == pytest.approx(small.errors.read_noise / 8, rel=0.3)
    assert large.camera.noise.gain == pytest.approx(5.4, rel=0.01)
    assert large.camera.noise.read_noise == pytest.approx(4.0, rel=0.01)


def test_frames_of_the_reference_simulator_give_its_gain_and_dark_noise(tmp_path):
    emva = EmvaCamera(
        bit_depth=12, width=200, height=200, K=0.55, blackoffset=100, dark_current_ref=4e4,
        temperature=30, temperature_ref=30, dark_signal_0=0.0, sigma2_dark_0=36.0, u_esat=1e9,
        seed=1,
    )  # fmt: skip

    def shot(name, level):
        np.save(tmp_path / f"{name}.npy", emva.grab(emva.get_radiance_for(mean=level * 4095)))
        return tmp_path / f"{name}.npy"

    dark = [tmp_path / "d0.npy", tmp_path / "d1.npy"]
    for path in dark:
        np.save(path, emva.grab(np.zeros(emva.qe.w.shape)))
    flat = [shot(f"{level}{take}", level) for level in (0.1, 0.3, 0.5, 0.8, 1.4) for take in "ab"]
    found = calibrate(dark, flat, known(bit_depth=12))
    noise, dark_electrons = found.camera.noise, 4e4 * emva.exposure * 1e-9
    # Its frames hold the noise of quantization twice.
    read = (36 + dark_electrons + 1 / (12 * emva.K**2)) ** 0.5
    assert abs(noise.gain - emva.K) < 3 * found.errors.gain < 0.02 * emva.K
    assert abs(noise.read_noise - read) < 3 * found.errors.read_noise < 0.05 * read
    black = (emva.blackoffset + emva.K * dark_electrons) / 4095
    assert found.camera.black_level == pytest.approx([black] * 4, abs=4 * found.black_error / 4095)
    assert "1.4a.npy and 1.4b.npy are saturated and left out" in found.notes


@pytest.mark.parametrize("pattern", cfa.PATTERNS)
def test_the_black_level_is_that_of_each_site(pattern, tmp_path):
    taken = camera(cfa=pattern, black_level=(0.01, 0.02, 0.03, 0.04))
    found = calibrate(*shoot(tmp_path, taken), rd.Camera(name="lab", cfa=pattern))
    assert found.camera.black_level == pytest.approx(taken.black_level, abs=5e-5)


def test_two_frames_are_measured_as_emva_1288_writes_it():
    a, b = np.random.default_rng(0).integers(900, 1100, (2, 20, 30)).astype(np.uint16)
    level = measure([a, b + np.uint16(7)], "RGGB", 1)
    for i, (row, column) in enumerate(cfa.offsets("RGGB")):
        one, other = (x[row::2, column::2].astype(float) for x in (a, b + 7))
        expected = np.square(one - other).mean() / 2 - (one.mean() - other.mean()) ** 2 / 2
        n = one.size
        assert level.variance[i] == pytest.approx(expected * n / (n - 1))
        assert level.mean[i] == pytest.approx((one.mean() + other.mean()) / 2)
        assert level.freedom[i] == n - 1


def test_pixels_and_shading_that_differ_are_no_noise(tmp_path):
    """Fixed pattern and vignetting stand still: only what changes in time is noise."""
    sensor, generator = Sensor(camera()), torch.Generator().manual_seed(0)
    shading = torch.linspace(0.5, 1, 96) * torch.rand(96, 96, generator=generator).add(4).div(5)
    paths = []
    for i, level in enumerate((0, 0, *np.repeat(LEVELS, 2))):
        paths.append(tmp_path / f"{i}.npy")
        flicker = 1 + 0.004 * (i % 2)
        light = (level * flicker * shading).float().expand(3, 96, 96)
        np.save(paths[-1], sensor.digital(light, generator).numpy())
    found = calibrate(paths[:2], paths[2:], known())
    assert abs(found.camera.noise.gain - 5.4) < 3 * found.errors.gain < 0.3
    assert abs(found.camera.noise.read_noise - 4.0) < 3 * found.errors.read_noise
    assert found.notes == ()


def test_what_else_is_known_of_the_camera_is_kept(tmp_path):
    before = known(
        gamma=1.8, white_balance=(2.0, 1.0, 1.5), white_level=0.95, provenance="by hand",
        noise=Noise(gain=1.0, dark_current=3.0, full_well=9000.0),
    )  # fmt: skip
    found = calibrate(*shoot(tmp_path, camera()), before).camera
    assert (found.name, found.gamma, found.white_balance) == ("lab", 1.8, (2.0, 1.0, 1.5))
    assert found.provenance.startswith("by hand; black level, gain and read noise by photon")
    # The dark current's noise is in the read noise now.
    assert (found.noise.full_well, found.noise.dark_current) == (9000.0, None)


def test_left_justified_values_tell_the_bits_of_the_adc(tmp_path):
    taken = camera(adc_bits=12, noise=Noise(gain=8.4, read_noise=3.0))
    assert calibrate(*shoot(tmp_path, taken), known()).camera.adc_bits == 12
    assert calibrate(*shoot(tmp_path, camera()), known()).camera.adc_bits is None


def test_read_noise_behind_the_steps_of_the_adc_is_said_to_be_so(tmp_path):
    taken = camera(noise=Noise(gain=0.8))
    found = calibrate(*shoot(tmp_path, taken), known())
    assert found.camera.noise.read_noise == 0
    assert found.errors.read_noise == pytest.approx(1 / 12**0.5 / 0.8, rel=0.1)
    assert any("read noise is too low" in note for note in found.notes)


def test_points_that_leave_the_line_widen_the_errors(tmp_path):
    dark, flat = shoot(tmp_path, camera())
    plain = calibrate(dark, flat, known())
    for path in flat:  # processing inside the camera: noise that light does not explain
        dn = np.load(path).astype(float)
        smooth = (dn + np.roll(dn, 2, axis=1)) / 2 if "1_" in path.name else dn
        np.save(path, smooth.round().astype(np.uint16))
    found = calibrate(dark, flat, known())
    assert found.errors.gain > 2 * plain.errors.gain
    assert any("scatter" in note for note in found.notes)


def test_one_exposure_is_enough_but_is_noted(tmp_path):
    found = calibrate(*shoot(tmp_path, camera(), levels=(0.5,), size=128), known())
    assert abs(found.camera.noise.gain - 5.4) < 3 * found.errors.gain
    assert found.notes == ("one exposure: that variance is linear in signal could not be checked",)


def test_from_the_command_line_to_a_sensor_of_the_same_noise(tmp_path, capsys):
    dark, flat = shoot(tmp_path, camera(), size=128, suffix="tif", levels=(0.05, 0.3, 0.6, 1.5))
    out = tmp_path / "out" / "lab.toml"
    code = main(
        ["cameras", "fit", "--dark", *map(str, dark), "--flat", *map(str, flat),
         "--cfa", "GRBG", "--out", str(out)]
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert "note: flat_3_a.tif and flat_3_b.tif are saturated and left out" in printed
    stated = {
        name: tuple(map(float, pair))
        for name, *pair in re.findall(r"^([\w, ]+): ([\d.]+) \+- ([\d.]+) ", printed, re.M)
    }
    gain, error = stated["gain"]
    assert abs(gain - 5.4) < 3 * error < 0.3
    read_noise, error = stated["read noise"]
    assert abs(read_noise - 4.0) < 3 * error < 0.3
    black, error = stated["black level, G in blue rows"]
    assert abs(black - BLACK[2] * FULL_SCALE) < 4 * error < 2
    found = rd.Camera.load(out)
    assert (found.name, found.cfa) == ("lab", "GRBG")
    assert found.noise.gain == pytest.approx(gain, abs=0.01)
    assert re.search(
        r"8 flat and 2 dark frames; standard errors: gain [\d.]+ DN/e-", found.provenance
    )
    Sensor(found)


def test_values_of_fewer_bits_need_the_bit_depth(tmp_path, capsys):
    noise = Noise(gain=0.34, read_noise=4.0)
    dark, flat = shoot(tmp_path, camera(bit_depth=12, noise=noise), suffix="tif")
    out = tmp_path / "lab.toml"
    shots = ["--dark", *map(str, dark), "--flat", *map(str, flat)]
    command = ["cameras", "fit", *shots, "--cfa", "GRBG", "--out", str(out)]
    assert main(command) == 2
    assert "expected --bit_depth 12 if full scale is 4095" in capsys.readouterr().err
    assert not out.exists()
    assert main([*command, "--bit_depth", "12"]) == 0
    assert rd.Camera.load(out).bit_depth == 12
    assert rd.Camera.load(out).black_level == pytest.approx(BLACK, abs=3e-4)
    found = calibrate(dark, flat, known())
    assert any("measure again with bit_depth = 12" in note for note in found.notes)


def scaled(path, factor):
    np.save(path, (np.load(path) * factor).astype(np.uint16))


MISTAKES = {
    "one dark frame": (lambda dark, flat: (dark[:1], flat), "1 dark frame given, expected at least 2"),
    "one flat frame": (lambda dark, flat: (dark, flat[:1]), "1 flat frame given"),
    "an odd frame": (lambda dark, flat: (dark, flat[1:]), r"flat_0_b.npy.*has no partner.*flat_1"),
    "a lamp that went out": (
        lambda dark, flat: (dark, [scaled(flat[2], 0.9), flat][1]), "has no partner of its exposure"),
    "another size": (
        lambda dark, flat: (dark, [np.save(flat[1], np.zeros((8, 8), np.uint16)), flat][1]),
        r"flat_1_a.npy holds \(8, 8\) pixels of uint16, but .*dark_0.npy \(64, 64\)"),
    "floats": (
        lambda dark, flat: (dark, [np.save(flat[1], np.full((64, 64), 0.5)), flat][1]),
        "flat_1_a.npy holds floats"),
    "no light": (lambda dark, flat: (dark, shoot(dark[0].parent / "more", camera(), (0, 0))[1]),
        "hold no light"),
    "all saturated": (lambda dark, flat: (dark, shoot(dark[0].parent / "more", camera(), (2, 3))[1]),
        "all 4 flat frames reach beyond 70% of saturation"),
    "dark frames cut off": (
        lambda dark, flat: (shoot(dark[0].parent / "more", camera(black_level=(0.0,) * 4))[0], flat),
        "cut off at 0.*raise the camera's black offset"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_frames_that_can_not_be_used_are_refused(mistake, tmp_path):
    (tmp_path / "more").mkdir()
    change, said = MISTAKES[mistake]
    dark, flat = change(*shoot(tmp_path, camera()))
    with pytest.raises(rd.InputError, match=said):
        calibrate(dark, flat, known())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--out", "x.toml"], "carries no camera metadata; give"),
        (["--out", "x.txt", "--cfa", "RGGB"], "--out must name a camera file"),
        (["--out", "x.toml", "--cfa", "RGBG"], "unknown cfa pattern"),
        (["--out", "x.toml", "--cfa", "RGGB", "--camera", "raw-drone"], "leave out --cfa"),
        (["--out", "x.toml", "--noise", "3"], "--camera, --cfa, --chart, .*--dark, --flat, --out"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(more, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    dark, flat = shoot(tmp_path, camera(), levels=(0.5,), size=16)
    shots = ["--dark", *map(str, dark), "--flat", *map(str, flat)]
    assert main(["cameras", "fit", *shots, *more]) == 2
    error = capsys.readouterr().err
    assert error.startswith("rawdrift: error: ")
    assert error.count("\n") == 1
    assert re.search(said, error)
