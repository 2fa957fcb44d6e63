"""A part of a frame is developed as it is within the frame."""

from dataclasses import replace

import pytest
import torch

import rawdrift as rd
from rawdrift.isp import parts
from test_more_steps import CAMERA, STEPS, names

from conftest import random_camera, random_mosaic

MOSAIC = random_mosaic(3, 90, 116)
PARTS = [(slice(33, 60), slice(35, 82)), (slice(0, 5), slice(100, 116)), (slice(85, 90), slice(4))]


def assert_parts_fit(isp, mosaic=MOSAIC, within=1e-12):
    whole, stages = isp.trace(mosaic)
    for rows, columns in PARTS:
        columns = slice(columns.start or 0, columns.stop)
        part = parts.develop(isp, mosaic, rows, columns)
        assert torch.allclose(part, whole[..., rows, columns], rtol=0, atol=within)
        for name, stage in parts.trace(isp, mosaic, rows, columns):
            assert torch.allclose(stage, stages[name][..., rows, columns], rtol=0, atol=within)


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_every_configuration(name):
    assert_parts_fit(rd.isp.static(name, random_camera(5)))


@pytest.mark.parametrize("cfa", ["MONO", "XTRANS", "RRGG/RRGG/GGBB/GGBB", "RCCB"])
def test_other_arrays(cfa):
    sites = rd.Camera("one", cfa).black_level
    camera = replace(rd.Camera("other", cfa), black_level=sites)
    assert_parts_fit(rd.isp.static("bi,u,ga", camera))


@pytest.mark.parametrize("step", STEPS, ids=names)
def test_every_step_says_how_far_it_looks(step):
    isp = rd.isp.static("bi,-,-", replace(CAMERA, defective_pixels=None, shading=None))
    place = {"before": "black_level"} if step.takes == "mosaic" else {"after": "tone_curve"}
    isp = isp.insert("another", step, **place)
    if parts.reach(isp) is None:
        with pytest.raises(rd.InputError, match="another needs the whole frame"):
            parts.develop(isp, MOSAIC, *PARTS[0])
    else:  # JPEG rounds to 8 bits
        assert_parts_fit(isp, within=0.0 if isinstance(step, rd.isp.JPEG) else 1e-12)


def test_ahd():
    isp = rd.isp.static("bi,s,me", random_camera(5))
    assert_parts_fit(isp.replace(demosaic=rd.isp.AHD(isp.demosaic.cfa, median_passes=2)))


def test_every_step_of_a_camera():
    assert_parts_fit(rd.isp.static("me,u,me", CAMERA), MOSAIC.float(), 2e-6)
