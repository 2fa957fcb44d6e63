"""Pictures for the page: the images that lose most."""

from collections.abc import Sequence

import numpy as np
import torch
from msgspec.structs import replace

from rawdrift.controls.comparison.analysis import Tested
from rawdrift.controls.comparison.result import ComparisonResult
from rawdrift.controls.flips import flips
from rawdrift.controls.gallery import AMPLIFIED, Gallery, most_harmed
from rawdrift.controls.material import Material
from rawdrift.controls.wholes import Wholes
from rawdrift.models.chain import Develop
from rawdrift.report.sample import SampleImage
from rawdrift.statistics.drops import Answers


def illustrate(
    result: ComparisonResult,
    material: Material,
    tested: Tested,
    given: Answers,
    develops: Sequence[Develop],
    pictures: Gallery,
) -> ComparisonResult:
    """Return the result with the images, or the frames of tiles, that lose most.

    given, develops: before, then after.
    """
    data, targets, _ = material
    wholes = Wholes(material, tested.images)
    before, after = (wholes.values(given.measure, features) for features in given.features)
    images = []
    lose = before > after
    chosen = most_harmed(before, after)
    for number, whole in enumerate(i for i in chosen if lose[i]):
        indices = wholes.members(whole)
        batch = torch.tensor(indices)
        with torch.inference_mode():
            views = [
                wholes.joined(
                    whole, [*develop(data.mosaics[batch], data.camera_index[batch]).float()]
                )
                for develop in develops
            ]
        truth = wholes.truth(whole)
        pair = tested.masks.get(int(wholes.numbers[whole]))
        name, index, place = f"lost/{number}", indices[0], wholes.places(whole)[0]
        same_size = views[0].shape == views[1].shape
        images.append(
            SampleImage(
                image=wholes.name(whole),
                matched_view=pictures.write(f"{name}-before", views[0]),
                view=pictures.write(f"{name}-after", views[1]),
                change=pictures.write_change(
                    f"{name}-change", *views if same_size else views[:1] * 2
                ),
                label=targets.label(index),
                matched_prediction=targets.answer(given.outcomes[0, place]),
                prediction=targets.answer(given.outcomes[1, place]),
                truth=None if truth is None else pictures.write(f"{name}-truth", truth),
                matched_mask=pictures.write_png(f"{name}-before-mask", pair.before)
                if pair
                else None,
                mask=pictures.write_png(f"{name}-after-mask", pair.after) if pair else None,
                matched_score=_number(before[whole]),
                score=_number(after[whole]),
            )
        )

    def draw(name: str, index: int) -> tuple[str, str]:
        batch = torch.tensor([index])
        with torch.inference_mode():
            before, after = (
                develop(data.mosaics[batch], data.camera_index[batch])[0] for develop in develops
            )
        return pictures.write(f"{name}-before", before), pictures.write(f"{name}-after", after)

    ends = (result.before, given.outcomes[0]), (result.after, given.outcomes[1])
    flipped = flips(material, tested.images, *ends, "after", draw)
    return replace(result, images=images, amplified=AMPLIFIED, flips=flipped)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
