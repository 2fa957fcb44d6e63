"""What makes a page complete on its own: its files inside it, contents, and words explained."""

import base64
import re
from pathlib import Path

from markupsafe import Markup, escape

from rawdrift import files

MOST = 8 << 20
"""Bytes of a file that a page holds; larger ones stay in the run folder, and the page says so."""

_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".tex": "text/plain",
    ".toml": "text/plain",
    ".yaml": "text/plain",
}

TERMS = {
    "view": "the picture that a pipeline makes of a raw file, and that the model sees",
    "pipeline": "the steps of processing that make a view of a raw file (an ISP)",
    "matched": "tested on the kind of views that the model was trained on, or is made for",
    "drop": "the matched value of the metric minus the value of the test; above zero is a loss",
    "corruption": "a distortion of the view, such as blur or noise; it describes no camera",
    "severity": "the strength of a corruption, from 1 (weakest) to 5",
    "fold": "one of the parts of the images that are held out in turn: a model is trained on the "
    "others, and tested on this one",
    "confidence interval": "the range of values that agree with the data; one of 95 % misses the "
    "true value in at most 5 of 100 such experiments",
    "Holm": "a correction of p-values for many comparisons, so that a difference by chance is "
    "reported in at most 5 % of such experiments",
    "p-value": "how often chance alone would give as large a difference",
    "recall": "the share of a class that is recognized",
    "precision": "the share of the answers of a class that are right",
    "SSIM": "structural similarity of two pictures, 1 if they are the same",
    "PSNR": "peak signal-to-noise ratio of two pictures in dB, higher if they are more alike",
    "Kendall\N{RIGHT SINGLE QUOTATION MARK}s tau": (
        "agreement of rankings: 1 the same order, 0 no relation, -1 the opposite"
    ),
    "intensity": "the light of an exposure, as a share of the full light",
    "regularization": "how much a search is held near the camera's own setting; λ is its weight",
    "envelope": "the range of settings in which the metric is shown to drop by less than a limit",
    "signature": "the file that states the envelope for a model and a camera",
    "Sobol": "indices of how much of the metric's variation each parameter causes",
}
"""Words that pages use, and what they mean."""


def link(run: Path | None, path: str, words: str | None = None) -> Markup:
    """Return a link that saves a file of the run folder, which is inside the page, with its size.

    words: of the link, by default the file's path.
    """
    words = words or path
    try:
        content = files.inside(run, path).read_bytes() if run is not None else None
    except OSError:
        content = None
    if content is None:
        return Markup("{}").format(words)
    if len(content) > MOST:
        return Markup('{} ({}, <span class="path">{}</span> of the run folder)').format(
            words, size(len(content)), path
        )
    kind = _TYPES.get(Path(path).suffix, "application/octet-stream")
    coded = base64.b64encode(content).decode()
    return Markup('<a download="{}" href="data:{};base64,{}">{}</a> ({})').format(
        Path(path).name, kind, coded, words, size(len(content))
    )


def size(count: int) -> str:
    """Write a number of bytes."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def complete(page: str) -> str:
    """Add the table of contents, and the meaning of the words that the page uses, at its head; on
    paper the words come last."""
    names: list[str] = []

    def numbered(heading: re.Match[str]) -> str:
        names.append(heading[2])
        return f'<section{heading[1]} id="section-{len(names)}">\n<h2>{heading[2]}</h2>'

    page = re.sub(r"<section([^>]*)>\s*<h2>(.*?)</h2>", numbered, page, flags=re.S)
    places = " ".join(
        f'<a href="#section-{number}">{re.sub("<[^>]*>", "", name).strip()}</a>'
        for number, name in enumerate(names, start=1)
    )
    words = terms(page)
    meanings = "".join(
        f"<div><dt>{escape(word)}</dt><dd>{escape(meaning)}</dd></div>"
        for word, meaning in words.items()
    )
    head = ""
    if meanings:
        shown = ", ".join(escape(word) for word in words)
        opened = f"<summary>Words on this page <span>{shown}</span></summary><dl>{meanings}</dl>"
        head += f'<details class="terms screen">{opened}</details>'
        page = page.replace("</main>", f'<details class="terms paper">{opened}</details>\n</main>')
    if len(names) > 1:
        head += f'<nav class="contents" aria-label="Contents">{places}</nav>'
    return page.replace("<main>", f"<main>\n{head}", 1)


def terms(page: str) -> dict[str, str]:
    """Return the words of `TERMS` that a page uses, with their meaning."""
    text = re.sub(r"<style.*?</style>|<svg.*?</svg>|<pre.*?</pre>|<[^>]*>", " ", page, flags=re.S)
    return {
        word: meaning
        for word, meaning in TERMS.items()
        if re.search(rf"\b{re.escape(word)}(s|es)?\b", text, 0 if word[0].isupper() else re.I)
    }
