"""
Low light, through the sensor
=============================

Dividing the pixels by ten does not make a picture taken with a tenth of the light: it keeps the
noise of the bright one. Light comes in photons, and few of them scatter more. ``rd.sensor.dim``
removes photons one by one from a raw file, and adds the noise that the camera's electronics would
have had.
"""

# %%
# A frame in good light
# ---------------------
# A synthetic micrograph from a camera whose gain is known: it can be counted in electrons.

import matplotlib.pyplot as plt
import torch

import rawdrift as rd

data = rd.data.load(rd.Data("synthetic-microscopy", images=10, size=128, seed=4))
camera = data.cameras[0]
mosaic = data.mosaics[0].float() / 65535
print(camera.noise)

# %%
# Less and less light
# -------------------
# Each view is brightened again by its own factor, so that only the noise differs. Below: the same
# factor applied to the bright frame, as image augmentation often does. It shows nothing of what
# low light costs.

isp = rd.isp.static("bi,-,-", camera)
draws = torch.Generator().manual_seed(0)
intensities = (1.0, 0.1, 0.02, 0.005)
black = camera.black_level[0]


def brightened(frame, factor):
    """Return the view of a frame whose signal above black is multiplied."""
    return isp(((frame - black) * factor + black).clip(0, 1)).permute(1, 2, 0)


fig, axes = plt.subplots(2, 4, figsize=(11, 6), layout="constrained")
dimmed = {}
for column, share in zip(axes.T, intensities, strict=True):
    dimmed[share] = rd.sensor.dim(mosaic, camera, intensity=share, generator=draws)
    divided = (mosaic - black) * share + black
    column[0].imshow(brightened(dimmed[share], 1 / share))
    column[1].imshow(brightened(divided, 1 / share))
    column[0].set_title(f"{share:.1%} of the light")
axes[0, 0].set_ylabel("photons removed")
axes[1, 0].set_ylabel("pixels divided")
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])

# %%
# Does the noise obey the law?
# ----------------------------
# A frame taken with a share t of the light has the variance of its photons, t times the mean in
# electrons, plus read noise and quantization. Measured between two frames thinned from one
# original, the variance in a patch must follow that line.

gain, read_noise = camera.noise.gain, camera.noise.read_noise
flat = torch.full((256, 256), black + 6000 * gain / 65535)  # 6000 electrons everywhere
shares = torch.logspace(-2.5, -0.1, 12).tolist()
measured, expected = [], []
for share in shares:
    one, other = (rd.sensor.dim(flat, camera, intensity=share, generator=draws) for _ in "ab")
    measured.append(float((one - other).var() / 2) * (65535 / gain) ** 2)
    # The original is the same in both and has no noise of its own here: thinning alone, t (1 - t).
    added = (1 - share**2) * read_noise**2 + (1 - share**2) / 12 / gain**2
    expected.append(6000 * share * (1 - share) + added)

fig, axis = plt.subplots(figsize=(7, 4), layout="constrained")
axis.loglog(shares, expected, color="#c2410c", label="Binomial thinning and electronics")
axis.loglog(shares, measured, "o", color="#0b6e69", label="measured")
axis.set(xlabel="share of the light", ylabel="variance (electrons²)")
axis.spines[["top", "right"]].set_visible(False)
axis.legend(frameon=False)
