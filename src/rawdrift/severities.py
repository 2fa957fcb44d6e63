"""How strong the common corruptions are at severities 1 to 5. Facts alone: no torch.

Two tables of D. Hendrycks and T. Dietterich, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations", ICLR 2019, as in the code they published with it:

- `small`, of CIFAR-10-C, for images of 32x32 pixels. The paper's experiments used it.
- `imagenet`, of ImageNet-C, for images of 224x224 pixels.

Lengths are pixels, and nothing scales them with the image. On 256 pixels `small` therefore
understates: its blurs and distortions are an eighth as large beside the image as they were meant to
be, and its noise is the weaker one. On 32 pixels `imagenet` overstates. (Zoom and fog follow the
size of the image, and colors have none.)

Not every published row grows with severity. `saturate` takes color away at 1 and 2 and adds it from
3 on; in `glass_blur` and `elastic_transform` the constants trade places; `motion_blur` (small, 4),
`zoom_blur` (imagenet, 3) and `fog` (imagenet, 4) may change an image less than the level before.
"""

from collections.abc import Mapping

Table = Mapping[str, Mapping[str, tuple[float, ...]]]

LEVELS = (1, 2, 3, 4, 5)

PAPER = (
    "identity",
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "gaussian_blur",
    "zoom_blur",
    "contrast",
    "brightness",
    "saturate",
    "elastic_transform",
)
"""The paper's ten and the identity, in the order of its Tables 7 and 9."""

SMALL: Table = {
    "identity": {},
    "gaussian_noise": {"std": (0.04, 0.06, 0.08, 0.09, 0.10)},
    "shot_noise": {"photons": (500, 250, 100, 75, 50)},
    "impulse_noise": {"amount": (0.01, 0.02, 0.03, 0.05, 0.07)},
    "speckle_noise": {"std": (0.06, 0.1, 0.12, 0.16, 0.2)},
    "gaussian_blur": {"sigma": (0.4, 0.6, 0.7, 0.8, 1)},
    "defocus_blur": {"radius": (0.3, 0.4, 0.5, 1, 1.5), "alias": (0.4, 0.5, 0.6, 0.2, 0.1)},
    "glass_blur": {
        "sigma": (0.05, 0.25, 0.4, 0.25, 0.4),
        "reach": (1, 1, 1, 1, 1),
        "passes": (1, 1, 1, 2, 2),
    },
    "motion_blur": {"radius": (6, 6, 6, 8, 9), "sigma": (1, 1.5, 2, 2, 2.5)},
    "zoom_blur": {"stop": (1.06, 1.11, 1.16, 1.21, 1.26), "step": (0.01, 0.01, 0.01, 0.01, 0.01)},
    "fog": {"strength": (0.2, 0.5, 0.75, 1, 1.5), "decay": (3, 3, 2.5, 2, 1.75)},
    "contrast": {"factor": (0.75, 0.5, 0.4, 0.3, 0.15)},
    "brightness": {"offset": (0.05, 0.1, 0.15, 0.2, 0.3)},
    "saturate": {"factor": (0.3, 0.1, 1.5, 2, 2.5), "offset": (0, 0, 0, 0.1, 0.2)},
    "elastic_transform": {
        "alpha": (0, 1.6, 2.56, 3.2, 3.2),
        "sigma": (0, 6.4, 1.92, 1.28, 0.96),
        "affine": (2.56, 2.24, 1.92, 1.6, 0.96),
    },
    "pixelate": {"scale": (0.95, 0.9, 0.85, 0.75, 0.65)},
    "jpeg_compression": {"quality": (80, 65, 58, 50, 40)},
}

IMAGENET: Table = {
    "identity": {},
    "gaussian_noise": {"std": (0.08, 0.12, 0.18, 0.26, 0.38)},
    "shot_noise": {"photons": (60, 25, 12, 5, 3)},
    "impulse_noise": {"amount": (0.03, 0.06, 0.09, 0.17, 0.27)},
    "speckle_noise": {"std": (0.15, 0.2, 0.35, 0.45, 0.6)},
    "gaussian_blur": {"sigma": (1, 2, 3, 4, 6)},
    "defocus_blur": {"radius": (3, 4, 6, 8, 10), "alias": (0.1, 0.5, 0.5, 0.5, 0.5)},
    "glass_blur": {
        "sigma": (0.7, 0.9, 1, 1.1, 1.5),
        "reach": (1, 2, 2, 3, 4),
        "passes": (2, 1, 3, 2, 2),
    },
    "motion_blur": {"radius": (10, 15, 15, 15, 20), "sigma": (3, 5, 8, 12, 15)},
    "zoom_blur": {"stop": (1.11, 1.16, 1.21, 1.26, 1.31), "step": (0.01, 0.01, 0.02, 0.02, 0.03)},
    "fog": {"strength": (1.5, 2, 2.5, 2.5, 3), "decay": (2, 2, 1.7, 1.5, 1.4)},
    "contrast": {"factor": (0.4, 0.3, 0.2, 0.1, 0.05)},
    "brightness": {"offset": (0.1, 0.2, 0.3, 0.4, 0.5)},
    "saturate": {"factor": (0.3, 0.1, 2, 5, 20), "offset": (0, 0, 0, 0.1, 0.2)},
    "elastic_transform": {
        "alpha": (488, 488, 12.2, 17.08, 29.28),
        "sigma": (170.8, 19.52, 2.44, 2.44, 2.44),
        "affine": (24.4, 48.8, 4.88, 4.88, 4.88),
    },
    "pixelate": {"scale": (0.6, 0.5, 0.4, 0.3, 0.25)},
    "jpeg_compression": {"quality": (25, 18, 15, 10, 7)},
}

TABLES = {"small": SMALL, "imagenet": IMAGENET}

NAMES = tuple(SMALL)
"""All corruptions: ImageNet-C and its extras but for frost, snow and spatter, and the identity."""
