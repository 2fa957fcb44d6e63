"""Drift synthesis: train on static pipelines, test on all twelve and on common corruptions."""

from pathlib import Path

from rawdrift.controls.control import Control
from rawdrift.controls.synthesis.spec import DEMO, SynthesisSpec

control = Control(
    name="synthesis",
    spec=SynthesisSpec,
    experiment="rawdrift.controls.synthesis.experiment:DriftSynthesis",
    result="rawdrift.controls.synthesis.result:SynthesisResult",
    page="rawdrift.controls.synthesis.page",
    description="Train on some pipelines, test on all twelve.",
    help="drift synthesis: train and test grid",
    demo=DEMO,
    presets=Path(__file__).parent / "presets",
)
