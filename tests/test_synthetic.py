from collections import Counter

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

import rawdrift as rd
from rawdrift.data import synthetic
from rawdrift.data.looks import LABELS
from rawdrift.data.smear import scene
from rawdrift.data.synthetic import CAMERA, make

SCENES = 12  # of each kind


@pytest.fixture(scope="module")
def smears():
    """label -> SCENES pairs of light and mask."""
    return {label: [scene(label, seed) for seed in range(SCENES)] for label in LABELS}


@pytest.fixture(scope="module")
def data():
    return make(30, 64, seed=7)


def average(smears, label, measure):
    return sum(float(measure(light, mask)) for light, mask in smears[label]) / SCENES


def nucleus(light, mask):
    """Where in the cell red light is cut the most: what only azure and purple do."""
    background = light[0][~mask].quantile(0.9)
    return mask & (light[0] < 0.45 * background)


def test_the_same_seed_gives_the_same_bits(data):
    again = make(30, 64, seed=7)
    assert torch.equal(again.mosaics, data.mosaics)
    assert torch.equal(again.masks, data.masks)
    assert again.labels == data.labels


def test_another_seed_gives_other_images(data):
    other = make(30, 64, seed=8)
    assert not any(torch.equal(a, b) for a, b in zip(other.mosaics, data.mosaics, strict=True))
    assert other.labels != data.labels


@pytest.mark.parametrize("count", [1, 4, 13])
def test_an_image_does_not_depend_on_how_many_are_made(data, count):
    fewer = make(count, 64, seed=7)
    assert torch.equal(fewer.mosaics, data.mosaics[:count])
    assert torch.equal(fewer.masks, data.masks[:count])
    assert fewer.labels == data.labels[:count]


def test_global_random_state_is_neither_used_nor_changed(data):
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    again = make(3, 64, seed=7)
    assert torch.equal(again.mosaics, data.mosaics[:3])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


@pytest.mark.parametrize("count", [5, 13, 30])
def test_classes_are_balanced(count):
    found = Counter(make(count, 16, seed=3).labels)
    assert set(found) == set(LABELS)
    assert max(found.values()) - min(found.values()) <= 1


def test_classes_come_in_no_fixed_order(data):
    turns = {tuple(data.labels[i : i + 5]) for i in range(0, 30, 5)}
    assert len(turns) > 1


def test_shapes_and_types(data):
    assert data.mosaics.shape == data.masks.shape == (30, 64, 64)
    assert data.mosaics.dtype == torch.uint16
    assert data.masks.dtype == torch.bool
    assert data.camera == CAMERA
    light, mask = scene("monocyte", 0, 33)
    assert light.shape == (3, 33, 33)
    assert light.dtype == torch.float32
    assert mask.shape == (33, 33)


def test_light_is_in_range_and_the_background_well_exposed(smears):
    for light, mask in (smear for label in LABELS for smear in smears[label]):
        assert 0 <= light.min() < light.max() <= 1
        background = light[1][~mask].quantile(0.9)
        assert 0.5 < background < 0.78


def test_nothing_that_matters_is_cut_by_the_sensor(data):
    unit = data.mosaics.float() / 65535
    assert (unit >= 1).float().mean() < 1e-4
    assert (unit <= 0.01).float().mean() < 1e-3


def test_the_isp_gives_the_light_back():
    # Camera channels are what the camera's white balance and color matrix undo.
    light, _ = scene("eosinophil", 5)
    channels = synthetic.irradiance(light, CAMERA)
    gains = torch.tensor(CAMERA.white_balance)[:, None, None]
    view = torch.einsum("ij,jhw->ihw", torch.tensor(CAMERA.color_matrix), gains * channels)
    torch.testing.assert_close(view, light, rtol=0, atol=1e-4)
    assert 0 <= channels.min() < channels.max() <= 1


def test_the_scene_of_a_seed_is_the_same_at_every_size():
    coarse, fine = (scene("neutrophil", 2, size)[0] for size in (48, 192))
    pooled = torch.nn.functional.avg_pool2d(fine, 4)
    correlation = torch.corrcoef(torch.stack([coarse.flatten(), pooled.flatten()]))[0, 1]
    assert correlation > 0.97


