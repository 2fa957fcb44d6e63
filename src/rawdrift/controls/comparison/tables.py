"""The tables of a comparison."""

from rawdrift.controls.comparison.result import ComparisonResult, GroupChange
from rawdrift.report import style
from rawdrift.report.tables import Column, Columns, Table, table

_95 = "95\N{NO-BREAK SPACE}%"


def tables(result: ComparisonResult) -> dict[str, Table]:
    """Return all tables of a run by name."""
    made = [_blame(result), _coalitions(result)]
    made += [_interactions(result)] if result.interactions else []
    made += [_groups(result)] if losing(result) else []
    return {one.name: one for one in made}


def _blame(result: ComparisonResult) -> Table:
    remedies = {remedy.stage: remedy for remedy in result.remedies}
    columns: Columns = [
        (Column("stage", "Stage"), lambda one: one.stage),
        (Column("before", "Before"), lambda one: style.plain(one.before, 60)),
        (Column("after", "After"), lambda one: style.plain(one.after, 60)),
        (Column("blame", "Blame", 3), lambda one: one.value),
        (Column("blame", _95, 3), lambda one: one.interval),
        (Column("recovered", "Back if reverted alone", 3), lambda one: remedies[one.stage].value),
        (Column("recovered", _95, 3), lambda one: remedies[one.stage].interval),
    ]
    return table("blame", "The drop by stage", columns, result.blame)


def _coalitions(result: ComparisonResult) -> Table:
    columns: Columns = [
        *(
            (Column(stage, stage), lambda row, stage=stage: "after" if row[stage] else "before")
            for stage in result.stages
        ),
        (Column(result.metric, style.metric(result.metric), 3), lambda row: row[result.metric]),
        (Column("drop", "Drop", 3), lambda row: row["drop"]),
    ]
    title = "The metric of every ISP between the two"
    return table("between", title, columns, result.rows())


def _interactions(result: ComparisonResult) -> Table:
    columns: Columns = [
        (Column("one", "Stage"), lambda one: one.one),
        (Column("other", "And"), lambda one: one.other),
        (Column("interaction", "Interaction", 3), lambda one: one.value),
        (Column("interaction", _95, 3), lambda one: one.interval),
    ]
    title = "What pairs of stages cost more together than each by itself"
    return table("interactions", title, columns, result.interactions)


def losing(result: ComparisonResult) -> list[GroupChange]:
    """The groups whose metric is lower after than before."""
    return [one for one in result.groups if one.drop is not None and one.drop > 0]


def _groups(result: ComparisonResult) -> Table:
    columns: Columns = [
        (Column("group", "Group"), lambda one: one.group),
        (Column("images", "Images", 0), lambda one: one.n),
        (Column("before", "Before", 3), lambda one: one.before),
        (Column("after", "After", 3), lambda one: one.after),
        (Column("drop", "Drop", 3), lambda one: one.drop),
    ]
    return table("groups", "The groups that lose most", columns, losing(result))
