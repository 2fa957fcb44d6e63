"""The names of the common corruptions, and where each is. No torch."""

from collections.abc import Sequence

LEVELS = (1, 2, 3, 4, 5)


def middle(severities: Sequence[int]) -> int:
    """Return the severity that pictures show: the middle one."""
    return sorted(severities)[len(severities) // 2]


TABLES = ("small", "imagenet")
"""Two tables of severities by D. Hendrycks and T. Dietterich, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations", ICLR 2019, as in the code that they published:

- `small`, of CIFAR-10-C, for images of 32x32 pixels. The paper used it on images of 256x256
  (utils/Cperturb.py of github.com/aiaudit-org/raw2logit), and so do the presets paper-microscopy
  and paper-drone.
- `imagenet`, of ImageNet-C, for images of 224x224 pixels.

Lengths are in pixels and do not scale with the image. On 256 pixels `small` therefore understates:
its blurs and distortions are an eighth of their intended size relative to the image, and its noise
is weaker. On 32 pixels `imagenet` overstates. (Zoom and fog follow the size of the image, and
colors have none.)

Not every published row grows with severity. `saturate` removes color at 1 and 2 and adds it from
3 on; `glass_blur` and `elastic_transform` trade one constant against another, and `frost` the view
against the ice; `spatter` is water up to 3 and mud from 4 on; `motion_blur` (small, 4), `zoom_blur`
(imagenet, 3) and `fog` (imagenet, 4) may change an image less than the level before.
"""

CORRUPTIONS = {
    "identity": "import:rawdrift.corruptions.digital.identity",
    "gaussian_noise": "import:rawdrift.corruptions.noise.gaussian_noise",
    "shot_noise": "import:rawdrift.corruptions.noise.shot_noise",
    "impulse_noise": "import:rawdrift.corruptions.noise.impulse_noise",
    "speckle_noise": "import:rawdrift.corruptions.noise.speckle_noise",
    "gaussian_blur": "import:rawdrift.corruptions.blur.gaussian_blur",
    "defocus_blur": "import:rawdrift.corruptions.blur.defocus_blur",
    "glass_blur": "import:rawdrift.corruptions.glass.glass_blur",
    "motion_blur": "import:rawdrift.corruptions.blur.motion_blur",
    "zoom_blur": "import:rawdrift.corruptions.blur.zoom_blur",
    "fog": "import:rawdrift.corruptions.fog.fog",
    "frost": "import:rawdrift.corruptions.weather.frost",
    "snow": "import:rawdrift.corruptions.weather.snow",
    "spatter": "import:rawdrift.corruptions.weather.spatter",
    "contrast": "import:rawdrift.corruptions.color.contrast",
    "brightness": "import:rawdrift.corruptions.color.brightness",
    "saturate": "import:rawdrift.corruptions.color.saturate",
    "elastic_transform": "import:rawdrift.corruptions.elastic.elastic_transform",
    "pixelate": "import:rawdrift.corruptions.digital.pixelate",
    "jpeg_compression": "import:rawdrift.corruptions.digital.jpeg_compression",
}
"""The 19 corruptions of ImageNet-C and its extras, and the identity. To add one, write it like the
others and add a line here."""

NAMES = tuple(CORRUPTIONS)

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
"""The paper's ten and the identity, in the order of its Tables 7 and 9. Its Figure 12 shows the
other nine as excluded from the experiments, without a reason."""
