"""Comparison: may this camera, firmware or ISP replace the one before? What is lost, and why?"""

from rawdrift.controls.comparison.spec import DEMO, ComparisonSpec
from rawdrift.controls.control import Control

control = Control(
    name="comparison",
    command="compare",
    spec=ComparisonSpec,
    experiment="rawdrift.controls.comparison.experiment:DriftComparison",
    result="rawdrift.controls.comparison.result:ComparisonResult",
    page="rawdrift.controls.comparison.page",
    description="Decide whether one ISP may replace another: exit code 0 if it may, 1 if that is "
    "not shown.",
    help="may this camera, firmware or ISP be released?",
    demo=DEMO,
)
