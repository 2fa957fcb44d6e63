import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import binary_dilation
from scipy.spatial import ConvexHull

import rawdrift as rd
from rawdrift.controls.synthesis.spec import SynthesisSpec
from rawdrift.data import load
from rawdrift.data.spec import Data
from rawdrift.data.synthetic import drone, expose, microscopy
from rawdrift.data.synthetic.cars import parked
from rawdrift.data.synthetic.drone import TILES, photograph
from rawdrift.data.synthetic.looks import LABELS, LOOKS
from rawdrift.data.synthetic.microscopy import scene
from rawdrift.data.synthetic.scene import GSD, Daylight, Scene
from rawdrift.data.synthetic.smear import FIELD, PIXEL
from rawdrift.data.synthetic.tall import built
from rawdrift.data.synthetic.texture import hypot, texture
from rawdrift.data.synthetic.town import Town, plan

SCENES = 12  # of each kind
CELLS = tuple(LOOKS)  # labels of cells that are whole and could be named
SETS = {"microscopy": microscopy, "drone": drone}


@pytest.fixture(scope="module")
def smears():
    """label -> SCENES pairs of light and mask."""
    return {label: [scene(label, seed) for seed in range(SCENES)] for label in LABELS}


@pytest.fixture(scope="module")
def sets():
    """name -> 14 images of seed 7."""
    return {name: module.make(14, 48, seed=7) for name, module in SETS.items()}


@pytest.fixture(scope="module")
def photographs():
    """Two photographs in 24 tiles as large as the paper's."""
    return drone.make(2 * TILES, 256, seed=11)


every_set = pytest.mark.parametrize("name", SETS)


def develop(data):
    with rd.isp.engine("eager"):
        return rd.isp.static("bi,s,ga", data.cameras[0])(data.mosaics)


def average(smears, label, measure):
    return sum(float(measure(light, mask)) for light, mask in smears[label]) / SCENES


def nucleus(light, mask):
    """Where in the cell red light is cut the most: what only azure and purple do."""
    background = light[0][~mask].quantile(0.9)
    return mask & (light[0] < 0.45 * background)


# --- both sets ----------------------------------------------------------------------------------


def same(a, b, count=None):
    """Whether two sets agree, or the first images of them."""
    labels = [[d.classes[i] for i in d.labels] if d.labels is not None else None for d in (a, b)]
    return (
        torch.equal(a.mosaics[:count], b.mosaics[:count])
        and torch.equal(a.masks[:count], b.masks[:count])
        and a.images[:count] == b.images[:count]
        and (a.groups or ())[:count] == (b.groups or ())[:count]
        and (labels[0] or ())[:count] == (labels[1] or ())[:count]
    )


@every_set
def test_the_same_seed_gives_the_same_bits(sets, name):
    assert same(SETS[name].make(14, 48, seed=7), sets[name])


@every_set
def test_another_seed_gives_other_images(sets, name):
    other = SETS[name].make(14, 48, seed=8)
    pairs = zip(other.mosaics, sets[name].mosaics, strict=True)
    assert not any(torch.equal(a, b) for a, b in pairs)
    assert not set(other.images) & set(sets[name].images)


@every_set
@pytest.mark.parametrize("count", [1, 4, 13])
def test_an_image_does_not_depend_on_how_many_are_made(sets, name, count):
    assert same(SETS[name].make(count, 48, seed=7), sets[name], count)


@every_set
def test_global_random_state_is_neither_used_nor_changed(sets, name):
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    again = SETS[name].make(3, 48, seed=7)
    assert torch.equal(again.mosaics, sets[name].mosaics[:3])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


@every_set
@pytest.mark.parametrize("size", [16, 33, 64, 200])
def test_any_size(name, size):
    data = SETS[name].make(3, size, seed=1)
    assert data.mosaics.shape == data.masks.shape == (3, size, size)
    assert data.mosaics.dtype == torch.uint16
    assert set(data.masks.unique().tolist()) <= {0, 1}
    assert data.mosaics.float().std() > 200


@every_set
def test_what_a_spec_names_is_what_is_made(sets, name):
    data = load(Data(f"synthetic-{name}", images=14, size=48, seed=7))
    assert data.fingerprint() == sets[name].fingerprint()
    assert len(set(data.images)) == 14


@every_set
def test_nothing_that_matters_is_cut_by_the_sensor(sets, name):
    mosaics = sets[name].mosaics.float()
    assert (mosaics >= 65535).float().mean() < 0.01
    assert (mosaics <= 0).float().mean() < 0.003
    # And most of it lies well above the noise of a dark frame.
    camera = sets[name].cameras[0]
    assert mosaics.quantile(0.01) > 65535 * camera.black_level[0] + 10 * camera.noise.gain


