"""What shadow calls showed, in numbers that can be counted by hand."""

from __future__ import annotations

import uuid

import pytest
from labelmesh.inference.v1 import models_pb2 as mod
from labelmesh_chassis.errors import NotFound

from tests.integration.inference.people import Person
from tests.integration.inference.service import Inference


def compared(inference: Inference, version: int, shadow_version: int, *, agrees: bool, difference: float, problem: str = "") -> str:
    """Writes down one pair of answers, as the service does; returns the prediction's id."""
    prediction_id = uuid.uuid4()
    inference.sql(
        "INSERT INTO shadows (model, version, shadow_version, prediction_id, agrees, problem, score_difference, latency_us, "
        "shadow_latency_us, answer, shadow_answer) VALUES "
        "('digits', :version, :shadow_version, :prediction_id, :agrees, :problem, :difference, 2000, :shadow_us, '7 (0.91)', '1 (0.50)')",
        version=version,
        shadow_version=shadow_version,
        prediction_id=prediction_id,
        agrees=agrees,
        problem=problem,
        difference=difference,
        shadow_us=0 if problem else 3000,
    )
    return str(prediction_id)


def reports(person: Person, model: str = "digits") -> mod.GetShadowReportResponse:
    answer: mod.GetShadowReportResponse = person.models.GetShadowReport(mod.GetShadowReportRequest(model=model), metadata=person.metadata)
    return answer


def test_a_report_counts_pairs_failures_and_differences(inference: Inference, manager: Person, ada: Person) -> None:
    manager.register(version=1)
    for _ in range(6):
        compared(inference, 1, 2, agrees=True, difference=0.1)
    worst = compared(inference, 1, 2, agrees=False, difference=0.8)
    bad = compared(inference, 1, 2, agrees=False, difference=0.6)
    compared(inference, 1, 2, agrees=False, difference=0.0, problem="the model did not answer in time")
    compared(inference, 1, 3, agrees=True, difference=0.0)
    answer = reports(ada)
    assert [(report.version, report.shadow_version) for report in answer.reports] == [(1, 3), (1, 2)]
    report = answer.reports[1]
    assert (report.calls, report.agreeing, report.failed) == (9, 6, 1)
    assert report.mean_score_difference == pytest.approx((6 * 0.1 + 0.8 + 0.6) / 8)
    assert report.median_latency.ToMicroseconds() == 2000
    assert report.shadow_median_latency.ToMicroseconds() == 3000
    assert [difference.prediction_id for difference in report.differences] == [worst, bad]
    assert (report.differences[0].answer, report.differences[0].shadow_answer) == ("7 (0.91)", "1 (0.50)")


def test_a_pair_of_which_every_shadow_failed_has_a_report_too(inference: Inference, manager: Person) -> None:
    manager.register(version=1)
    compared(inference, 1, 2, agrees=False, difference=0.0, problem="the model server was away")
    (report,) = reports(manager).reports
    assert (report.calls, report.agreeing, report.failed, report.mean_score_difference) == (1, 0, 1, 0)


def test_at_most_twenty_differences_are_shown(inference: Inference, manager: Person) -> None:
    manager.register(version=1)
    for number in range(25):
        compared(inference, 1, 2, agrees=False, difference=number / 25)
    (report,) = reports(manager).reports
    assert len(report.differences) == 20


def test_a_model_without_shadows_has_no_reports_and_an_unknown_one_is_not_found(manager: Person) -> None:
    manager.register(version=1)
    assert not reports(manager).reports
    with pytest.raises(NotFound):
        reports(manager, "nobodys")
