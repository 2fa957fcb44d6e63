"""Small networks, as a user's own: `import:nets.NAME`."""

from torch import nn


def pixels(classes):
    """Of masks: (N, 3, H, W) to (N, classes, H, W)."""
    return nn.Conv2d(3, classes, 3, padding=1)


def blocks(classes):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, classes),
    )


def mean(classes):
    """By the mean color of views of 32 pixels."""
    return nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.Linear(3, classes))
