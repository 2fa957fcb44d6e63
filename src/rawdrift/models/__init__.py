"""Task models: a view becomes a prediction.

- `networks`: networks by name, and the user's own. `weights`: their files.
- `fronts`, `chain`: what comes before a network: an ISP, packed raw values, normalization.
- `targets`, `classification`, `segmentation`: what is learned of an image, and how it is scored.
- `losses`, `augment`, `train`: how it is learned. `evaluate`: answers to many kinds of views.
- `predict`: whole frames by tiles.
- `deploy`: an ISP and its network as one file, ONNX or `torch.export`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(  # specs are read without torch
    __name__,
    submodules=[
        "augment", "case", "chain", "classification", "deploy", "evaluate", "fronts", "losses",
        "networks", "predict", "segmentation", "spec", "targets", "train", "weights",
    ],
)  # fmt: skip
