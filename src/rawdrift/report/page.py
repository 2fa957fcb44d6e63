"""Pages: each is one HTML file that needs no other, on a screen or on paper."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from rawdrift import progress
from rawdrift.checks import visible
from rawdrift.configurations import DEMOSAICING, DENOISING, SHARPENING
from rawdrift.report import confusion, pictures, style, tables, whole
from rawdrift.report.tables import Table, span

GLOSSARY = (
    ("demosaicing", DEMOSAICING),
    ("sharpening", SHARPENING),
    ("denoising", DENOISING),
)


def compose(
    template: Path,
    run: Path,
    result: msgspec.Struct,
    figures: Mapping[str, Callable[[], Figure]],
    contents: Mapping[str, Table],
    **values: Any,
) -> str:
    """Write figures/ and tables/ into the run folder, and return the page that shows them.

    The template has the fields of the result by name, `figure` and `table` by name, `measured`
    (the metric inside a sentence), `settings` and `has_results`, and what else is given.
    """
    fields = msgspec.structs.asdict(result)
    if fields["confusions"]:
        first = fields["confusions"][0]
        labels = [score.label for score in first.classes]
        figures = {**figures, "confusion": partial(confusion.draw, first.counts, labels)}
        contents = {**contents, "classes": confusion.classes(fields["confusions"])}
    for number, flips in enumerate(fields["flips"], start=1):
        made = confusion.changes(number, flips)
        contents = {**contents, **{table.name: table for table in made}}
    for table in contents.values():
        tables.write(table, run / "tables")
    shared = {
        "figure": draw(figures, run),
        "table": contents,
        "measured": style.metric(fields["metric"], inside=True),
        "settings": listing(fields["spec"]),
        "has_results": (run / "results.csv").is_file(),
        "delivered": delivered(run),
        "flip_views": [
            [
                [pictures.data_uri(run, path) for path in (one.matched_view, one.view)]
                for one in flips.drawn
            ]
            for flips in fields["flips"]
        ],
    }
    return render(template, run, **{**fields, **shared, **values})


def _count(value: int) -> str:
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def render(template: Path, run: Path | None = None, /, **values: Any) -> str:
    """Fill a template, which may use the templates beside it and those of this package.

    run: the folder of the files that the page links to with `file`, and holds.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,  # class labels and file names come from strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        n1=lambda value: style.number(value, 1),
        n2=lambda value: style.number(value, 2),
        n3=lambda value: style.number(value, 3),
        p_value=style.p_value,
        at_most=style.at_most,
        apart=lambda pair: style.apart(pair[0], pair[1], 3),
        count=_count,
        all_of=lambda n, noun: f"the one {noun}" if n == 1 else f"all {_count(n)} {noun}s",
        interval=lambda found, digits=3: span(found.low, found.high, digits),
        duration=_duration,
        date=_date,
        case=style.case,
        g=lambda value: style.number(value, 12).rstrip("0").rstrip("."),
        percent=_percent,
    )
    environment.globals["outlines"] = {"truth": style.TRUTH, "answer": style.ANSWER}
    spec = values.get("spec") or {}
    some = (spec.get("forensics") or {}).get("images")
    data = spec.get("data") or {}
    environment.globals["lacks_tiles"] = data.get("tile") and (data.get("drop_empty") or some)
    environment.globals["file"] = partial(whole.link, run)
    return whole.complete(visible(environment.get_template(template.name).render(**values)))


def draw(figures: Mapping[str, Callable[[], Figure]], folder: Path) -> dict[str, Markup]:
    """Draw figures into `folder`/figures; return them by name, as elements of a page."""
    elements = {}
    for name, make in progress.over(figures.items(), "drawing figures", "figure"):
        with style.drawing(name):
            svg = style.save(make(), folder / "figures" / name)
        elements[name] = Markup(style.inline(svg, name))
    return elements


def delivered(run: Path) -> list[str]:
    """Return the paths of the files that users take from a run folder: signature and ISPs."""
    files = [*run.glob("signature.json"), *run.glob("isps/*.toml")]
    return sorted(path.relative_to(run).as_posix() for path in files)


def listing(value: Mapping[str, Any], indent: str = "") -> str:
    """Write nested settings as indented lines."""
    lines = []
    for key, entry in value.items():
        if isinstance(entry, dict) and entry:
            lines.append(f"{indent}{key}:\n{listing(entry, indent + '  ')}")
        else:
            lines.append(f"{indent}{key}: {setting(entry)}")
    return "\n".join(lines)


def setting(value: Any) -> str:
    """Write a setting as in a configuration file."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}".removesuffix(".0") + "\N{NO-BREAK SPACE}%"


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
