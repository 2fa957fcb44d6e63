"""The page of a finished run: one file that needs nothing else, on a screen or on paper."""

import json
from base64 import b64encode
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.image import imsave

from rawdrift import files
from rawdrift.configurations import CONFIGURATIONS, DEMOSAICING, DENOISING, SHARPENING
from rawdrift.report import figures, style
from rawdrift.report.contact_sheet import fit
from rawdrift.report.heatmap import heatmap
from rawdrift.report.summary import by_pair, read

_PICTURE = 300  # pixels of a picture's long side on the page
_FEW_FOLDS = 3
_FEW_IMAGES = 30
_GLOSSARY = (
    ("demosaicing", DEMOSAICING),
    ("sharpening", SHARPENING),
    ("denoising", DENOISING),
)


def write(run: Path) -> Path:
    """Draw a finished run: `run`/figures/*.svg and *.png, and `run`/report.html, which is returned.

    Reads `run`/summary.json and the pictures it names. The same record gives the same bytes.
    """
    run = Path(run)
    summary = read(run)
    worst = summary["worst"]
    drawn = {"heatmap": heatmap, "ranking": figures.ranking}
    if worst and worst.get("images"):
        drawn["worst-pair"] = lambda summary: figures.worst_pair(summary, run)
    svgs = {}
    for name, draw in drawn.items():
        with style.drawing(name):
            svgs[name] = style.save(draw(summary), run / "figures" / name)
    path = run / "report.html"
    files.write(path, _page(summary, run, svgs))
    return path


def _page(summary: dict[str, Any], run: Path, svgs: dict[str, str]) -> str:
    environment = Environment(
        loader=PackageLoader("rawdrift.report", "."),
        autoescape=True,  # class labels and file names come from strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        n2=lambda value: number(value, 2),
        n3=lambda value: number(value, 3),
        count=lambda value: f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}"),
        duration=_duration,
        date=_date,
    )
    return environment.get_template("report.html.j2").render(
        **summary | {"recall": _recall(summary), "worst": _with_pictures(summary["worst"], run)},
        cells_by_pair=by_pair(summary),
        measured=style.metric(summary, inside=True),
        warnings=_warnings(summary),
        settings=_listing(summary["spec"]),
        glossary=_GLOSSARY if _all_known(summary) else (),
        figure={name: Markup(style.inline(svg, name)) for name, svg in svgs.items()},
        has_results=(run / "results.csv").is_file(),
    )


def number(value: float | None, digits: int) -> str:
    """A number with a true minus sign, and a dash where there is none."""
    if value is None:
        return "\N{EN DASH}"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _warnings(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """What makes these numbers weaker than they look: a headline and an explanation each."""
    found = []
    folds, majority = summary["folds"], summary["data"].get("majority")
    metric = style.metric(summary, inside=True)
    if folds < _FEW_FOLDS:
        known = "so no spread is known" if folds == 1 else "so the spread is hardly known"
        found.append(
            (
                f"Only {folds} fold{'s' if folds > 1 else ''}.",
                f"Each pipeline was trained {'twice' if folds > 1 else 'once'}, {known}: another "
                "seed or split could change the order. Use 3 folds or more to compare pipelines.",
            )
        )
    fewest = min(cell["n"] // cell["folds"] for cell in summary["cells"])
    if fewest < _FEW_IMAGES:
        found.append(
            (
                f"About {fewest} test images a fold.",
                f"One image moves the {metric} of a fold by up to {1 / max(fewest, 1):.2f}, and "
                "the intervals are wide. Read differences of a few images as chance.",
            )
        )
    if majority:
        share = majority["share"]
        weak = [
            entry["train"]
            for entry in summary["ranking"]
            if entry["matched"] is not None and entry["matched"] <= share
        ]
        if weak:
            found.append(
                (
                    "No better than guessing.",
                    f"Always answering “{majority['label']}” would be right {share:.2f} of the "
                    f"time. Even on their own pipeline, models trained on {'; '.join(weak)} are "
                    "not above this, so their drops mean nothing. Train longer, or check the "
                    "labels.",
                )
            )
    return found


def _with_pictures(worst: dict[str, Any] | None, run: Path) -> dict[str, Any] | None:
    """The worst pair with its pictures as data that the page itself holds."""
    if not worst:
        return worst
    images = [
        image | {key: _data_uri(run, image[key]) for key in ("matched_view", "view")}
        for image in worst.get("images", ())
    ]
    return worst | {"images": images}


def _data_uri(run: Path, name: str) -> str:
    content = BytesIO()
    imsave(content, fit(figures.read_picture(run, name), _PICTURE), format="png")
    return f"data:image/png;base64,{b64encode(content.getvalue()).decode()}"


def _recall(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The recall of every class on the worst pair and on its matched one, if it was recorded."""
    worst = summary["worst"]
    if not worst:
        return []
    values = {
        (entry["train"], entry["test"], entry["label"]): entry["value"]
        for entry in summary.get("recall") or ()
    }
    row, test = worst["train"], worst["test"]
    labels = dict.fromkeys(label for *pair, label in values if pair == [row, test])
    return [
        {
            "label": label,
            "count": (summary["data"].get("classes") or {}).get(label),
            "matched": values.get((row, row, label)),
            "drifted": values[row, test, label],
        }
        for label in labels
    ]


def _all_known(summary: dict[str, Any]) -> bool:
    return all(name in CONFIGURATIONS for name in (*summary["train"], *summary["test"]))


def _listing(value: dict[str, Any], indent: str = "") -> str:
    """Nested settings as indented lines."""
    lines = []
    for key, entry in value.items():
        if isinstance(entry, dict) and entry:
            lines.append(f"{indent}{key}:\n{_listing(entry, indent + '  ')}")
        else:
            shown = entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)
            lines.append(f"{indent}{key}: {shown}")
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _date(moment: str) -> str:
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    zone = " UTC" if when.utcoffset() is not None and not when.utcoffset() else when.strftime(" %z")
    return f"{when.day} {when:%B %Y, %H:%M}{zone.rstrip()}"
