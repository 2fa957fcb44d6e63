"""The names of the paper's twelve static data models (Table 1). Facts alone: no torch."""

DEMOSAICING = ("bi", "me", "ma")
"""Bilinear, Menon2007, Malvar2004."""
SHARPENING = ("s", "u")
"""Sharpening filter, unsharp mask."""
DENOISING = ("me", "ga")
"""Median, Gaussian."""

CONFIGURATIONS = tuple(
    f"{dm},{sh},{dn}" for dm in DEMOSAICING for sh in SHARPENING for dn in DENOISING
)
"""In the order of Table 1; the paper's "bi,s,me" is bilinear, sharpening filter, median."""
