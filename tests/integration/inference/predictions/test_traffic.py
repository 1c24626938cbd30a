"""Which version a caller gets, and what its shadow says of the same."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest
from labelmesh.inference.v1 import manifests_pb2 as man
from labelmesh.inference.v1 import models_pb2 as mod
from labelmesh.inference.v1 import predictions_pb2 as pre
from labelmesh_chassis.identity import Role

from tests.integration.inference.conftest import StartInference
from tests.integration.inference.people import Door, Person
from tests.integration.inference.predictions.questions import NONE, best, digit, picture, predict, predict_batch
from tests.integration.inference.predictions.stand_in import ASKED, MANIFEST, StandIn
from tests.integration.inference.service import Inference, until


def reports(manager: Person, model: str = "digits") -> mod.GetShadowReportResponse:
    answer: mod.GetShadowReportResponse = manager.models.GetShadowReport(mod.GetShadowReportRequest(model=model), metadata=manager.metadata)
    return answer


@pytest.mark.usefixtures("digits")
def test_a_sticky_key_gets_the_same_alias_for_as_long_as_the_weights_stay(ada: Person, manager: Person) -> None:
    manager.set_traffic({"stable": 50, "canary": 50})
    settings = pre.AnswerSettings(storage=NONE)
    first = {key: predict(ada, digit(0.1), sticky_key=key, settings=settings) for key in map(str, range(40))}
    counts = Counter(found.alias for found in first.values())
    assert 8 <= counts["stable"] <= 32 and counts["stable"] + counts["canary"] == 40
    assert all(found.version == {"stable": 1, "canary": 2}[found.alias] for found in first.values())
    for key in list(first)[:20]:
        assert predict(ada, digit(0.1), sticky_key=key, settings=settings).alias == first[key].alias


@pytest.mark.usefixtures("digits")
def test_without_a_key_it_is_the_account_that_sticks(manager: Person, door: Door) -> None:
    manager.set_traffic({"stable": 50, "canary": 50})
    settings = pre.AnswerSettings(storage=NONE)
    people = [door.person() for _ in range(20)]
    first = [predict(person, digit(0.1), settings=settings).alias for person in people]
    assert set(first) == {"stable", "canary"}
    assert [predict(person, digit(0.1), settings=settings).alias for person in people] == first


@pytest.mark.usefixtures("digits")
def test_a_shadows_answers_are_compared_and_the_caller_gets_the_others(ada: Person, manager: Person) -> None:
    manager.set_traffic({}, shadow=mod.Shadow(alias="canary", share=1.0))
    found = predict(ada, picture(0.35))
    assert (found.version, best(found)) == (1, "3")
    predict_batch(ada, [digit(0.55)] * 5)
    until(lambda: sum(report.calls for report in reports(manager).reports) == 6)
    (report,) = reports(manager).reports
    assert (report.version, report.shadow_version, report.agreeing, report.failed) == (1, 2, 0, 0)
    # Each says its own digit with the share that the other gives to all others.
    assert report.mean_score_difference == pytest.approx(2 * 0.9757 / 10, abs=0.01)
    shown = {difference.prediction_id: difference for difference in report.differences}
    assert (shown[found.id].answer, shown[found.id].shadow_answer) == ("3 (0.98)", "4 (0.98)")
    assert report.median_latency.ToMicroseconds() > 0 and report.shadow_median_latency.ToMicroseconds() > 0


@pytest.mark.usefixtures("digits")
def test_calls_that_name_a_version_have_no_shadow(ada: Person, manager: Person, inference: Inference) -> None:
    manager.set_traffic({}, shadow=mod.Shadow(alias="canary", share=1.0))
    predict(ada, picture(0.35), version=1)
    predict(ada, picture(0.35), alias="stable")
    time.sleep(0.5)
    assert inference.sql("SELECT count(*) FROM shadows")[0][0] == 0


@pytest.mark.usefixtures("digits")
def test_a_shadow_prepares_the_picture_by_its_own_manifest(ada: Person, manager: Person) -> None:
    manager.set_alias("same", 1)
    manager.set_traffic({"canary": 1}, shadow=mod.Shadow(alias="same", share=1.0))
    predict(ada, picture(0.35), settings=pre.AnswerSettings(storage=NONE))
    until(lambda: sum(report.calls for report in reports(manager).reports) == 1)
    (report,) = reports(manager).reports
    assert (report.version, report.shadow_version) == (2, 1) and report.differences[0].prediction_id == ""


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn(versions=(1, 2)) as running:
        yield running


def test_a_shadow_that_hangs_neither_delays_nor_fails_callers(server: StandIn, start_inference: StartInference) -> None:
    manager = start_inference(server.target).door.person(Role.MANAGER)
    narrow = man.ModelManifest()
    narrow.CopyFrom(MANIFEST)
    narrow.batching.max_calls_in_flight = 1
    for version in (1, 2):
        assert manager.register(narrow, version).passed
    manager.set_alias("canary", 2, model="m")
    manager.set_traffic({}, model="m", shadow=mod.Shadow(alias="canary", share=1.0))
    predict(manager, ASKED, "m")
    until(lambda: sum(report.calls for report in reports(manager, "m").reports) == 1)
    server.hanging = {2}
    times = []
    for _ in range(100):
        started = time.monotonic()
        assert best(predict(manager, ASKED, "m", settings=pre.AnswerSettings(storage=NONE))) == "yes"
        times.append(time.monotonic() - started)
    assert sorted(times)[50] < 0.1 and max(times) < 1
    assert reports(manager, "m").dropped_count >= 100 - 64 - 2
    server.release()
    until(lambda: sum(report.calls for report in reports(manager, "m").reports) >= 60)
    assert all(report.agreeing == report.calls for report in reports(manager, "m").reports)


def test_a_shadow_that_fails_is_counted_as_failed(server: StandIn, start_inference: StartInference) -> None:
    manager = start_inference(server.target).door.person(Role.MANAGER)
    for version in (1, 2):
        assert manager.register(MANIFEST, version).passed
    manager.set_alias("canary", 2, model="m")
    manager.set_traffic({}, model="m", shadow=mod.Shadow(alias="canary", share=1.0))
    server.versions = (1,)
    assert best(predict(manager, ASKED, "m")) == "yes"
    until(lambda: sum(report.failed for report in reports(manager, "m").reports) == 1)
