"""A whole mesh with a real Prometheus: what dashboards and alerts ask for is there, and a healthy mesh alarms nobody."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from labelmesh_operations.metrics import LAST_SUCCESS
from labelmesh_operations.metrics import of_failure as of_failed_backup

from monitoring.boards import ALL
from tests.e2e.models.digits import known_digits
from tests.support.mesh import GUEST, HOUSE, LocalMesh
from tests.support.prometheus import Prometheus, rules_for_tests
from tests.support.promql import metrics_of

# What a mesh on one machine does not have, and who does.
ELSEWHERE = {
    "ALERTS": "Prometheus, while an alert is pending or fires",
    "kubelet_volume_stats_available_bytes": "Kubernetes' nodes",
    "kubelet_volume_stats_capacity_bytes": "Kubernetes' nodes",
    "cnpg_pg_replication_in_recovery": "CloudNativePG",
    "cnpg_pg_replication_streaming_replicas": "CloudNativePG",
    "cnpg_pg_stat_archiver_last_archived_time": "CloudNativePG",
    "cnpg_pg_stat_archiver_last_failed_time": "CloudNativePG",
    "kube_cronjob_created": "kube-state-metrics",
    "kube_cronjob_status_last_successful_time": "kube-state-metrics",
    "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp": "CloudNativePG",
    "tls_certificate_expiry_timestamp_seconds": "services with certificates (tests/integration/chassis/test_measures.py)",
    "labelmesh_backup_last_success_timestamp_seconds": "backups, by node exporter",
    "labelmesh_backup_last_attempt_success": "backups, by node exporter",
    "labelmesh_backup_findings": "backups, by node exporter",
}
# Envoy counts a code from its first time on: these are failures.
FAILED = re.compile(r"envoy_cluster_grpc_(2|4|13|14|15)")
# Whose limit is a time, which a busy machine does not keep.
TIMED = {"LabelmeshLatencyBurnsFast", "LabelmeshSlow", "LabelmeshWorkWaits", "LabelmeshSessionChecksFail", "LabelmeshThreadsExhausted"}


@pytest.fixture(scope="module")
def prometheus(mesh_with_models: LocalMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Has read the mesh's figures before and after some calls."""
    server = Prometheus(tmp_path_factory.mktemp("prometheus") / "server", _scrapes(mesh_with_models))
    server.start()
    try:
        _until_all_are_read(server)
        for _ in range(3):
            _call_everybody(mesh_with_models)
            time.sleep(1)
        # A figure that is looked up may be ten seconds old; a rule reads what a rule before it has written.
        _until_all_are_read(server, rounds=12)
        yield server
    finally:
        server.stop()


def _scrapes(mesh: LocalMesh) -> list[dict[str, Any]]:
    """The jobs of docker-compose's Prometheus, at this mesh's addresses."""
    parts = {part["name"]: part["ports"] for part in mesh.state()["parts"]}
    scrapes = []
    for job in yaml.safe_load((HOUSE / "monitoring" / "prometheus.yaml").read_text())["scrape_configs"]:
        name = job["job_name"]
        if name == "prometheus":
            continue
        path, port = job.get("metrics_path", "/metrics"), next((parts[name][kind] for kind in ("ops", "http") if kind in parts[name]), 0)
        if name == "gateway" and not port:
            # On one machine the gateway has its admin page on loopback, and no other port for this.
            path, port = "/stats/prometheus", parts[name]["admin"]
        scrapes.append({"job_name": name, "metrics_path": path, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]})
    return scrapes


def _until_all_are_read(server: Prometheus, rounds: int = 1) -> None:
    """Waits until every part has been read so many times more."""
    began = time.time()
    deadline = time.monotonic() + 60 + rounds
    while True:
        targets = server.get("targets")["activeTargets"]
        unread = [target for target in targets if target["health"] != "up"]
        # It takes some seconds to find out whom it has to read, and has nobody until then.
        if targets and not unread and time.time() - began > rounds + 1:
            return
        assert time.monotonic() < deadline, [(target["labels"]["job"], target["lastError"]) for target in unread]
        time.sleep(0.2)


def _call_everybody(mesh: LocalMesh) -> None:
    assert mesh.call("POST", "/v1/sessions", {"name": "nobody", "password": "wrong"})[0] == 401
    token = mesh.sign_in(*GUEST)
    _, listed = mesh.call("GET", "/v1/projects", token=token)
    project = next(project["id"] for project in listed["projects"] if project["displayName"] == "Handwritten digits")
    leased = mesh.call("POST", f"/v1/projects/{project}/leases", {"requestId": str(uuid4())}, token=token)
    assert leased[0] == 200, leased
    lease = leased[1]["next"]["lease"]["id"]
    released = mesh.call("POST", f"/v1/projects/{project}/leases:release", {"leaseIds": [lease]}, token=token)
    assert released[0] == 200, released
    image = {"image": base64.b64encode(known_digits(1)[0].png).decode()}
    predicted = mesh.call("POST", "/v1/predictions", {"model": {"model": "digits"}, "input": image}, token=token)
    assert predicted[0] == 200, predicted
    turned = {"steps": [{"transform": "quarter_turn", "parameters": {"turns": 1}}]}
    augmented = mesh.call("POST", "/v1/augmentations", {"sample": {"source": image}, "pipeline": turned}, token=token)
    assert augmented[0] == 200, augmented


