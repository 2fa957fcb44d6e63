"""Outlines of masks on the pictures of a page."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imsave

from rawdrift.report.pictures import outlined
from rawdrift.report.style import ANSWER, TRUTH

SIDE = 220


@pytest.fixture
def run(tmp_path):
    """A run folder with a gray view, and masks by name."""

    def square(first, last, level=1.0):
        mask = np.zeros((110, 110))
        mask[first:last, first:last] = level
        return mask

    levels = square(30, 80, 0.5) + square(50, 60, 0.5)
    pictures = {"view": np.full((110, 110), 0.5), "square": square(30, 80), "none": square(0, 0)}
    for name, picture in (pictures | {"shifted": square(40, 90), "levels": levels}).items():
        imsave(tmp_path / f"{name}.png", np.stack([picture] * 3, -1))
    return tmp_path


def where(view, color):
    return np.isclose(view, to_rgb(color), atol=1e-6).all(-1)


def test_the_right_mask_is_outlined_outside_and_the_answer_inside(run):
    inside = np.zeros((SIDE, SIDE), bool)
    inside[60:160, 60:160] = True  # of 220 pixels for 110
    alike = outlined(run, SIDE, "view.png", "square.png", "square.png")
    truth, answer = where(alike, TRUTH), where(alike, ANSWER)
    assert truth.sum() == 104**2 - 100**2  # 2 pixels wide
    assert answer.sum() == 100**2 - 96**2
    assert not (truth & inside).any()
    assert not (answer & ~inside).any()
    other = outlined(run, SIDE, "view.png", "square.png", "shifted.png")
    assert where(other, ANSWER).sum() == answer.sum()
    assert where(other, TRUTH).sum() == truth.sum() - 2 * 2 * 2  # where the outlines cross


def test_every_class_of_a_mask_is_outlined_and_an_empty_one_is_not(run):
    levels = where(outlined(run, SIDE, "view.png", "levels.png"), TRUTH)
    assert levels.sum() == 104**2 - 100**2 + 24**2 - 20**2
    plain = outlined(run, SIDE, "view.png")
    assert plain.shape == (110, 110, 3)  # the page enlarges it
    empty = outlined(run, SIDE, "view.png", "none.png", "none.png")
    assert empty.shape == (SIDE, SIDE, 3)
    assert (empty == plain[0, 0]).all()


@pytest.mark.parametrize("side", [40, 110, 440])
def test_outlines_are_as_wide_on_every_size(run, side):
    truth = where(outlined(run, side, "view.png", "square.png"), TRUTH)
    width = max(1, round(side / 110))
    row = truth[side // 2]
    assert row.sum() == 2 * width