@pytest.mark.parametrize("label", LABELS)
def test_the_white_cell_is_one_piece_about_the_center(smears, label):
    for _, mask in smears[label]:
        rows, columns = mask.nonzero().double().T
        assert abs(rows.mean() - 47.5) < 10
        assert abs(columns.mean() - 47.5) < 10
        assert 0.05 < mask.float().mean() < 0.4
        # A disk as wide as the cell's area says covers nearly all of it.
        distance = torch.hypot(rows - rows.mean(), columns - columns.mean())
        assert distance.max() < 1.35 * (len(rows) / torch.pi) ** 0.5


@pytest.mark.parametrize("label", LABELS)
def test_nucleus_is_darker_than_cytoplasm_and_that_than_the_background(smears, label):
    for light, mask in smears[label]:
        gray = light.mean(dim=0)
        core = nucleus(light, mask)
        if core.sum() < 50:  # a pale basophil may hide its own
            assert label == "basophil"
            continue
        background = gray[~mask].quantile(0.9)
        assert gray[core].median() < 0.75 * gray[mask & ~core].median()
        assert gray[mask & ~core].median() < background


def test_cells_differ_in_size(smears):
    area = {label: average(smears, label, lambda _, mask: mask.float().sum()) for label in LABELS}
    assert area["lymphocyte"] < 0.8 * area["neutrophil"]
    assert area["neutrophil"] < 0.8 * area["monocyte"]


def test_the_nucleus_fills_a_lymphocyte_and_not_a_neutrophil(smears):
    share = {
        label: average(smears, label, lambda light, mask: nucleus(light, mask).sum() / mask.sum())
        for label in LABELS
    }
    assert share["lymphocyte"] > 0.5
    assert share["neutrophil"] < 0.4


def test_nuclei_differ_in_shape(smears):
    def solidity(light, mask):
        """The nucleus's share of its convex hull: 1 for a round one, less where it is notched."""
        pixels = nucleus(light, mask).nonzero().numpy()
        if len(pixels) < 50:
            return 1.0
        corners = np.concatenate([pixels + corner for corner in np.ndindex(2, 2)])
        return len(pixels) / ConvexHull(corners).volume

    solid = {label: average(smears, label, solidity) for label in LABELS}
    # Round; kidney; two lobes; three to five lobes.
    assert solid["lymphocyte"] > 0.92
    assert 0.80 < solid["monocyte"] < 0.88
    assert solid["neutrophil"] < 0.75
    assert solid["neutrophil"] + 0.08 < solid["eosinophil"] < solid["lymphocyte"] - 0.08


def test_eosinophils_are_red_and_basophils_blue(smears):
    def redness(light, mask):
        """Log ratio of red to blue in the cell, against the background."""
        ratio = torch.log(light[0] / light[2])
        return ratio[mask].median() - ratio[~mask].quantile(0.1)

    red = {label: average(smears, label, redness) for label in LABELS}
    assert red["eosinophil"] == max(red.values())
    assert red["eosinophil"] > red["basophil"] + 0.3


def test_granules_roughen_the_cytoplasm(smears):
    def roughness(light, mask):
        """Fine detail of green in the cell outside the nucleus."""
        green = torch.log(light[1])
        smooth = torch.nn.functional.avg_pool2d(green[None], 5, 1, 2)[0]
        inner = -torch.nn.functional.max_pool2d(-mask[None].float(), 7, 1, 3)[0] > 0
        outside = -torch.nn.functional.max_pool2d(nucleus(light, mask)[None].float(), 9, 1, 4)[0]
        return (green - smooth)[inner & (outside == 0)].std()

    rough = {label: average(smears, label, roughness) for label in ("neutrophil", "eosinophil")}
    assert rough["eosinophil"] > 1.5 * rough["neutrophil"]


def test_an_isp_develops_the_mosaics(data):
    views = rd.isp.static("ma,s,ga", data.camera)(data.mosaics)
    assert views.shape == (30, 3, 64, 64)
    assert 0 <= views.min() < views.max() <= 1


@pytest.mark.parametrize(
    "arguments", [(0, 64, 0), (4, 8, 0), (4, 64, -1), (4.0, 64, 0), (True, 64, 0)]
)
def test_impossible_orders_are_refused(arguments):
    with pytest.raises(rd.InputError, match="must be a whole number from"):
        make(*arguments)


def test_an_unknown_label_is_refused():
    with pytest.raises(rd.InputError, match=r"unknown white cell 'neutrofil' \(did you mean"):
        scene("neutrofil", 0)
