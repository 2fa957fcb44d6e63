"""The tables of a drift synthesis run."""

from rawdrift.controls.synthesis.figures import DISTANCES, comparisons
from rawdrift.controls.synthesis.result import Ranked, SynthesisResult
from rawdrift.report import style
from rawdrift.report.tables import Column, Columns, Table, table
from rawdrift.statistics.basics import Interval

_KINDS = {"isp": "pipelines (ISP)", "corruption": "corruptions"}
_PERCENT_95 = "95\N{NO-BREAK SPACE}%"


def tables(result: SynthesisResult) -> dict[str, Table]:
    """Return all tables of a run by name."""
    made = [_measurements(result), _drops(result), _splits(result)]
    if len(result.train) > 1:
        made += [_ranking(kind, ranking) for kind, ranking in result.rankings.items()]
        made += _orders(result)
    return {one.name: one for one in made}


def _measurements(result: SynthesisResult) -> Table:
    metric = style.metric(result.metric)
    columns: Columns = [
        (Column("train", "Trained on"), lambda cell: cell.train),
        (Column("test", "Tested on"), lambda cell: cell.test),
        (Column("severity", "Severity"), lambda cell: cell.severity or None),
        (Column(result.metric, metric, 3), lambda cell: cell.mean),
        (Column(result.metric, _PERCENT_95, 3), lambda cell: cell.value),
        *([(Column("std", "Std", 3), lambda cell: cell.std)] if result.folds > 1 else []),
        (Column("drop", "Drop", 3), lambda cell: cell.drop),
        (Column("drop", _PERCENT_95, 3), lambda cell: cell.loss),
        (Column("p_all", "p, corrected", 3), lambda cell: cell.p_all),
        (Column("ssim", "SSIM", 3), lambda cell: cell.ssim),
        (Column("psnr", "PSNR/dB", 1), lambda cell: cell.psnr),
        *(
            (Column(name, style.metric(name), 3), lambda cell, name=name: cell.further[name])
            for name in result.own(result.train[0]).further
        ),
    ]
    title = f"{metric} of every model on every test"
    return table("measurements", title, columns, result.cells)


def _drops(result: SynthesisResult) -> Table:
    columns: Columns = [
        (Column("basis", "Compared"), lambda row: row[0]),
        (Column("of", "Tests"), lambda row: row[1]),
        (Column("drop", "Average drop", 3), lambda row: row[2].value),
        (Column("drop", _PERCENT_95, 3), lambda row: row[2]),
    ]
    rows: list[tuple[str, str, Interval]] = []
    basis = ""
    for label, _, drop in comparisons(result):
        if drop is None:
            basis = label
        else:
            rows.append((basis, label, drop))
    ratios = {"As tested": result.average_drops.ratio}
    for kind, name in DISTANCES.items():
        matched = result.severity_matched.get(kind)
        ratios[f"At the same {name} between views"] = matched.ratio if matched else None
    for basis, ratio in ratios.items():
        if ratio:
            rows.append((basis, "Corruptions over pipelines, ratio", ratio))
    metric = style.metric(result.metric, inside=True)
    return table("drops", f"Average drops in {metric}", columns, rows)


def _splits(result: SynthesisResult) -> Table:
    columns: Columns = [
        (Column("fold", "Fold"), lambda fold: fold[0]),
        (Column("train", "Train", 0), lambda fold: fold[1].train),
        (Column("test", "Test", 0), lambda fold: fold[1].test),
    ]
    return table("splits", "Images of each fold", columns, enumerate(result.data.splits, start=1))


def _ranking(kind: str, ranking: list[Ranked]) -> Table:
    """The paper's Table 5."""
    columns: Columns = [
        (Column("rank", "Rank", 0), lambda entry: entry.rank),
        (Column("rank", _PERCENT_95, 0), lambda entry: entry.rank_interval),
        (Column("train", "Trained on"), lambda entry: entry.train),
        (Column("mean", "Mean", 3), lambda entry: entry.mean),
        (Column("mean", _PERCENT_95, 3), lambda entry: entry.value),
        (Column("std", "Std", 3), lambda entry: entry.std),
        (Column("matched", "Matched", 3), lambda entry: entry.matched),
        (Column("drop", "Drop", 3), lambda entry: entry.drop),
        (
            Column("worst_test", "Lowest on"),
            lambda entry: style.case(entry.worst_test, entry.worst_severity),
        ),
        (Column("worst", "Lowest", 3), lambda entry: entry.worst),
    ]
    title = f"Training pipelines over all {_KINDS[kind]}"
    return table(f"ranking-{kind}", title, columns, ranking)


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
        columns: Columns = [
            (Column("rank", "Rank", 0), lambda rank: rank),
            *(
                (
                    Column(order.test, style.case(order.test)),
                    lambda rank, order=order: order.order[rank - 1],
                )
                for order in orders
            ),
        ]
        ranks = range(1, len(result.train) + 1)
        title = f"Training pipelines by {tested}, the best first"
        made.append(table(name, title, columns, ranks))
    return made
