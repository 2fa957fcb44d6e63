"""Develop mosaics in a process of its own, where a crash or a hang harms nobody.

A script, which imports what it needs and nothing else. Standard input: a line of JSON with the
program, then a line with the paths of input and output, and the options, for each mosaic. Standard
output: a line for each, {} or {"error": why}.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Develop = Callable[[str], Any]  # from the path of a mosaic to a view (3, H, W)


def libraw_choices() -> dict[str, Any]:
    """The enumerations of rawpy's parameters that are no numbers."""
    import rawpy

    return {
        "demosaic_algorithm": rawpy.DemosaicAlgorithm,
        "output_color": rawpy.ColorSpace,
        "fbdd_noise_reduction": rawpy.FBDDNoiseReductionMode,
        "highlight_mode": rawpy.HighlightMode,
    }


def libraw(options: dict[str, Any]) -> Develop:
    """LibRaw's processing of a DNG, by names of rawpy's parameters."""
    import rawpy

    enums = libraw_choices()
    tuples = ("gamma", "chromatic_aberration")
    given: dict[str, Any] = {
        name: enums[name][value]
        if name in enums and isinstance(value, str)
        else tuple(value)
        if name in tuples
        else value
        for name, value in options.items()
    }

    def develop(path: str) -> Any:
        with rawpy.imread(path) as raw:
            view = raw.postprocess(**given).transpose(2, 0, 1)
            return view if len(view) == 3 else view.repeat(3, axis=0)  # of a monochrome camera

    return develop


def own(reference: str, camera: str, folders: list[str], options: dict[str, Any]) -> Develop:
    """The user's own ISP, import:package.module.factory, with these of its parameters."""
    sys.path[:] = folders
    import torch

    from rawdrift import imports
    from rawdrift.camera.camera import Camera

    torch.set_num_threads(1)
    isp = imports.resolve(reference, "ISP")(Camera.from_toml(camera, "the camera"), **options)

    def develop(path: str) -> Any:
        with torch.inference_mode():
            view = isp(torch.from_numpy(np.load(path)))
        if isinstance(view, torch.Tensor):
            view = view.detach().cpu().numpy()
        values = np.asarray(view)
        if values.dtype.kind not in "biuf":
            raise TypeError(
                f"expected an array of real numbers, got {type(view).__name__} of {values.dtype}"
            )
        return values.astype(np.float32)

    return develop


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries and the user's code print is no reply
    develop: Develop | None = None
    made: dict[str, Any] = {}  # with these options
    task = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        source, target, options = json.loads(line)
        try:
            if "libraw" in task:
                develop = libraw(options)
            elif develop is None or options != made:
                develop, made = own(**task["own"], options=options), options
            np.save(target, develop(source))
            reply = {}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
