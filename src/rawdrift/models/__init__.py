"""Task models: a view becomes a prediction.

- `networks`: networks by name, and the user's own. `weights`: their files.
- `fronts`, `chain`: what comes before a network: an ISP, packed raw values, normalization.
- `targets`, `losses`, `augment`, `train`: what is learned, and how.
- `evaluate`, `metrics`: answers to many kinds of views, and their scores.
- `deploy`: an ISP and its network as one file, ONNX or `torch.export`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(  # specs are read without torch
    __name__,
    submodules=[
        "augment", "case", "chain", "deploy", "evaluate", "fronts", "losses", "metrics",
        "networks", "spec", "targets", "train", "weights",
    ],
)  # fmt: skip
