"""Pages and archives that are read elsewhere: complete, with every word explained, and no places."""

import base64
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rawdrift as rd
from rawdrift.cli import main
from rawdrift.controls import sharing
from rawdrift.report import panels, style, whole

DATA = rd.Data("synthetic-microscopy", images=18, size=32, balanced=True)
TASK = rd.Task(model="import:nets.blocks", epochs=1, batch_size=8, precision="32")
SPEC = rd.SynthesisSpec(DATA, rd.Synthesis(train=["bi,s,ga"], folds=2, corruptions=[]), TASK)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared") / "run"
    rd.run(SPEC, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "_DPI", 20)
        assert main(["report", str(folder), "--zip"]) == 0
    return folder


def test_a_page_holds_the_files_that_it_links_to(run):
    page = (run / "report.html").read_text()
    links = re.findall(r'<a ([^>]*)href="([^"]*)"', page)
    assert links
    held = {}
    for attributes, target in links:
        assert target.startswith(("#", "data:")), target
        if target.startswith("data:"):
            name = re.search('download="([^"]*)"', attributes)[1]
            held[name] = base64.b64decode(target.partition("base64,")[2])
        else:
            assert f'id="{target[1:]}"' in page
    for name in ("results.csv", "summary.json"):
        assert held[name] == (run / name).read_bytes()
    assert "kB)" in page
    assert str(run.parent) not in page


def test_the_words_of_a_page_are_explained_before_they_are_used(run):
    page = (run / "report.html").read_text()
    body = page[page.index("<main>") :]
    head, _, rest = body.partition("</dl></details>")
    # On paper they stand behind everything, and nothing stands before the headline.
    assert 'class="terms screen"' in head
    rest, _, paper = rest.partition('<details class="terms paper">')
    assert paper.partition("</dl></details>")[2].strip().startswith("</main>")
    assert paper.partition("</dl>")[0] in head
    assert "<h1" not in head
    assert whole.terms(rest)
    for word in whole.terms(rest):
        assert f"<dt>{word}</dt>" in head
    headings = re.findall(r"<h2>(.*?)</h2>", rest.partition("<section id")[2], flags=re.S)
    for heading in filter(None, headings):
        assert heading in page[page.index('class="contents"') : page.index("</nav>")]


def test_the_archive_has_what_a_reader_needs_and_is_the_same_each_time(run, tmp_path):
    path = run.with_name("run.zip")
    first = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        text = b"".join(archive.read(name) for name in names if name.endswith((".yaml", ".log")))
    assert {"run/report.html", "run/summary.json", "run/results.csv", "run/spec.yaml"} <= {*names}
    assert not [name for name in names if "records" in name or ".ckpt" in name or ".lock" in name]
    assert str(run.parent).encode() not in text
    sharing.pack(run)
    assert path.read_bytes() == first
    other = tmp_path / "mine.zip"
    other.write_bytes(b"mine")
    with pytest.raises(rd.InputError, match="no archive of a run"):
        sharing.pack(run, other)
    assert other.read_bytes() == b"mine"


@given(
    st.integers(-9, 9),
    st.integers(1, 8),
    st.integers(-3, 6),
    st.floats(-1000, 1000, allow_nan=False),
)
def test_ticks_are_told_apart(power, steps, least, offset):
    """Of any evenly spaced values, no two have one label, and all have as many decimals."""
    step = 10.0**power * (1 + steps / 4)
    values = [round(offset / step) * step + i * step for i in range(5)]
    texts = style.ticks(values, max(0, least % 3))
    assert len({*texts}) == len({*values})


def test_ticks_have_no_more_digits_than_they_need():
    assert style.ticks([0.0, 0.005, 0.01]) == ["0.000", "0.005", "0.010"]
    assert style.ticks([0.0, 0.25, 0.5]) == ["0.00", "0.25", "0.50"]
    assert style.ticks([0, 1, 5], 0) == ["0", "1", "5"]


@given(st.floats(0, 0.9), st.floats(0, 0.4), st.integers(0, 10))
def test_colors_span_more_than_the_noise(value, noise, seed):
    rng = np.random.default_rng(seed)
    values = np.clip(value + noise * rng.normal(size=9), 0, 1)
    scale = panels.scale(values, [noise] * 9, "Accuracy")
    low, high = scale.colors.get_clim()
    assert low <= values.min() + 1e-9
    assert high >= values.max() - 1e-9
    assert high - low >= max(0.15, 4 * noise) - 1e-3
    widened = high - low > 0.05 + np.ceil(values.max() * 20) / 20 - np.floor(values.min() * 20) / 20
    assert "at least" in scale.label or not widened


def test_tables_and_figures_scroll_in_their_own_container():
    """Else they run past the edge of a narrow screen, and the page scrolls sideways with them."""
    for path in sorted(Path(rd.__file__).parent.rglob("*.html.j2")):
        if path.parent.name == "web":
            continue  # has no wide tables, and its own style
        text = path.read_text("utf-8")
        for before in text.split("<table")[:-1]:
            assert 'class="scroll' in before[before.rindex("<") :], path
