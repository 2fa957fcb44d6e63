"""A part of a frame is developed as it is within the frame."""

from dataclasses import replace

import pytest
import torch

import rawdrift as rd
from rawdrift.isp import parts
from rawdrift.isp import steps as rd_steps
from test_more_steps import CAMERA, STEPS, names

from conftest import random_camera, random_mosaic

MOSAIC = random_mosaic(3, 90, 116)
PARTS = [
    (slice(33, 60), slice(35, 82)),
    (slice(0, 5), slice(100, 116)),
    (slice(85, 90), slice(0, 4)),
]


def assert_parts_fit(isp, mosaic=MOSAIC, within=1e-12):
    """Parts of every stage are those of the whole frame, once that is measured."""
    _, stages = isp.trace(mosaic)
    settled = parts.measured(isp, mosaic)
    for name, stage in stages.items():
        height, width = stage.shape[-2:]
        for rows, columns in PARTS:
            rows, columns = (
                slice(part.start * size // of, max(part.stop * size // of, 1))
                for part, size, of in zip(
                    (rows, columns), (height, width), MOSAIC.shape, strict=True
                )
            )
            part = parts.develop(settled, mosaic, rows, columns, name)
            assert part.shape[-2:] == (rows.stop - rows.start, columns.stop - columns.start)
            assert torch.allclose(part, stage[..., rows, columns], rtol=0, atol=within), name


@pytest.mark.parametrize("name", rd.isp.CONFIGURATIONS)
def test_every_configuration(name):
    assert_parts_fit(rd.isp.static(name, random_camera(5)))


@pytest.mark.parametrize("cfa", ["MONO", "XTRANS", "RRGG/RRGG/GGBB/GGBB", "RCCB"])
def test_other_arrays(cfa):
    sites = rd.Camera("one", cfa).black_level
    camera = replace(rd.Camera("other", cfa), black_level=sites)
    assert_parts_fit(rd.isp.static("bi,u,ga", camera))


@pytest.mark.parametrize("step", STEPS, ids=names)
def test_every_step(step):
    isp = rd.isp.static("bi,-,-", replace(CAMERA, defective_pixels=None, shading=None))
    place = {"before": "black_level"} if step.takes == "mosaic" else {"after": "tone_curve"}
    # JPEG rounds to 8 bits
    assert_parts_fit(
        isp.insert("another", step, **place), within=0.0 if isinstance(step, rd.isp.JPEG) else 1e-12
    )


def test_no_step_of_ours_needs_the_whole_frame_but_by_measuring_it():
    for kind in rd_steps.STEPS.values():
        says = any(
            getattr(kind, name) is not getattr(rd.isp.Step, name)
            for name in ("reach", "needs", "measure")
        )
        assert says, kind


@pytest.mark.parametrize("method", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize("factor", [0.37, 0.5, 1.0, 1.6])
def test_steps_that_measure_and_resize_among_others(method, factor):
    isp = rd.isp.static("me,u,me", CAMERA)
    isp = isp.insert("balance", rd.isp.ShadesOfGray(norm=6.0), after="demosaic")
    isp = isp.insert("resize", rd.isp.Resize(factor, method), after="balance")
    isp = isp.insert("patch", rd.isp.ShadesOfGray(0.5, norm=float("inf")), after="resize")
    isp = isp.insert("again", rd.isp.Resize(0.8, method), after="tone_curve")
    assert_parts_fit(isp.insert("jpeg", rd.isp.JPEG(80), after="tone_curve"))


def test_a_part_of_one_row():
    isp, mosaic = rd.isp.static("bi,s,me", random_camera(5)), MOSAIC[:17]
    _, stages = isp.trace(mosaic)
    for name, stage in stages.items():
        part = parts.develop(isp, mosaic, slice(16, 17), slice(3, 4), name)
        assert torch.allclose(part, stage[..., 16:17, 3:4], rtol=0, atol=1e-12)


def test_binning():
    camera = rd.Camera("quad", "RRGG/RRGG/GGBB/GGBB")
    isp = rd.isp.static("ma,s,ga", rd.Camera("binned", "RGGB"))
    isp = rd.isp.Pipeline({"binning": rd.isp.Binning(camera.cfa), **isp.steps})
    assert_parts_fit(isp)


def test_a_step_that_does_not_say_how_far_it_looks():
    class Far(rd.isp.Step):
        def forward(self, x):
            return x - x.mean()

    isp = rd.isp.static("bi,-,-", random_camera(5)).insert("far", Far(), after="demosaic")
    assert parts.need_all(isp) == ["far"]
    with pytest.raises(rd.InputError, match="far needs the whole frame"):
        parts.develop(isp, MOSAIC, *PARTS[0])
    assert parts.develop(isp, MOSAIC, *PARTS[0], "demosaic").shape == (3, 27, 47)


def test_ahd():
    isp = rd.isp.static("bi,s,me", random_camera(5))
    assert_parts_fit(isp.replace(demosaic=rd.isp.AHD(isp.demosaic.cfa, median_passes=2)))


def test_every_step_of_a_camera():
    assert_parts_fit(rd.isp.static("me,u,me", CAMERA), MOSAIC.float(), 2e-6)
