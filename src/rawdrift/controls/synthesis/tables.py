"""What stands in the tables of a drift synthesis run."""

from typing import Any

from rawdrift.configurations import CONFIGURATIONS, in_words
from rawdrift.controls.synthesis.figures import comparisons
from rawdrift.report import style
from rawdrift.report.tables import Column, Table

_KINDS = {"isp": "pipelines (ISP)", "corruption": "corruptions"}
_SHARE = "95\N{NO-BREAK SPACE}%"


def tables(summary: dict[str, Any]) -> dict[str, Table]:
    """All tables of a run, by name."""
    found = [_measurements(summary), _drops(summary), _splits(summary)]
    if len(summary["train"]) > 1:
        found += [_ranking(summary, kind) for kind in summary["rankings"]]
        found += _orders(summary)
    found += [_recall(summary, kind) for kind, w in summary["worst"].items() if w.get("recall")]
    return {table.name: table for table in found}


def _measurements(summary: dict[str, Any]) -> Table:
    metric = style.metric(summary)
    further = [
        (name, Column(name, style.words(name), 3))
        for name in ("balanced_accuracy", "macro_f1", "dice")
        if name in summary["cells"][0]
    ]
    spread = [Column("std", "Std", 3)] if summary["folds"] > 1 else []
    columns = [
        Column("train", "Trained on"),
        Column("test", "Tested on"),
        Column("severity", "Severity"),
        Column(summary["metric"], metric, 3),
        Column(summary["metric"], _SHARE, 3),
        *spread,
        Column("drop", "Drop", 3),
        Column("drop", _SHARE, 3),
        Column("p_holm", "p (Holm)", 3),
        Column("ssim", "SSIM", 3),
        Column("psnr", "PSNR/dB", 1),
        *(column for _, column in further),
    ]
    rows = []
    for cell in summary["cells"]:
        drop = (cell["drop_low"], cell["drop_high"]) if "drop" in cell else None
        rows.append(
            [
                cell["train"],
                cell["test"],
                cell["severity"] or None,
                float(cell["mean"]),
                (cell["low"], cell["high"]),
                *(cell["std"] for _ in spread),
                cell.get("drop"),
                drop,
                cell.get("p_holm"),
                cell["ssim"],
                cell["psnr"],
                *(cell[name] for name, _ in further),
            ]
        )
    return Table("measurements", f"{metric} of every model on every test", columns, rows)


def _drops(summary: dict[str, Any]) -> Table:
    metric = style.metric(summary, inside=True)
    rows, basis = [], ""
    for label, _, found in comparisons(summary):
        if found is None:
            basis = label
        else:
            rows.append([basis, label, float(found["value"]), (found["low"], found["high"])])
    ratios = {"As tested": summary["average_drops"]["ratio"]}
    for kind, name in (("dssim", "SSIM"), ("mse", "PSNR")):
        matched = summary["severity_matched"].get(kind)
        ratios[f"At the same {name} between views"] = matched and matched["ratio"]
    for basis, ratio in ratios.items():
        if ratio:
            span = (ratio["low"], ratio["high"])
            rows.append([basis, "Corruptions over pipelines, ratio", float(ratio["value"]), span])
    columns = [
        Column("basis", "Compared"),
        Column("of", "Tests"),
        Column("drop", "Average drop", 3),
        Column("drop", _SHARE, 3),
    ]
    return Table("drops", f"Average drops in {metric}", columns, rows)


def _splits(summary: dict[str, Any]) -> Table:
    rows = [
        [number, split["train"], split["test"]]
        for number, split in enumerate(summary["data"]["splits"], start=1)
    ]
    columns = [Column("fold", "Fold"), Column("train", "Train", 0), Column("test", "Test", 0)]
    return Table("splits", "Images of each fold", columns, rows)


def _ranking(summary: dict[str, Any], kind: str) -> Table:
    """The paper's Table 5."""
    columns = [
        Column("rank", "Rank", 0),
        Column("rank", _SHARE, 0),
        Column("train", "Trained on"),
        Column("mean", "Mean", 3),
        Column("mean", _SHARE, 3),
        Column("std", "Std", 3),
        Column("matched", "Matched", 3),
        Column("drop", "Drop", 3),
        Column("worst_test", "Lowest on"),
        Column("worst", "Lowest", 3),
    ]
    rows = [
        [
            entry["rank"],
            (entry["rank_low"], entry["rank_high"]),
            entry["train"],
            float(entry["mean"]),
            (entry["low"], entry["high"]),
            entry["std"],
            float(entry["matched"]),
            float(entry["drop"]),
            style.case(entry["worst_test"], entry["worst_severity"]),
            float(entry["worst"]),
        ]
        for entry in summary["rankings"][kind]
    ]
    return Table(f"ranking-{kind}", f"Training pipelines over all {_KINDS[kind]}", columns, rows)


def _orders(summary: dict[str, Any]) -> list[Table]:
    """The paper's Tables 6 to 9: for each test the training pipelines, the best first."""
    found = []
    orders = summary["orders"]
    identity = [o for o in orders if o["test"] == "identity"]
    parts = [("order-isp", "pipeline", [o for o in orders if o["kind"] == "isp"])]
    for severity in sorted(summary["severities"]):
        here = [o for o in orders if (o["kind"], o["severity"]) == ("corruption", severity)]
        name = f"order-corruption-{severity}"
        parts.append((name, f"corruption of severity {severity}", identity + here))
    for name, of, entries in parts:
        columns = [Column("rank", "Rank", 0)]
        columns += [Column(o["test"], style.case(o["test"])) for o in entries]
        rows = [
            [rank, *(o["order"][rank - 1] for o in entries)]
            for rank in range(1, len(summary["train"]) + 1)
        ]
        found.append(Table(name, f"Training pipelines by {of}, the best first", columns, rows))
    return found


def _recall(summary: dict[str, Any], kind: str) -> Table:
    worst, counts = summary["worst"][kind], summary["data"]["classes"]
    tested = style.case(worst["test"], worst["severity"])
    columns = [
        Column("label", "Class"),
        Column("images", "Images", 0),
        Column("matched", "Matched", 3),
        Column("drifted", tested[:1].upper() + tested[1:] if kind == "corruption" else tested, 3),
    ]
    rows = [
        [entry["label"], counts.get(entry["label"]), entry["matched"], entry["drifted"]]
        for entry in worst["recall"]
    ]
    return Table(f"recall-{kind}", f"Recall by class, {worst['train']} on {tested}", columns, rows)


def changes(worst: dict[str, Any]) -> list[str]:
    """What differs between a training pipeline and the pipeline of a test, step by step."""
    one, other = worst["train"], worst["test"]
    if worst["kind"] != "isp" or not {one, other} <= set(CONFIGURATIONS):
        return []
    steps = ("demosaicing", "sharpening", "denoising")
    pairs = zip(steps, in_words(one).split(", "), in_words(other).split(", "), strict=True)
    return [f"{step}: {a} to {b}" for step, a, b in pairs if a != b]