@every_set
def test_noise_is_that_of_the_camera(name):
    # Flat light through the same sensor: variance is gain times signal, and read noise.
    camera = SETS[name].CAMERA
    sensor = rd.sensor.Sensor(camera)
    flat = sensor.digital(torch.full((3, 128, 128), 0.2), torch.Generator().manual_seed(0)).double()
    signal = flat.mean() - 65535 * camera.black_level[0]
    read = (camera.noise.gain * (camera.noise.read_noise or 0)) ** 2
    assert flat.var() == pytest.approx(float(camera.noise.gain * signal + read), rel=0.05)


@every_set
def test_an_isp_develops_the_mosaics(sets, name):
    views = develop(sets[name])
    assert views.shape == (14, 3, 48, 48)
    assert 0 <= views.min() < views.max() <= 1
    assert 0.15 < views.mean() < 0.85


@every_set
@pytest.mark.parametrize(
    "arguments", [(0, 64, 0), (4, 8, 0), (4, 64, -1), (4.0, 64, 0), (True, 64, 0)]
)
def test_impossible_orders_are_refused(name, arguments):
    with pytest.raises(rd.InputError, match="must be a whole number from"):
        SETS[name].make(*arguments)


@every_set
def test_the_isp_gives_the_light_back(name):
    # Camera channels are what the camera's white balance and color matrix undo.
    camera = SETS[name].CAMERA
    light = 0.25 + 0.35 * torch.rand(3, 9, 9, generator=torch.Generator().manual_seed(1))
    channels = expose.irradiance(light, camera)
    gains = torch.tensor(camera.white_balance)[:, None, None]
    view = torch.einsum("ij,jhw->ihw", torch.tensor(camera.color_matrix), gains * channels)
    torch.testing.assert_close(view, light, rtol=0, atol=1e-4)
    assert 0 < channels.min() < channels.max() < 1


