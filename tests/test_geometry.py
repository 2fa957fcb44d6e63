"""Developing commutes with crops, flips and turns of the mosaic."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import rawdrift as rd
from rawdrift.cfa import PATTERNS
from rawdrift.data import geometry

from conftest import random_camera, random_mosaic

MARGIN = 18  # farther than any pipeline sees
CROPS = [(13, 13), (14, 13), (13, 14), (12, 12)]

# By name: of the mosaic with its pattern, of the view, and how many quarter turns it is.
TURNS = {
    "left to right": (partial(geometry.flip, horizontal=True), lambda x: x.flip(-1), 0),
    "upside down": (partial(geometry.flip, vertical=True), lambda x: x.flip(-2), 0),
    "both": (partial(geometry.flip, horizontal=True, vertical=True), lambda x: x.flip(-1, -2), 0),
    **{
        f"{k} quarters": (
            partial(geometry.rot90, k=k), partial(torch.rot90, k=k, dims=(-2, -1)), k
        )
        for k in (-1, 1, 2, 3)
    },
}  # fmt: skip


def cameras():
    """Of every pattern, with four black levels that differ."""
    return [random_camera(i, cfa) for i, cfa in enumerate(PATTERNS)]


def views(mosaic, camera):
    with rd.isp.engine("eager"):
        return rd.isp.views(mosaic, camera)


def view_of(mosaic, camera):
    with rd.isp.engine("eager"):
        return rd.isp.static("ma,u,me", camera)(mosaic)


def inner(view):
    return view[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


@pytest.mark.parametrize("camera", cameras(), ids=lambda camera: camera.cfa)
@pytest.mark.parametrize(("height", "width"), [(30, 32), (31, 32), (30, 33), (31, 33)])
@pytest.mark.parametrize("name", TURNS)
def test_flips_and_turns_commute_with_developing(name, camera, height, width):
    turn, of_view, k = TURNS[name]
    mosaic = random_mosaic(3, height, width)
    turned, cfa = turn(mosaic, camera.cfa)
    expected = views(mosaic, camera)
    for isp, view in views(turned, geometry.turned(camera, cfa, k)).items():
        torch.testing.assert_close(view, of_view(expected[isp]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("camera", cameras(), ids=lambda camera: camera.cfa)
def test_crops_commute_with_developing_away_from_their_borders(camera):
    mosaic = random_mosaic(4, 58, 59)
    expected = views(mosaic, camera)
    for top, left in CROPS:
        cropped, cfa = geometry.crop(mosaic, top, left, 44, 45, camera.cfa)
        for name, view in views(cropped, geometry.turned(camera, cfa)).items():
            true = expected[name][..., top : top + 44, left : left + 45]
            torch.testing.assert_close(inner(view), inner(true), rtol=0, atol=1e-9)


@pytest.mark.parametrize("cfa", PATTERNS)
@pytest.mark.parametrize("name", TURNS)
def test_flips_and_turns_that_keep_the_phase_move_by_a_pixel_at_most(name, cfa):
    turn, of_view, _ = TURNS[name]
    camera = rd.Camera(name="x", cfa=cfa)
    mosaic = random_mosaic(5, 44, 45)
    kept, pattern = turn(mosaic, cfa, keep_phase=True)
    assert pattern == cfa
    view, true = view_of(kept, camera), of_view(view_of(mosaic, camera))
    assert view.shape == true.shape
    moves = [true.roll((-down, -right), (-2, -1)) for down in (0, 1) for right in (0, 1)]
    assert sum(torch.allclose(inner(view), inner(x), rtol=0, atol=1e-9) for x in moves) == 1


@pytest.mark.parametrize("cfa", PATTERNS)
@pytest.mark.parametrize("name", TURNS)
def test_what_keeps_the_phase_has_the_pattern_up_to_its_borders(name, cfa):
    letters = torch.tensor([ord(letter) for letter in cfa]).view(2, 2).tile(4, 4)
    for height, width in [(6, 8), (7, 8), (6, 7), (7, 7)]:
        kept = TURNS[name][0](letters[:height, :width], cfa, keep_phase=True).mosaic
        assert torch.equal(kept, letters[: kept.shape[0], : kept.shape[1]])


def test_crops_that_keep_the_phase_begin_at_even_places():
    mosaic = random_mosaic(5, 48, 49)
    for top, left in CROPS:
        cropped, kept = geometry.crop(mosaic, top, left, 20, 21, "GRBG", keep_phase=True)
        assert kept == "GRBG"
        assert torch.equal(cropped, mosaic[top - top % 2 :, left - left % 2 :][:20, :21])


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
