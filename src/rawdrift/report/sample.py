"""What a page shows of one image: its views, and what the model answered. No torch."""

import msgspec


class SampleImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image before and after a change of its view, and the model's answers to both.

    matched_view, view, change: pictures of the view before, of the view after and of their
        difference, as paths within the run folder.
    label, matched_prediction, prediction: names of classes; None for masks.
    truth, matched_mask, mask: pictures of the right mask, and of the answers before and after; a
        gray level for each class. None unless answers are masks.
    matched_score, score: the metric of this image alone; None where it is not defined.
    """

    image: str
    matched_view: str
    view: str
    change: str
    label: str | None = None
    matched_prediction: str | None = None
    prediction: str | None = None
    truth: str | None = None
    matched_mask: str | None = None
    mask: str | None = None
    matched_score: float | None = None
    score: float | None = None
