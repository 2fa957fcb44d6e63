"""Laws that hold for every corruption, severity and table."""

import sys
from itertools import product

import pytest
import torch

import rawdrift as rd
from rawdrift import imports
from rawdrift.corruptions import LEVELS, NAMES, PAPER, TABLES, corrupt, corruption
from rawdrift.corruptions.declaration import find
from rawdrift.corruptions.streams import open_streams

RANDOM = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "glass_blur",
    "motion_blur",
    "fog",
    "frost",
    "snow",
    "spatter",
    "elastic_transform",
)
every_corruption = pytest.mark.parametrize("name", NAMES)
every_case = pytest.mark.parametrize(
    ("table", "name", "severity"), list(product(TABLES, NAMES, LEVELS))
)


def scene(count=3, height=24, width=31, seed=0, dtype=torch.float32):
    """A colored disk on a ramp with fine texture: edges, flats and detail; (count, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    disk = (((y - 0.5) ** 2 + (x - 0.4) ** 2) < 0.1).float()
    color = torch.tensor([0.7, 0.3, 0.5])[:, None, None]
    grain = 0.08 * torch.randn(count, 3, height, width, generator=generator)
    return (0.2 + 0.3 * x + 0.4 * disk * color + grain).clamp(0, 1).to(dtype)


def distance(views, corrupted):
    return float((views - corrupted).square().mean().sqrt())


@every_corruption
def test_a_corruption_has_both_tables_and_the_name_of_its_function(name):
    found = find(name)
    assert found.__name__ == name
    assert set(found.tables) == set(TABLES)
    for constants in found.tables.values():
        assert all(len(values) == len(LEVELS) for values in constants.values())
    assert set(PAPER) <= set(NAMES)


@every_case
def test_shape_type_and_range_are_kept_and_the_caller_s_views_too(table, name, severity):
    views = scene().requires_grad_()
    before = views.detach().clone()
    corrupted = corrupt(views, name, severity, range(3), table)
    assert corrupted.shape == views.shape
    assert corrupted.dtype == views.dtype
    assert not corrupted.requires_grad
    assert bool(((corrupted >= 0) & (corrupted <= 1)).all())
    assert corrupted.data_ptr() != views.data_ptr()
    assert torch.equal(views, before)
    assert torch.equal(corrupted, before) == (name == "identity")


@every_case
def test_an_image_is_corrupted_alike_in_every_batch_place_and_precision(table, name, severity):
    views, seeds = scene(), [7, -3, (1, 2)]
    corrupted = corrupt(views, name, severity, seeds, table)
    alone = [
        corrupt(view, name, severity, [seed], table)
        for view, seed in zip(views, seeds, strict=True)
    ]
    assert torch.equal(corrupted, torch.stack(alone))
    turned = corrupt(views.flip(0), name, severity, seeds[::-1], table)
    assert torch.equal(corrupted, turned.flip(0))
    if name == "jpeg_compression" or (name, table) == ("elastic_transform", "imagenet"):
        return  # a rounding that falls otherwise moves a whole level, or a far larger map
    double = corrupt(views.double(), name, severity, seeds, table)
    torch.testing.assert_close(double.float(), corrupted, rtol=0, atol=1e-4)


@every_case
def test_a_batch_at_once_as_on_a_gpu_is_the_same(table, name, severity):
    views, seeds = scene(), [7, -3, (1, 2)]
    streams = open_streams(seeds, name, severity, views.device)
    found = find(name)
    batch = found(views, streams, **found.constants(table, severity)).clamp(0, 1)
    expected = corrupt(views, name, severity, seeds, table)
    torch.testing.assert_close(batch, expected, rtol=0, atol=1e-5)


@every_corruption
def test_randomness_is_the_seed_s(name):
    view = scene(1)
    twins = view.expand(2, -1, -1, -1)
    first, second = corrupt(twins, name, 3, [0, 1])
    assert torch.equal(first, second) == (name not in RANDOM)
    same = corrupt(twins, name, 3, torch.tensor([1, 1]))
    assert torch.equal(same[0], same[1])
    assert torch.equal(same[0], second)
    state = torch.get_rng_state()
    corrupt(twins, name, 3, [0, 1])
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", ["gaussian_noise", "speckle_noise"])
def test_corruptions_and_severities_draw_independently(name):
    views = torch.full((1, 3, 64, 64), 0.5)
    noises = [corrupt(views, name, severity, [0], "small") - 0.5 for severity in (1, 2)]
    noises.append(corrupt(views, "shot_noise", 1, [0], "small") - 0.5)
    noises.append(corrupt(views, name, 1, [(0, 0)], "small") - 0.5)
    correlation = torch.corrcoef(torch.stack([noise.flatten() for noise in noises]))
    assert float((correlation - torch.eye(4)).abs().max()) < 5 / (3 * 64 * 64) ** 0.5


# Where the published constants trade places, or what is drawn counts for more than they do.
NOT_MONOTONE = {
    *product(("saturate", "glass_blur", "elastic_transform", "frost", "spatter"), TABLES),
    ("motion_blur", "small"),
    ("zoom_blur", "imagenet"),
    ("fog", "imagenet"),
}


@pytest.mark.parametrize(("table", "name"), list(product(TABLES, NAMES[1:])))
def test_the_distance_to_the_original_grows_with_severity(table, name):
    views = scene(4, 64, 64)
    far = [distance(views, corrupt(views, name, level, range(4), table)) for level in LEVELS]
    assert far[0] > 0.01
    if (name, table) not in NOT_MONOTONE:
        assert far == sorted(far)
    if name != "elastic_transform" and (name, table) != ("glass_blur", "small"):
        assert far[-1] > 1.03 * far[0]


@every_corruption
@pytest.mark.parametrize("size", [(16, 16), (1, 1), (1, 5), (3, 2), (7, 40)])
def test_any_size_works(name, size):
    views = scene(2, *size)
    for table, severity in product(TABLES, (1, 5)):
        corrupted = corrupt(views, name, severity, range(2), table)
        assert corrupted.shape == views.shape
        assert bool(((corrupted >= 0) & (corrupted <= 1)).all())


@every_corruption
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_flat_gray_image_stays_finite(name, level):
    flat = torch.full((1, 3, 20, 20), level)
    for table, severity in product(TABLES, LEVELS):
        corrupted = corrupt(flat, name, severity, [0], table)
        assert bool(torch.isfinite(corrupted).all())
        if name.endswith(("_blur", "_transform")) and (name, table) != ("defocus_blur", "imagenet"):
            torch.testing.assert_close(corrupted, flat, rtol=0, atol=1e-5)


@every_corruption
def test_images_on_all_cores_are_those_of_one(name, monkeypatch):
    views = scene(5).requires_grad_()
    expected = corrupt(views, name, 2, range(5))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(corrupt(views, name, 2, range(5)), expected)
    with torch.inference_mode():
        assert torch.equal(corrupt(views.detach().clone(), name, 2, range(5)), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_was_returned_is_not_written_to_again(dtype):
    views = scene(2).to(dtype)
    kept = [corrupt(views, "contrast", severity, range(2)) for severity in (1, 2)]
    part, copies = kept[0][1:], [view.clone() for view in kept]
    address = kept.pop(0).data_ptr()
    for _ in range(3):
        assert corrupt(views, "pixelate", 3, range(2)).data_ptr() != address
    assert torch.equal(part, copies[0][1:])
    assert torch.equal(kept[0], copies[1])
    assert part.dtype == dtype


@every_corruption
def test_any_leading_shape_and_memory_layout(name):
    views = scene(6)
    expected = corrupt(views, name, 2, range(6))
    folded = corrupt(views.view(2, 3, *views.shape[1:]), name, 2, range(6))
    assert torch.equal(folded.flatten(0, 1), expected)
    last = views.contiguous(memory_format=torch.channels_last)
    assert torch.equal(corrupt(last, name, 2, range(6)), expected)
    transposed = corrupt(views.mT.contiguous().mT, name, 2, range(6))
    assert torch.equal(transposed, expected)
    assert corrupt(views[:0], name, 2, []).shape == (0, *views.shape[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "gausian_noise"}, "did you mean 'gaussian_noise'.*choose one of identity; "),
        ({"severity": 6}, "unknown severity 6; choose one of 1; 2; 3; 4; 5"),
        ({"severity": 0}, "unknown severity 0"),
        ({"severity": True}, "unknown severity True"),
        ({"severity": 2.0}, "unknown severity 2.0"),
        ({"table": "cifar"}, "unknown table of severities 'cifar'; choose one of small; imagenet"),
        ({"seeds": [0]}, r"seeds must hold one for each image, 2 .* got \[0\]"),
        ({"seeds": 7}, "seeds must hold one for each image, 2 .* got 7"),
        ({"seeds": [0, 0.5]}, "a seed must be an integer or a tuple of integers, got 0.5"),
        ({"seeds": [0, (1, "a")]}, "a seed must be an integer"),
        ({"views": torch.zeros(2, 1, 8, 8)}, r"shape \(..., 3, H, W\), got \(2, 1, 8, 8\)"),
        ({"views": torch.zeros(2, 3, 0, 8)}, r"shape \(..., 3, H, W\)"),
        ({"views": torch.zeros(2, 3, 8, 8, dtype=torch.uint8)}, "float32 or float64"),
        (
            {"views": torch.full((2, 3, 8, 8), 255.0)},
            r"lie in \[0, 1\], got values from 255 to 255",
        ),
        ({"views": torch.full((2, 3, 8, 8), torch.nan)}, "got values from nan"),
    ],
)
def test_what_is_wrong_is_said(change, message):
    given = {"views": scene(2), "name": "fog", "severity": 1, "seeds": [0, 1], "table": "small"}
    with pytest.raises(rd.InputError, match=message):
        rd.corruptions.corrupt(**{**given, **change})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_corruption
def test_one_value_that_is_no_view_s_is_seen_wherever_it_is(name, dtype):
    for place, wrong in [((0, 0, 0, 0), torch.nan), ((1, 1, 23, 30), -1e-30), ((1, 2, 9, 17), 1.01),
                         ((0, 2, 23, 0), torch.inf)]:  # fmt: skip
        views = scene(2, dtype=dtype)
        views[place] = wrong
        with pytest.raises(rd.InputError, match=r"views must lie in \[0, 1\], got values from"):
            corrupt(views, name, 1, range(2))
    views = scene(6, dtype=dtype)
    views[1, 0, 3, 3], views[4, 0, 3, 3] = 2, 9
    for _ in range(5):  # whichever thread comes first
        with pytest.raises(rd.InputError, match="to 2$"):
            corrupt(views, name, 1, range(6))
    views = scene(2, dtype=dtype)
    views[0, 0, 4] = -0.0
    views[1, 2, 5] = 1
    assert torch.equal(corrupt(views, name, 1, range(2)), corrupt(views.abs(), name, 1, range(2)))


# --- a corruption of one's own ------------------------------------------------------------------

HAZE = """
from rawdrift.corruptions import corruption
from rawdrift.corruptions.streams import uniform

