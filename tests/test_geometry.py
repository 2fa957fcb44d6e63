"""Developing commutes with crops, flips and turns of the mosaic."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import rawdrift as rd
from rawdrift.cfa import PATTERNS
from rawdrift.data import geometry

from conftest import random_camera, random_mosaic

MARGIN = 12  # farther than any pipeline sees
CROPS = [(13, 13), (14, 13), (13, 14), (12, 12)]


def cameras():
    """Of every pattern, with four black levels that differ."""
    return [random_camera(i, cfa) for i, cfa in enumerate(PATTERNS)]


def views(mosaic, camera):
    with rd.isp.engine("eager"):
        return rd.isp.views(mosaic, camera)


def inner(view):
    return view[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


@pytest.mark.parametrize("camera", cameras(), ids=lambda camera: camera.cfa)
@pytest.mark.parametrize(("height", "width"), [(30, 32), (31, 32), (30, 33), (31, 33)])
def test_flips_and_turns_commute_with_developing(camera, height, width):
    mosaic = random_mosaic(3, height, width)
    expected = views(mosaic, camera)
    operations = [
        (geometry.flip(mosaic, camera.cfa, h, v), 0, [-1] * h + [-2] * v)
        for h, v in [(True, False), (False, True), (True, True)]
    ]
    for (flipped, cfa), _, axes in operations:
        for name, view in views(flipped, geometry.turned(camera, cfa)).items():
            torch.testing.assert_close(view, expected[name].flip(axes), rtol=0, atol=1e-9)
    for k in range(-1, 4):
        rotated, cfa = geometry.rot90(mosaic, camera.cfa, k)
        for name, view in views(rotated, geometry.turned(camera, cfa, k)).items():
            true = torch.rot90(expected[name], k, (-2, -1))
            torch.testing.assert_close(view, true, rtol=0, atol=1e-9)


@pytest.mark.parametrize("camera", cameras(), ids=lambda camera: camera.cfa)
def test_crops_commute_with_developing_away_from_their_borders(camera):
    mosaic = random_mosaic(4, 60, 62)
    expected = views(mosaic, camera)
    for top, left in CROPS:
        cropped, cfa = geometry.crop(mosaic, top, left, 40, 41, camera.cfa)
        for name, view in views(cropped, geometry.turned(camera, cfa)).items():
            true = expected[name][..., top : top + 40, left : left + 41]
            torch.testing.assert_close(inner(view), inner(true), rtol=0, atol=1e-9)


@pytest.mark.parametrize("cfa", PATTERNS)
def test_what_keeps_the_phase_is_the_nearest_with_the_same_pattern(cfa):
    camera = rd.Camera(name="x", cfa=cfa)
    mosaic = random_mosaic(5, 48, 49)
    expected = views(mosaic, camera)
    for top, left in CROPS:
        cropped, kept = geometry.crop(mosaic, top, left, 20, 21, cfa, keep_phase=True)
        assert kept == cfa
        even = mosaic[top - top % 2 :, left - left % 2 :][:20, :21]
        assert torch.equal(cropped, even)
    for k, horizontal, vertical in [(0, True, False), (0, False, True), (1, False, False), (2, False, False), (3, False, False)]:  # fmt: skip
        turn = (
            (lambda x, k=k: torch.rot90(x, k, (-2, -1)))
            if k
            else (lambda x, h=horizontal, v=vertical: x.flip([-1] * h + [-2] * v))
        )
        kept, pattern = (
            geometry.rot90(mosaic, cfa, k, keep_phase=True)
            if k
            else geometry.flip(mosaic, cfa, horizontal, vertical, keep_phase=True)
        )
        assert pattern == cfa
        assert kept.shape == turn(mosaic).shape
        found = {name: inner(view) for name, view in views(kept, camera).items()}
        moves = [
            (down, right)
            for down in (0, 1)
            for right in (0, 1)
            if all(
                torch.allclose(
                    view,
                    inner(turn(expected[name]).roll((-down, -right), (-2, -1))),
                    rtol=0,
                    atol=1e-9,
                )
                for name, view in found.items()
            )
        ]
        assert len(moves) == 1  # the view, moved by at most a pixel
        # The mosaic made at the border still has the pattern.
        colors = torch.tensor([[ord(c) for c in cfa]]).view(2, 2).tile(24, 25)[:, :49]
        turned = (
            geometry.rot90(colors, cfa, k, keep_phase=True)
            if k
            else geometry.flip(colors, cfa, horizontal, vertical, keep_phase=True)
        )
        height, width = turned.mosaic.shape
        assert torch.equal(
            turned.mosaic,
            torch.tensor([[ord(c) for c in cfa]]).view(2, 2).tile(25, 25)[:height, :width],
        )


@given(
    cfa=st.sampled_from(PATTERNS),
    height=st.integers(2, 7),
    width=st.integers(2, 7),
    k=st.integers(-5, 5),
)
def test_any_size_batch_and_type_goes_there_and_back(cfa, height, width, k):
    mosaic = torch.randint(0, 65535, (2, 3, height, width)).to(torch.uint16)
    rotated, pattern = geometry.rot90(mosaic, cfa, k)
    assert rotated.dtype == torch.uint16
    back, again = geometry.rot90(rotated, pattern, -k)
    assert torch.equal(back, mosaic)
    assert again == cfa
    flipped = geometry.flip(*geometry.flip(mosaic, cfa, horizontal=True), horizontal=True)
    assert torch.equal(flipped.mosaic, mosaic)
    assert flipped.cfa == cfa


def test_impossible_crops_are_refused():
    mosaic = torch.zeros(8, 8)
    for box in [(-1, 0, 4, 4), (0, 5, 4, 4), (5, 0, 4, 4), (0, 0, 1, 4), (2, 2, -2, 4)]:
        with pytest.raises(rd.InputError, match="crop"):
            geometry.crop(mosaic, *box, "RGGB")
    with pytest.raises(rd.InputError, match="RGGB"):
        geometry.flip(mosaic, "RGBG", horizontal=True)
    with pytest.raises(rd.InputError, match="at least 2x2"):
        geometry.flip(torch.zeros(1, 8), "RGGB", horizontal=True)
