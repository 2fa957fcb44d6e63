"""Random changes of training views, and of their masks alike."""

import pytest
import torch
from torchvision.transforms.v2.functional import adjust_sharpness
from torchvision.transforms.v2.functional import rotate as rotated

from rawdrift.models.augment import NOISE, augment, flip_and_turn, rotate, soften_and_add_noise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(height, width):
    """Every pixel of another value."""
    return torch.arange(height * width).reshape(1, height, width)


@pytest.mark.parametrize("size", [(6, 6), (6, 8)])
def test_weak_gives_each_image_one_of_its_orientations(size):
    image = numbered(*size)
    flips = [image, image.flip(-1), image.flip(-2), image.flip((-1, -2))]
    orientations = flips + ([f.mT for f in flips] if size[0] == size[1] else [])
    batch = flip_and_turn(image.expand(200, 1, *size), generator())
    found = [next(i for i, o in enumerate(orientations) if torch.equal(o, x)) for x in batch]
    assert set(found) == set(range(len(orientations)))
    assert torch.equal(batch, flip_and_turn(image.expand(200, 1, *size), generator()))


@pytest.mark.parametrize("kind", ["none", "weak", "strong"])
@pytest.mark.parametrize("size", [(16, 16), (16, 20)])
def test_masks_move_with_their_views(kind, size):
    masks = (torch.rand(40, *size, generator=generator(1)) * 200).to(torch.uint8)
    views = masks.unsqueeze(1).expand(-1, 3, -1, -1) / 255
    views, moved = augment(kind, views, masks, generator())
    assert moved.dtype == torch.uint8
    if kind == "strong":  # half of the views are softened, all keep their noise small
        kept = (views[:, 0] - moved / 255).abs().amax(dim=(1, 2)) < 10 * NOISE
        assert 5 < kept.sum() < 35
        views, moved = views[kept], moved[kept]
    torch.testing.assert_close(views[:, 0], moved / 255, rtol=0, atol=10 * NOISE)
    assert torch.equal(moved, masks) == (kind == "none")
    alone, none = augment(kind, masks.unsqueeze(1).expand(-1, 3, -1, -1) / 255, None, generator())
    assert none is None
    assert torch.equal(alone[kept] if kind == "strong" else alone, views)


@pytest.mark.parametrize("degrees", [-90.0, -33.0, 0.0, 12.5, 45.0, 90.0])
@pytest.mark.parametrize("size", [(15, 15), (16, 24)])
def test_rotation_is_that_of_torchvision_where_it_stays_inside(degrees, size):
    x = numbered(*size).expand(1, 2, *size).float() + 1
    expected = rotated(x, degrees)  # nearest, outside 0
    found = rotate(x, torch.tensor([degrees]))
    inside = expected > 0
    # Positions half-way between pixels may go either way.
    assert (found == expected)[inside].float().mean() > 0.97
    assert set(found.unique().tolist()) <= set(x.unique().tolist())
    assert torch.equal(rotate(x, torch.zeros(1)), x)


def test_rotation_by_quarter_turns_is_exact_and_each_image_has_its_own_angle():
    x = torch.rand(4, 3, 9, 9)
    found = rotate(x, torch.tensor([0.0, 90.0, -90.0, 180.0]))
    expected = [x[0], x[1].rot90(1, (-2, -1)), x[2].rot90(-1, (-2, -1)), x[3].flip((-2, -1))]
    assert torch.equal(found, torch.stack(expected))


def test_softening_halves_the_sharpness_and_noise_has_its_size():
    x = torch.zeros(64, 3, 15, 15) + 0.25
    x[..., 7, 7] = 0.75
    y = soften_and_add_noise(x, generator())
    center = y[:, 0, 7, 7]
    soft = center < 0.6
    expected = float(adjust_sharpness(x[:1], 0.5)[0, 0, 7, 7])
    torch.testing.assert_close(
        center[soft], torch.full_like(center[soft], expected), rtol=0, atol=0.003
    )
    assert 16 < soft.sum() < 48
    spread = y[~soft][..., :5, :5].std(dim=(1, 2, 3))
    noisy = spread > 0
    assert 4 < noisy.sum() < len(noisy) - 4
    torch.testing.assert_close(
        spread[noisy], torch.full_like(spread[noisy], NOISE), rtol=0.3, atol=0
    )


def test_gradients_reach_the_views():
    x = torch.rand(8, 3, 9, 9, requires_grad=True)
    augment("strong", x, None, generator())[0].sum().backward()
    assert torch.isfinite(x.grad).all()
    assert float(x.grad.sum()) == pytest.approx(x.numel(), rel=0.2)
