"""What shadow calls showed, one report for each pair of versions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from labelmesh_inference.registry.revisions import current

# Reports are of the newest shadow calls: so many for the numbers, and so many of a pair for its differences. A report that looked at all
# of them would take the longer the longer a model is shadowed.
_COUNTED = 200_000
_MOST_PAIRS = 20
_MOST_DIFFERENCES = 20
_LOOKED_AT = 10_000

_PAIRS = text("""
SELECT version, shadow_version, count(*) AS calls,
    count(*) FILTER (WHERE problem = '' AND agrees) AS agreeing,
    count(*) FILTER (WHERE problem <> '') AS failed,
    coalesce(avg(score_difference) FILTER (WHERE problem = ''), 0) AS difference,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_us) AS latency_us,
    coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY shadow_latency_us) FILTER (WHERE problem = ''), 0) AS shadow_latency_us
FROM (SELECT * FROM shadows WHERE model = :model ORDER BY id DESC LIMIT :counted) AS newest
GROUP BY version, shadow_version ORDER BY max(id) DESC LIMIT :most
""")
_DIFFERENCES = text("""
SELECT prediction_id, answer, shadow_answer, created_at FROM (
    SELECT * FROM shadows
    WHERE model = :model AND version = :version AND shadow_version = :shadow_version
    ORDER BY id DESC LIMIT :looked_at) AS newest
WHERE problem = '' AND NOT agrees
ORDER BY score_difference DESC, id DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class Difference:
    """A call that the two versions answered differently, each answer in words. No id where the prediction was not stored."""

    prediction_id: UUID | None
    answer: str
    shadow_answer: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """Two versions over the calls that both answered: how often they agree, how far apart their scores are, 0 to 1, and seconds each."""

    version: int
    shadow_version: int
    calls: int
    agreeing: int
    failed: int
    mean_score_difference: float
    median_latency_s: float
    shadow_median_latency_s: float
    differences: tuple[Difference, ...] = ()


def shadow_reports(connection: Connection, model: str) -> list[ShadowReport]:
    """The reports of a model, the pair that was asked last first; NotFound (MODEL_NOT_FOUND)."""
    current(connection, model)
    rows = connection.execute(_PAIRS, {"model": model, "counted": _COUNTED, "most": _MOST_PAIRS}).all()
    return [_with_differences(connection, model, _report_of(row)) for row in rows]


def _with_differences(connection: Connection, model: str, report: ShadowReport) -> ShadowReport:
    values = {
        "model": model,
        "version": report.version,
        "shadow_version": report.shadow_version,
        "looked_at": _LOOKED_AT,
        "most": _MOST_DIFFERENCES,
    }
    found = connection.execute(_DIFFERENCES, values)
    return replace(report, differences=tuple(Difference(*row) for row in found))


def _report_of(row: Row[Any]) -> ShadowReport:
    return ShadowReport(
        row.version,
        row.shadow_version,
        row.calls,
        row.agreeing,
        row.failed,
        float(row.difference),
        float(row.latency_us) / 1e6,
        float(row.shadow_latency_us) / 1e6,
    )
