"""A test of a model: views that differ from those it was trained on. No torch."""

from typing import Literal, NamedTuple

Kind = Literal["isp", "corruption"]


class Case(NamedTuple):
    """The views of a pipeline, or the model's own views under a corruption.

    severity: of the corruption, from 1 to 5; 0 for a pipeline.
    """

    kind: Kind
    name: str
    severity: int = 0

    @property
    def key(self) -> str:
        """A name for the case in records."""
        return f"{self.kind}/{self.name}" + (f"/{self.severity}" if self.severity else "")
