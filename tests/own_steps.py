"""Steps of a user's own, before and after those that are fused."""

import torch

import rawdrift as rd


class Shading(rd.isp.Step):
    """Mosaic to mosaic: darker to the right, by the user's own number."""

    takes = gives = "mosaic"
    numbers = {"strength": rd.isp.Number(default=0.2)}

    def forward(self, x):
        return x * (1 - self.strength.to(x) * torch.linspace(0, 1, x.shape[-1]).to(x))


class Saturation(rd.isp.Step):
    """View to view: colors farther from gray, by the user's own number."""

    numbers = {"factor": rd.isp.Number(default=1.3)}

    def forward(self, x):
        gray = x.mean(-3, keepdim=True)
        return gray + self.factor.to(x) * (x - gray)


def with_own(isp, place, number=0.7):
    """The pipeline with a step of the user's before the step at this place, or behind the last."""
    names = list(isp.steps)
    own = Shading(number) if place <= names.index("demosaic") else Saturation(number)
    if place == len(names):
        return isp.insert("own", own, after=names[-1])
    return isp.insert("own", own, before=names[place])
