"""Dashboards out of few words: a board has rows, a row has panels, a panel has queries. Grafana's own schema makes JSON of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${source}")
_HEIGHT = 8
_LETTERS = "ABCDEFGHIJKLMNOP"


@dataclass(frozen=True)
class Query:
    """PromQL, and how its series are named: `{{label}}` stands for a label's value."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """`says` is what its reader should make of it; `unit` is one of Grafana's (short, s, reqps, percentunit, bytes).

    With `limits` (orange from the first, red from the second on) it is a number, else a graph.
    """

    title: str
    says: str
    unit: str
    queries: tuple[Query, ...]
    width: int = 8
    stacked: bool = False
    limits: tuple[float, float] | None = None
    # A number's text by value, e.g. 0 is "away".
    words: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """A dashboard; its file is NAME.json."""

    name: str
    title: str
    says: str
    rows: tuple[Row, ...] = field(default=())

    @property
    def queries(self) -> list[Query]:
        return [query for row in self.rows for panel in row.panels for query in panel.queries]


def rate(counter: str, *by: str, where: str = "") -> str:
    """How fast a counter grows a second, summed over what is not named."""
    chosen = f"{{{where}}}" if where else ""
    grouped = f" by ({', '.join(by)}) " if by else ""
    return f"sum{grouped}(rate({counter}{chosen}[$__rate_interval]))"


def quantile(part: float, histogram: str, *by: str, where: str = "") -> str:
    """What this part of the observations is below."""
    return f"histogram_quantile({part}, {rate(f'{histogram}_bucket', *by, 'le', where=where)})"


def graph(title: str, says: str, unit: str, *queries: Query, width: int = 8, stacked: bool = False) -> Panel:
    """Lines over time."""
    return Panel(title, says, unit, queries, width, stacked)


def number(
    title: str, says: str, unit: str, expression: str, *, limits: tuple[float, float], width: int = 4, words: Sequence[tuple[str, str]] = ()
) -> Panel:
    """One figure as of now. Limits that fall mean that less is worse."""
    return Panel(title, says, unit, (Query(expression),), width, limits=limits, words=tuple(words))


def written(board: Board) -> str:
    """The board as Grafana reads it."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(f"labelmesh-{board.name}")
        .description(board.says)
        .tags(["labelmesh"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("source").type("prometheus").label("Prometheus"))
        .link(
            dashboard.DashboardLink("labelmesh")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["labelmesh"])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    identifier = 0
    for row in board.rows:
        identifier += 1
        made = made.with_row(dashboard.Row(row.title).id(identifier))
        for panel in row.panels:
            identifier += 1
            made = made.with_panel(_panel(panel, identifier))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def _panel(panel: Panel, identifier: int) -> timeseries.Panel | stat.Panel:
    return _graph(panel, identifier) if panel.limits is None else _number(panel, panel.limits, identifier)


def _graph(panel: Panel, identifier: int) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .id(identifier)
        .title(panel.title)
        .description(panel.says)
        .unit(panel.unit)
        .datasource(_SOURCE)
        .span(panel.width)
        .height(_HEIGHT)
        .min(0)
        .fill_opacity(30 if panel.stacked else 5)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI).sort(common_models.SortOrder.DESCENDING))
    )
    if panel.stacked:
        made = made.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    for letter, query in zip(_LETTERS, panel.queries, strict=False):
        made = made.with_target(prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(letter).range())
    return made


def _number(panel: Panel, limits: tuple[float, float], identifier: int) -> stat.Panel:
    first, second = limits
    rising = second >= first
    colours = ("green", "orange", "red") if rising else ("red", "orange", "green")
    steps = [models.Threshold(value, colour) for value, colour in zip((None, *sorted(limits)), colours, strict=True)]
    made = (
        stat.Panel()
        .id(identifier)
        .title(panel.title)
        .description(panel.says)
        .unit(panel.unit)
        .datasource(_SOURCE)
        .span(panel.width)
        .height(_HEIGHT // 2)
        .thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .no_value("no figure")
        .with_target(prometheus.Dataquery().expr(panel.queries[0].expression).ref_id("A").instant())
    )
    if panel.words:
        options = {value: models.ValueMappingResult(text=text) for value, text in panel.words}
        made = made.mappings([models.ValueMap(options=options)])
    return made