def _expressions() -> dict[str, list[str]]:
    """By where they stand; a dashboard's own variable is made a time."""
    found = {board.name: [query.expression.replace("$__rate_interval", "10s") for query in board.queries] for board in ALL}
    rules = [rule for group in rules_for_tests()["groups"] for rule in group["rules"]]
    return {**found, "rules": [rule["expr"] for rule in rules]}


def test_every_expression_of_dashboards_and_rules_can_be_evaluated(prometheus: Prometheus) -> None:
    for place, expressions in _expressions().items():
        for expression in expressions:
            assert prometheus.query(expression) is not None, (place, expression)


def test_rules_are_evaluated_without_an_error(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == sum(len(group["rules"]) for group in rules_for_tests()["groups"])
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}


def test_every_metric_that_dashboards_and_rules_name_is_told_by_some_part(prometheus: Prometheus) -> None:
    asked = {name: place for place, expressions in _expressions().items() for each in expressions for name in metrics_of(each)}
    assert len(asked) > 60
    deadline = time.monotonic() + 45
    while True:
        there = prometheus.names()
        missing = {
            name: place for name, place in asked.items() if name not in there and name not in ELSEWHERE and not FAILED.fullmatch(name)
        }
        # A rule that asks for what another rule records has something to say a round later, and on a busy machine some rounds.
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert missing == {}
    # The codes that were answered are counted under the names and labels that those have which were not.
    assert prometheus.query('envoy_cluster_grpc_0{edge_service!="",edge_method="LeaseImage"}')
    # Nothing is excused that is there, or that nobody asks for.
    assert set(ELSEWHERE) <= set(asked)
    assert {name for name in ELSEWHERE if name in there and name != "ALERTS"} == set()


def test_what_backups_tell_is_what_alerts_ask_for(tmp_path: Path) -> None:
    assert {LAST_SUCCESS, "labelmesh_backup_last_attempt_success"} <= set(ELSEWHERE)
    assert "labelmesh_backup_last_attempt_success" in of_failed_backup(tmp_path / "none.prom")


def test_a_healthy_mesh_alarms_nobody(prometheus: Prometheus) -> None:
    alerts = [rule for group in rules_for_tests()["groups"] for rule in group["rules"] if "alert" in rule]
    alarmed = {rule["alert"]: prometheus.query(rule["expr"]) for rule in alerts if rule["alert"] not in TIMED}
    assert {name: found for name, found in alarmed.items() if found} == {}


def test_figures_say_what_was_done(prometheus: Prometheus) -> None:
    def value(expression: str) -> float:
        return float(prometheus.query(expression)[0]["value"][1])

    assert value('sum(labelmesh_auth_sign_ins_total{outcome="WRONG_CREDENTIALS"})') >= 3
    assert value("labelmesh_auth_sessions_active") >= 1
    assert value('labelmesh_labeling_images{state="waiting"}') > 1000
    assert value('sum(labelmesh_predictions_total{outcome="ok"})') >= 3
    assert value('sum(labelmesh_prediction_seconds_count{stage="store"})') >= 3
    assert value('labelmesh_trainings{state="succeeded"}') >= 1
    assert value("labelmesh_model_server_up") == 1
    assert value('sum(grpc_client_handled_total{job="inference",grpc_target="modelserver",grpc_code="OK"})') >= 3
    assert value("sum(labelmesh_augment_input_pixels_total)") > 0
    assert value('sum(object_store_requests_total{job="labeling",operation="put",outcome="ok"})') > 0


def test_no_figure_names_anybody(prometheus: Prometheus, mesh_with_models: LocalMesh) -> None:
    """Labels are few and come from the code: no account, no project, no image, no address but a replica's own."""
    identifier = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|[0-9a-f]{32}|eyJ|lmk_|@")
    for series in prometheus.get("series", **{"match[]": '{job=~"auth|labeling|inference|augment|gateway"}'}):
        for name, told in series.items():
            assert not identifier.search(told) and GUEST[0] not in told, (name, series)
            # Envoy names its own listeners by address.
            assert name in ("instance", "job", "envoy_listener_address") or "127.0.0.1" not in told, series
