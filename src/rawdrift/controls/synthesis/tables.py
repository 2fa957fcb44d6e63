"""The tables of a drift synthesis run."""

from typing import Any

from rawdrift.controls.synthesis.figures import DISTANCES, comparisons
from rawdrift.controls.synthesis.result import Ranked, SynthesisResult, Worst
from rawdrift.report import style
from rawdrift.report.tables import Column, Table
from rawdrift.statistics.basics import Interval

_KINDS = {"isp": "pipelines (ISP)", "corruption": "corruptions"}
_SHARE = "95\N{NO-BREAK SPACE}%"


def tables(result: SynthesisResult) -> dict[str, Table]:
    """Return all tables of a run by name."""
    made = [_measurements(result), _drops(result), _splits(result)]
    if len(result.train) > 1:
        made += [_ranking(kind, ranking) for kind, ranking in result.rankings.items()]
        made += _orders(result)
    made += [_recall(result, worst) for _, worst in result.worst.items() if worst.recall]
    return {table.name: table for table in made}


def _ends(interval: Interval | None) -> tuple[float | None, float | None] | None:
    return None if interval is None else (interval.low, interval.high)


def _measurements(result: SynthesisResult) -> Table:
    metric = style.metric(result.metric)
    further = list(result.own(result.train[0]).further)
    has_folds = result.folds > 1
    columns = [
        Column("train", "Trained on"),
        Column("test", "Tested on"),
        Column("severity", "Severity"),
        Column(result.metric, metric, 3),
        Column(result.metric, _SHARE, 3),
        *([Column("std", "Std", 3)] if has_folds else []),
        Column("drop", "Drop", 3),
        Column("drop", _SHARE, 3),
        Column("p_holm", "p (Holm)", 3),
        Column("ssim", "SSIM", 3),
        Column("psnr", "PSNR/dB", 1),
        *(Column(name, style.metric(name), 3) for name in further),
    ]
    rows = [
        [
            cell.train,
            cell.test,
            cell.severity or None,
            cell.mean,
            _ends(cell.value),
            *([cell.std] if has_folds else []),
            cell.drop,
            _ends(cell.loss),
            cell.p_holm,
            cell.ssim,
            cell.psnr,
            *(cell.further[name] for name in further),
        ]
        for cell in result.cells
    ]
    return Table("measurements", f"{metric} of every model on every test", columns, rows)


def _drops(result: SynthesisResult) -> Table:
    rows: list[list[Any]] = []
    basis = ""
    for label, _, drop in comparisons(result):
        if drop is None:
            basis = label
        else:
            rows.append([basis, label, drop.value, _ends(drop)])
    ratios = {"As tested": result.average_drops.ratio}
    for kind, name in DISTANCES.items():
        matched = result.severity_matched.get(kind)
        ratios[f"At the same {name} between views"] = matched.ratio if matched else None
    for basis, ratio in ratios.items():
        if ratio:
            rows.append([basis, "Corruptions over pipelines, ratio", ratio.value, _ends(ratio)])
    columns = [
        Column("basis", "Compared"),
        Column("of", "Tests"),
        Column("drop", "Average drop", 3),
        Column("drop", _SHARE, 3),
    ]
    metric = style.metric(result.metric, inside=True)
    return Table("drops", f"Average drops in {metric}", columns, rows)


def _splits(result: SynthesisResult) -> Table:
    splits = enumerate(result.data.splits, start=1)
    rows = [[number, split.train, split.test] for number, split in splits]
    columns = [Column("fold", "Fold"), Column("train", "Train", 0), Column("test", "Test", 0)]
    return Table("splits", "Images of each fold", columns, rows)


def _ranking(kind: str, ranking: list[Ranked]) -> Table:
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
            entry.rank,
            (entry.rank_low, entry.rank_high),
            entry.train,
            entry.mean,
            _ends(entry.value),
            entry.std,
            entry.matched,
            entry.drop,
            style.case(entry.worst_test, entry.worst_severity),
            entry.worst,
        ]
        for entry in ranking
    ]
    return Table(f"ranking-{kind}", f"Training pipelines over all {_KINDS[kind]}", columns, rows)


def _orders(result: SynthesisResult) -> list[Table]:
    """The training pipelines on each test, the best first (Tables 6 to 9 of the paper)."""
    identity = [order for order in result.orders if order.test == "identity"]
    parts = [("order-isp", "pipeline", [o for o in result.orders if o.kind == "isp"])]
    for severity in sorted(result.severities):
        orders = [o for o in result.orders if (o.kind, o.severity) == ("corruption", severity)]
        name = f"order-corruption-{severity}"
        parts.append((name, f"corruption of severity {severity}", identity + orders))
    made = []
    for name, tested, orders in parts:
        columns = [Column("rank", "Rank", 0)]
        columns += [Column(order.test, style.case(order.test)) for order in orders]
        rows = [
            [rank, *(order.order[rank - 1] for order in orders)]
            for rank in range(1, len(result.train) + 1)
        ]
        made.append(Table(name, f"Training pipelines by {tested}, the best first", columns, rows))
    return made


def _recall(result: SynthesisResult, worst: Worst) -> Table:
    tested = style.case(worst.test, worst.severity)
    head = tested[:1].upper() + tested[1:] if worst.kind == "corruption" else tested
    columns = [
        Column("label", "Class"),
        Column("images", "Images", 0),
        Column("matched", "Matched", 3),
        Column("drifted", head, 3),
    ]
    rows = [
        [recall.label, result.data.classes.get(recall.label), recall.matched, recall.drifted]
        for recall in worst.recall
    ]
    title = f"Recall by class, {worst.train} on {tested}"
    return Table(f"recall-{worst.kind}", title, columns, rows)