@every_set
@pytest.mark.parametrize("threads", [1, 3])
def test_images_do_not_depend_on_how_many_threads_draw_them(sets, name, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert same(SETS[name].make(14, 48, seed=7), sets[name])
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_what_goes_wrong_in_a_thread_is_raised():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        expose.each(lambda i: 1 // (3 - i), 8)
    assert torch.get_num_threads() == before


@given(hnp.arrays(np.float32, (2, 7), elements=st.floats(-3000, 3000, width=32)))
def test_lengths_are_those_of_numpy(pair):
    ours = hypot(*pair)
    assert ours.dtype == np.float32
    np.testing.assert_array_max_ulp(ours, np.hypot(*pair), 1)


def test_textures_have_the_mean_and_variance_that_they_should():
    at = np.arange(200, dtype=np.float32)
    noise = np.stack([texture(np.random.default_rng(i), at, at, 4.0) for i in range(20)])
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.var() == pytest.approx(1, abs=0.03)


def test_a_lens_spreads_a_point_as_its_sigma_says():
    point = np.zeros((3, 41, 41), np.float32)
    point[:, 20, 20] = 1
    spread = expose.through_lens(point, 2.52)
    assert spread.sum(axis=(1, 2)) == pytest.approx([1, 1, 1], rel=1e-4)
    offsets = np.arange(41) - 20
    # Cut at three sigma, a Gaussian has a little less variance.
    assert (spread[0].sum(axis=0) * offsets**2).sum() ** 0.5 == pytest.approx(2.52, rel=0.03)


# --- blood smears -------------------------------------------------------------------------------


def test_classes_come_as_often_as_in_raw_microscopy():
    # Table 12 of the paper, in percent of 940 images.
    table = {"BAS": 1.91, "EOS": 5.74, "KSC": 17.34, "LYA": 3.19, "LYT": 24.47, "MON": 20.32}
    table |= {"NGB": 0.85, "NGS": 22.98, "UNC": 3.19}
    counts = Counter(microscopy._order(microscopy.COUNTS, 940, seed=3))
    assert counts == microscopy.COUNTS
    for label, count in counts.items():
        assert 100 * count / 940 == pytest.approx(table[label], abs=0.005)


@pytest.mark.parametrize("count", [20, 60, 240])
def test_the_first_images_are_near_those_proportions(count):
    labels = microscopy._order(microscopy.COUNTS, count, seed=3)
    found = Counter(labels)
    for label, expected in microscopy.COUNTS.items():
        assert abs(found[label] - expected / 940 * count) < 1 + len(LABELS) / 2


@pytest.mark.parametrize("count", [9, 13, 30])
def test_classes_can_be_balanced(count):
    found = microscopy.make(count, 16, seed=3, balanced=True).counts()
    assert set(found) == set(LABELS)
    assert max(found.values()) - min(found.values()) <= 1
    spec = Data("synthetic-microscopy", images=30, size=32, balanced=True)
    assert max(load(spec).counts().values()) == 4


def test_classes_come_in_no_fixed_order():
    labels = microscopy._order(dict.fromkeys(LABELS, 1), 90, seed=3)
    assert len({tuple(labels[i : i + 9]) for i in range(0, 90, 9)}) > 1
    assert labels != microscopy._order(dict.fromkeys(LABELS, 1), 90, seed=4)


def test_what_is_balanced_is_for_cells_alone():
    with pytest.raises(rd.InputError, match="data.balanced is for data.name synthetic-microscopy"):
        Data("synthetic-drone", balanced=True)


def test_a_scene_has_the_size_that_was_asked():
    light, mask = scene("MON", 0, 33)
    assert light.shape == (3, 33, 33)
    assert light.dtype == torch.float32
    assert mask.shape == (33, 33)


def test_light_is_in_range_and_the_background_well_exposed(smears):
    for light, mask in (smear for label in LABELS for smear in smears[label]):
        assert 0 <= light.min() < light.max() <= 1
        background = light[1][~mask].quantile(0.9)
        assert 0.5 < background < 0.78


def test_the_scene_of_a_seed_is_the_same_at_every_size():
    coarse, fine = (scene("NGS", 2, size)[0] for size in (48, 96))
    pooled = torch.nn.functional.avg_pool2d(fine, 2)
    correlation = torch.corrcoef(torch.stack([coarse.flatten(), pooled.flatten()]))[0, 1]
    assert correlation > 0.97


@pytest.mark.parametrize("label", CELLS)
def test_the_white_cell_is_one_piece_about_the_center(smears, label):
    for _, mask in smears[label]:
        rows, columns = mask.nonzero().double().T
        assert abs(rows.mean() - 47.5) < 10
        assert abs(columns.mean() - 47.5) < 10
        assert 0.05 < mask.float().mean() < 0.4
        # A disk as wide as the cell's area says covers nearly all of it.
        distance = torch.hypot(rows - rows.mean(), columns - columns.mean())
        assert distance.max() < 1.35 * (len(rows) / torch.pi) ** 0.5


@pytest.mark.parametrize("label", CELLS)
def test_nucleus_is_darker_than_cytoplasm_and_that_than_the_background(smears, label):
    for light, mask in smears[label]:
        gray = light.mean(dim=0)
        core = nucleus(light, mask)
        if core.sum() < 50:  # a pale basophil may hide its own
            assert label == "BAS"
            continue
        background = gray[~mask].quantile(0.9)
        assert gray[core].median() < 0.75 * gray[mask & ~core].median()
        assert gray[mask & ~core].median() < background


def test_cells_differ_in_size(smears):
    area = {label: average(smears, label, lambda _, mask: mask.float().sum()) for label in LABELS}
    assert area["LYT"] < 0.8 * area["NGS"]
    assert area["NGS"] < 0.8 * area["MON"]


def test_the_nucleus_fills_a_lymphocyte_and_not_a_neutrophil(smears):
    share = {
        label: average(smears, label, lambda light, mask: nucleus(light, mask).sum() / mask.sum())
        for label in LABELS
    }
    assert share["LYT"] > 0.5
    assert share["NGS"] < 0.4


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
    assert solid["LYT"] > 0.9
    assert 0.75 < solid["MON"] < 0.86
    assert solid["NGS"] < 0.75
    assert solid["NGS"] + 0.08 < solid["EOS"] < solid["LYT"] - 0.08


def test_eosinophils_are_red_and_basophils_blue(smears):
    def redness(light, mask):
        """Log ratio of red to blue in the cell, against the background."""
        ratio = torch.log(light[0] / light[2])
        return ratio[mask].median() - ratio[~mask].quantile(0.1)

    red = {label: average(smears, label, redness) for label in LABELS}
    assert red["EOS"] == max(red.values())
    assert red["EOS"] > red["BAS"] + 0.3


def test_granules_roughen_the_cytoplasm(smears):
    def roughness(light, mask):
        """Fine detail of green in the cell outside the nucleus."""
        green = torch.log(light[1])
        smooth = torch.nn.functional.avg_pool2d(green[None], 5, 1, 2)[0]
        inner = -torch.nn.functional.max_pool2d(-mask[None].float(), 7, 1, 3)[0] > 0
        outside = -torch.nn.functional.max_pool2d(nucleus(light, mask)[None].float(), 9, 1, 4)[0]
        return (green - smooth)[inner & (outside == 0)].std()

    rough = {label: average(smears, label, roughness) for label in ("NGS", "EOS")}
    assert rough["EOS"] > 1.5 * rough["NGS"]


def test_a_band_is_one_piece_without_strands(smears):
    def solidity(light, mask):
        pixels = nucleus(light, mask).nonzero().numpy()
        corners = np.concatenate([pixels + corner for corner in np.ndindex(2, 2)])
        return len(pixels) / ConvexHull(corners).volume

    assert average(smears, "NGB", solidity) < average(smears, "LYT", solidity) - 0.1


def test_atypical_lymphocytes_are_larger_and_have_more_cytoplasm(smears):
    for measure, factor in (
        (lambda _, mask: mask.sum(), 1.4),
        (lambda light, mask: (mask & ~nucleus(light, mask)).sum() / mask.sum(), 1.3),
    ):
        assert average(smears, "LYA", measure) > factor * average(smears, "LYT", measure)


def test_smudges_have_no_sharp_outline(smears):
    def steepest(light, mask):
        """The steepest fall of red light, in its range, within the mask."""
        red = light[0].numpy()
        slope = np.hypot(*np.gradient(red))[binary_dilation(mask.numpy(), iterations=2)]
        return np.quantile(slope, 0.98) / (red.max() - red.min())

    assert average(smears, "KSC", steepest) < 0.8 * average(smears, "LYT", steepest)


@pytest.mark.parametrize("size", [40, 172, 300])
def test_cells_are_as_large_as_cells(size):
    pixel = max(FIELD / size, PIXEL)  # small pictures are coarse, large ones show more
    for seed in range(3):
        area = scene("MON", seed, size)[1].sum() * pixel**2
        assert 11.5 < 2 * (area / torch.pi) ** 0.5 < 18.5  # micrometers


def test_an_unknown_label_is_refused():
    with pytest.raises(rd.InputError, match=r"unknown white cell 'NGG'"):
        scene("NGG", 0)


# --- aerial photographs -------------------------------------------------------------------------


def test_groups_are_photographs(sets):
    groups = sets["drone"].groups
    assert [groups.index(group) for group in groups] == [i - i % TILES for i in range(14)]
    assert sets["drone"].labels is None
    assert sets["drone"].classes == ()


@pytest.mark.parametrize("size", [32, 64, 256, 400])
def test_tiles_of_a_photograph_are_disjoint(size):
    _, corners = photograph(np.random.default_rng(5), size)  # along the photograph's axes
    assert corners.shape == (TILES, 2)
    apart = np.abs(corners[:, None] - corners).max(axis=-1)[~np.eye(TILES, dtype=bool)]
    assert apart.min() > size * GSD - 1e-6


def test_most_tiles_hold_a_car(sets, photographs):
    for data in (sets["drone"], photographs):
        assert data.masks.flatten(1).any(dim=1).float().mean() >= 0.85


def picture(town, corner, pixels=128, angle=0.0, cars=()):
    """The picture of a town on a meadow, and the mask of its cars."""
    light = Daylight(np.random.default_rng(1))
    town = replace(town, rng=np.random.default_rng(2))
    scene = Scene(town.faces(np.reshape(cars, (-1, 3)), light.shadow), light, angle)
    return scene.picture(np.array(corner), pixels, np.random.default_rng(3))


def meadow():
    town = Town(np.random.default_rng(0))
    town.patch("meadow", (-99, 99), (-99, 99))
    return town


def cars_of_a_town():
    rng = np.random.default_rng(3)
    return parked(plan(rng, 60).cars, rng)


def test_cars_are_as_large_as_cars():
    for car in cars_of_a_town()[:3]:
        _, inner = picture(meadow(), car[:2] - 64 * GSD, cars=[car])
        rows, columns = np.nonzero(inner)
        along = np.cov(columns, rows)
        spread = np.sqrt(12 * np.linalg.eigvalsh(along)) * GSD  # sides of a rectangle
        assert 1.6 < spread[0] < 2.1
        assert 3.7 < spread[1] < 5.4
        # And it looks where the plan says.
        _, vectors = np.linalg.eigh(along)
        heading = np.array((np.cos(car[2]), np.sin(car[2])))
        assert abs(vectors[:, 1] @ heading) > 0.99


def test_a_tree_hides_what_is_below_it_from_the_mask():
    car = cars_of_a_town()[0]
    corner, town = car[:2] - 64 * GSD, meadow()
    _, free = picture(town, corner, cars=[car])
    town.tree(car[0] + 1, car[1] + 1, (1.0, 1.0))
    _, hidden = picture(town, corner, cars=[car])
    assert 0.2 < hidden.sum() / free.sum() < 0.9
    assert not (hidden & ~free).any()


def test_no_car_is_in_the_way_of_another():
    places = [(0, 0, 0, 0), (4, 0, 0, 0), (0, 3, 0, 0), (0, 1, math.pi, 0), (20, 0, 0, 0)]
    cars = parked(places, np.random.default_rng(0))
    np.testing.assert_allclose(cars[:, :2], [(0, 0), (0, 3), (20, 0)])


def test_buildings_are_as_large_as_they_were_put():
    """Walls of a flat roof and of a gable, and nothing outside of their eaves."""
    rows = np.array([(0.0, 0.0, 12.0, 8.0, 5.0, 0.0), (50.0, 9.0, 8.0, 12.0, 4.0, 1.0)])
    made = built(rows, np.array((0.0, 0.0)), np.random.default_rng(0))
    for x, y, along, across, height, gable in rows:
        corners = made.corners[made.order == height]
        low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
        out = 0.2 + 1e-4  # eaves or a parapet
        assert (np.abs(low[:2] - (x - along / 2, y - across / 2)) < out).all()
        assert (np.abs(high[:2] - (x + along / 2, y + across / 2)) < out).all()
        assert low[2] == pytest.approx(0)
        assert high[2] > height + 0.59 * 4 * gable


def test_masks_follow_the_picture(photographs):
    """What a car's mask cuts out differs from what is around it, more than two such pieces of
    the ground do."""
    views = develop(photographs)
    edges, elsewhere = [], []
    for view, mask in zip(views.mean(dim=1), photographs.masks.bool(), strict=True):
        slope = torch.hypot(*torch.gradient(view)).numpy()
        mask = mask.numpy()
        rim = binary_dilation(mask, iterations=2) & ~mask
        if rim.sum() > 50:
            edges.append(slope[rim].mean())
            elsewhere.append(slope[~binary_dilation(mask, iterations=6)].mean())
    assert len(edges) > 15
    assert np.mean(edges) > 2 * np.mean(elsewhere)


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.5])
def test_a_patch_covers_its_rectangle_alone(angle):
    """In the town's coordinates, however the photograph is turned."""
    town = meadow()
    before, _ = picture(town, (-4.0, -4.0), 133, angle)
    town.patch("paint", (-1.0, 2.0), (0.5, -1.5))
    after, _ = picture(town, (-4.0, -4.0), 133, angle)
    changed = (after != before).any(axis=0)
    right, down = np.meshgrid(*2 * [(np.arange(133) + 0.5) * GSD - 4.0])
    x, y = (
        np.cos(angle) * right - np.sin(angle) * down,
        np.sin(angle) * right + np.cos(angle) * down,
    )
    outside = np.maximum(np.abs(x - 0.5) - 1.5, np.abs(y + 0.5) - 1.0)
    assert changed[outside < -GSD].all()
    assert not changed[outside > GSD].any()


