"""The page of a finished run, by its kind."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rawdrift import files
from rawdrift.report import html
from rawdrift.report.forensics import page as forensics
from rawdrift.report.optimization import page as optimization
from rawdrift.report.summary import read

_PAGES: Mapping[str, Callable[[Path, dict[str, Any]], str]] = {
    "synthesis": html.write,
    "forensics": forensics.write,
    "optimization": optimization.write,
}


def write(run: Path) -> Path:
    """Draw a finished run: `run`/figures/*.svg and *.png, `run`/tables/*.csv and *.tex, and
    `run`/report.html, which is returned.

    Reads `run`/summary.json and the pictures it names. The same record gives the same bytes.
    """
    run = Path(run)
    summary = read(run)
    path = run / "report.html"
    files.write(path, _PAGES[summary["kind"]](run, summary))
    return path