@corruption(imagenet={"strength": (0.1, 0.2, 0.3, 0.4, 2)})
def haze(views, streams, strength):
    \"\"\"Light that is added in front of the scene.\"\"\"
    return views + strength * uniform((1, 1, 1), streams).to(views)

@corruption(imagenet={})
def smaller(views, streams):
    return views[..., ::2, ::2]

@corruption(imagenet={})
def undefined(views, streams):
    return views * float("nan")

def plain(views, severity):
    return views
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a module into a package of its own: `mine`."""

    def write(name, source):
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine/__init__.py").touch()
        (tmp_path / f"mine/{name}.py").write_text(source)

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for module in [module for module in sys.modules if module.split(".")[0] == "mine"]:
        del sys.modules[module]


def test_a_corruption_of_one_s_own_is_one_file(package):
    package("weather", HAZE)
    name, views = "import:mine.weather.haze", scene()
    hazy = corrupt(views, name, 2, [7, -3, (1, 2)])
    assert torch.equal(hazy, corrupt(views.flip(0), name, 2, [(1, 2), -3, 7]).flip(0))
    added = (hazy - views)[:, 0, 12, 12]
    assert ((added > 0) & (added < 0.2)).all()
    assert len(set(added.tolist())) == 3
    assert corrupt(views, name, 5, range(3)).max() == 1
    spec = rd.SynthesisSpec(
        rd.Data("synthetic-microscopy"), rd.Synthesis(corruptions=[name, "fog"])
    )
    assert spec.synthesis.corruptions == [name, "fog"]
    source = imports.checksum(name, "corruption")
    package("weather", HAZE + "\n")
    assert imports.checksum(name, "corruption") != source != ""


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("import:mine.weather.haze", "small", "no severities in the table small; it has imagenet"),
        ("import:mine.weather.smaller", "imagenet", r"\(1, 3, 24, 31\) into .* \(1, 3, 12, 16\)"),
        ("import:mine.weather.undefined", "imagenet", "undefined returned NaN"),
        ("import:mine.weather.plain", "imagenet", "not a corruption; expected .* decorator"),
        ("import:mine.weather.rain", "imagenet", "mine.weather has no rain; it has .*haze"),
        ("import:mine.climate.haze", "imagenet", "no module mine.climate"),
    ],
)
def test_what_is_wrong_with_a_corruption_of_one_s_own_is_said(package, name, table, message):
    package("weather", HAZE)
    with pytest.raises(rd.InputError, match=message):
        corrupt(scene(), name, 1, range(3), table)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"small": {"strong": (1, 2, 3, 4, 5)}}, r"haze takes the constants \['strength'\].*small"),
        ({"small": {"strength": (1, 2, 3)}}, "strength of the corruption haze must be 5 numbers"),
        ({"cifar": {"strength": (1, 2, 3, 4, 5)}}, "unknown table of severities 'cifar'"),
    ],
)
def test_a_corruption_states_five_values_of_each_constant(tables, message):
    def haze(views, streams, strength):
        return views + strength

    with pytest.raises(rd.InputError, match=message):
        corruption(**tables)(haze)
