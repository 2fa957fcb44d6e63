"""Objects print their numbers, in terminals and notebooks."""

import pytest
import torch

import rawdrift as rd
from rawdrift import text
from test_inputs import CAMERA, ISP, MOSAIC

PLAIN = rd.isp.static("bi,-,-", rd.Camera("plain", "RGGB"))
SPACE = rd.forensics.ParameterSpace.around(PLAIN, {"gamma.gamma": 0.2})
DATA = [((0.2 + 0.5 * (i % 2)) * torch.ones(16, 16), i % 2) for i in range(8)]


class Brightness(torch.nn.Module):
    def forward(self, views):
        level = views.mean(dim=(1, 2, 3))
        return torch.stack([0 * level, 9 * (level - 0.6)], dim=1)


DROP = rd.statistics.drop([0, 1] * 20, [0, 1] * 20, [0, 1] * 15 + [1, 1] * 5)
FOUND = rd.forensics.search(Brightness(), PLAIN, DATA, SPACE, restarts=1, steps=1)
SAFE = rd.forensics.envelope(Brightness(), PLAIN, DATA, SPACE)

SHOWN = {
    "camera": (CAMERA, ["Camera raw-microscopy", CAMERA.cfa, "bits", CAMERA.provenance]),
    "pipeline": (ISP, ["Pipeline bi,s,ga", "BlackLevel", "gains", "gamma 2.2"]),
    "own": (ISP.remove("denoise").reorder([*ISP.remove("denoise").steps]), ["Pipeline bi,s,-"]),
    "learned": (rd.isp.parametrized("ma,u,me", CAMERA), ["radius 1 px (learned)"]),
    "raw": (rd.Raw(MOSAIC, CAMERA, ("dark",)), ["float32 (16, 16) from ", "dark"]),
    "interval": (DROP, [f"{DROP.value:.4g} ({DROP.low:.4g} to {DROP.high:.4g})"]),
    "search": (FOUND, ["SearchResult", f"{FOUND.baseline:.6g}", "at gamma.gamma"]),
    "found": (FOUND.gradient, ["gradient", "gamma.gamma"]),
    "envelope": (SAFE, ["Envelope", "gamma.gamma"]),
    "match": (rd.isp.match([MOSAIC], [ISP(MOSAIC)], CAMERA), ["PSNR [dB]", "bi,s,ga"]),
}


@pytest.mark.parametrize("case", SHOWN)
def test_objects_print_their_numbers(case):
    shown, expected = SHOWN[case]
    for part in expected:
        assert part in str(shown)
    page = shown._repr_html_()
    assert page.startswith("<table>")
    assert all(len(line) < 1000 for line in str(shown).splitlines())


@pytest.mark.parametrize("case", ["camera", "pipeline", "learned", "search", "envelope", "match"])
def test_objects_are_frames_and_plots(case, tmp_path):
    shown, _ = SHOWN[case]
    frame = shown.to_frame()
    assert len(frame)
    assert frame.columns.is_unique
    shown.plot().savefig(tmp_path / "plot.png", dpi=20)


def test_a_pipeline_as_a_frame_has_every_number():
    frame = ISP.to_frame().set_index(["step", "number", "index"]).value
    assert frame["gamma", "gamma", ()] == pytest.approx(float(ISP.gamma.gamma))
    assert frame["white_balance", "gains", (1,)] == pytest.approx(float(ISP.white_balance.gains[1]))
    assert len(frame) == sum(getattr(s, n).numel() for s in ISP.steps.values() for n in s.numbers)


def test_html_of_names_from_strangers_is_escaped():
    shown = rd.Camera("<script>", "RGGB", provenance="a & b")._repr_html_()
    assert "<script>" not in shown
    assert "a &amp; b" in shown


def test_columns_are_aligned():
    assert text.table(["ISP", "dB"], [["bi,s,ga", "9.1"], ["x", "30.2"]]) == [
        "ISP        dB",
        "bi,s,ga   9.1",
        "x        30.2",
    ]
    assert text.brief(torch.zeros(0, 3)) == "float32 (0, 3)"
    assert text.brief(None) == text.brief([]) == ""
    assert text.brief(list(range(1000))) == "1000 entries"


def test_a_search_as_a_frame():
    frame = FOUND.to_frame()
    assert list(frame.method) == ["gradient", *FOUND.rivals]
    assert frame["gamma.gamma"][0] == FOUND.parameters["gamma.gamma"]
