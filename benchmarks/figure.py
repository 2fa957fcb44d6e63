"""The benchmark as one picture."""

from pathlib import Path

import numpy as np

BARS = {"packages": "#b0b0b0", "steps": "#7aa6c2", "fused": "#c0392b"}
LABELS = {
    "packages": "colour-demosaicing, scikit-image, SciPy",
    "steps": "rawdrift step by step (PyTorch)",
    "fused": "rawdrift fused",
}


def draw(found: dict[str, dict[str, float]], bound: float | None, path: Path) -> None:
    """Megapixels a second by configuration and way, and the machine's own bound for all."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(figsize=(10, 4), layout="constrained")
    width = 0.8 / len(BARS)
    for i, (way, color) in enumerate(BARS.items()):
        speeds = [speed[way] for speed in found.values()]
        at = np.arange(len(found)) + (i - 1) * width
        bars = axes.bar(at, speeds, width, label=LABELS[way], color=color)
        labels = [f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}" for speed in speeds]
        axes.bar_label(bars, labels, fontsize=7, padding=1)
    if bound:
        axes.axhline(bound, color="black", linewidth=1, linestyle="--")
        axes.text(
            len(found) - 0.5, bound * 1.06, "copy and three powers a pixel", ha="right", fontsize=8
        )
    axes.set_xticks(np.arange(len(found)), list(found))
    axes.set(yscale="log", ylim=(1, 3 * max(bound or 0, *(s["fused"] for s in found.values()))))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel("megapixels a second, one core")
    axes.set_title("Developing a raw mosaic", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", ncols=3, frameon=False, fontsize=8)
    fig.savefig(path, dpi=150)
    plt.close(fig)