def test_shadows_point_away_from_the_sun_and_are_long_when_it_is_low():
    light = Daylight(np.random.default_rng(3))
    assert np.linalg.norm(light.sun) == pytest.approx(1)
    flat = light.direct + light.around
    assert flat[1] == pytest.approx(1.0, abs=0.15)
    assert np.dot(light.shadow, light.sun[:2]) < 0
    assert np.hypot(*light.shadow) == pytest.approx(1 / np.tan(np.arcsin(light.sun[2])))


def test_the_lens_of_the_drone_leaves_no_finer_detail_than_its_sigma(photographs):
    """At a quarter of the sampling frequency 2.52 pixels pass 4e-4 of the contrast, so that what is
    left there is shot noise, whose power is known."""
    camera = photographs.cameras[0]
    green = photographs.mosaics[:, 0::2, 1::2].double()
    spectrum = (
        torch.fft.fft2(green - green.mean(dim=(1, 2), keepdim=True)).abs().square().mean(dim=0)
    )
    corner = spectrum[60:68, 60:68].mean() / (128 * 128)
    signal = (green - 65535 * camera.black_level[1]).mean()
    assert corner == pytest.approx(float(camera.noise.gain * signal), rel=0.1)


def test_synthesis_says_that_masks_are_no_labels(tmp_path):
    spec = SynthesisSpec(Data("synthetic-drone", images=10, size=32))
    with pytest.raises(rd.InputError, match="no labels"):
        rd.run(spec, tmp_path / "run")
