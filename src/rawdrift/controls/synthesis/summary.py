"""Look-ups in the summary of a drift synthesis run."""

from typing import Any

Case = tuple[str, str, int]
"""Kind, name, and severity, which is 0 for a pipeline."""


def cases(summary: dict[str, Any], kind: str | None = None) -> list[Case]:
    """What the models of a summary were tested on: all, or those of a kind."""
    found: list[Case] = [("isp", name, 0) for name in summary["test"]]
    found += [
        ("corruption", name, severity)
        for name in summary["corruptions"]
        for severity in summary["severities"]
    ]
    return [case for case in found if kind in (None, case[0])]


def by_case(summary: dict[str, Any]) -> dict[tuple[str, str, str, int], dict[str, Any]]:
    """The cells of a summary by training pipeline and case."""
    return {
        (cell["train"], cell["kind"], cell["test"], cell["severity"]): cell
        for cell in summary["cells"]
    }


def own(summary: dict[str, Any], train: str) -> dict[str, Any]:
    """The cell of a pipeline's own views."""
    return by_case(summary)[train, "isp", train, 0]
