"""Dashboards are what their code writes; what mounts and reads the files finds in them what it needs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from google.protobuf.descriptor import FileDescriptor
from labelmesh.augment.v1 import augmentations_pb2, pipelines_pb2
from labelmesh.auth.v1 import api_keys_pb2, security_pb2, sessions_pb2, users_pb2
from labelmesh.inference.v1 import models_pb2, predictions_pb2, scoring_pb2, trainings_pb2
from labelmesh.labeling.v1 import annotations_pb2, images_pb2, projects_pb2, statistics_pb2

from monitoring.boards import ALL
from monitoring.generate import DASHBOARDS, RULES, generated
from tests.support.prometheus import HOUSE

MONITORING = HOUSE / "monitoring"
CONTRACT: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR
    for module in (
        *(augmentations_pb2, pipelines_pb2, api_keys_pb2, security_pb2, sessions_pb2, users_pb2, models_pb2, predictions_pb2, scoring_pb2),
        *(trainings_pb2, annotations_pb2, images_pb2, projects_pb2, statistics_pb2),
    )
)
JOBS = {"auth", "labeling", "inference", "augment", "gateway", "modelserver"}


def test_dashboards_and_the_component_s_copies_are_what_the_code_writes() -> None:
    files = generated((HOUSE / RULES).read_text())
    for path, content in files.items():
        assert (HOUSE / path).read_text() == content, f"{path}: python -m monitoring.generate"
    there = {path.relative_to(HOUSE) for path in (HOUSE / DASHBOARDS).glob("*.json")}
    assert there == {path for path in files if path.parent == DASHBOARDS}


def test_the_component_takes_every_dashboard() -> None:
    listed = yaml.safe_load((HOUSE / "k8s/components/monitoring/kustomization.yaml").read_text())["configMapGenerator"][0]["files"]
    assert listed == [f"dashboards/{board.name}.json" for board in ALL]


def test_every_panel_says_what_it_shows_and_has_a_number_of_its_own() -> None:
    for board in ALL:
        content = json.loads((HOUSE / DASHBOARDS / f"{board.name}.json").read_text())
        panels = content["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels), board.name
        for panel in panels:
            if panel["type"] != "row":
                assert panel["description"] and panel["targets"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
                assert panel["datasource"]["uid"] == "${source}", panel["title"]
                for target in panel["targets"]:
                    assert "rate(" not in target["expr"] or "[" in target["expr"], target["expr"]
                assert 0 < panel["gridPos"]["w"] + panel["gridPos"]["x"] <= 24, panel["title"]


def test_prometheus_asks_every_part_under_the_job_that_rules_go_by() -> None:
    config = yaml.safe_load((MONITORING / "prometheus.yaml").read_text())
    jobs = {scrape["job_name"] for scrape in config["scrape_configs"]}
    assert jobs == JOBS | {"prometheus"}
    monitors = {yaml.safe_load((HOUSE / f"k8s/components/monitoring/{job}.yaml").read_text())["metadata"]["name"] for job in JOBS}
    assert monitors == JOBS


def test_rules_leave_out_the_methods_that_are_streams_and_no_others() -> None:
    found = set(re.findall(r'edge_method!~"([^"]+)"', (HOUSE / RULES).read_text()))
    assert len(found) == 1
    left_out = re.compile(found.pop())
    for file in CONTRACT:
        for service in file.services_by_name.values():
            for method in service.methods:
                streams = method.client_streaming or method.server_streaming
                assert bool(left_out.fullmatch(method.name)) == streams, method.full_name


def test_the_collector_sends_nothing_on_that_it_has_not_cleared_of_people() -> None:
    config = yaml.safe_load((MONITORING / "collector.yaml").read_text())
    (pipeline,) = config["service"]["pipelines"].values()
    assert pipeline["processors"] == ["memory_limiter", "attributes/impersonal", "batch"]
    actions = config["processors"]["attributes/impersonal"]["actions"]
    assert {action["action"] for action in actions} == {"delete"}
    patterns = [re.compile(action["pattern"]) for action in actions if "pattern" in action]
    keys = {action["key"] for action in actions if "key" in action}
    personal = [
        "client.address",
        "user_agent.original",
        "enduser.id",
        "user.email",
        "http.request.header.cookie",
        "db.password",
        "url.query",
    ]
    for name in (*personal, "rpc.request.header.authorization", "labelmesh.session_token", "X-Api-Key"):
        assert name in keys or any(pattern.search(name) for pattern in patterns), name
    for name in ("rpc.method", "db.query.text", "http.response.status_code", "labelmesh.outcome"):
        assert name not in keys and not any(pattern.search(name) for pattern in patterns), name


def test_what_compose_mounts_is_there() -> None:
    compose = yaml.safe_load((HOUSE / "docker-compose.yml").read_text())
    sources = {
        str(volume).split(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if str(volume).startswith("./monitoring")
    }
    assert {"./monitoring/prometheus.yaml", "./monitoring/rules", "./monitoring/collector.yaml", "./monitoring/dashboards"} <= sources
    for source in sources:
        assert (HOUSE / source).exists(), source
    provider = yaml.safe_load((MONITORING / "grafana/provisioning/dashboards/labelmesh.yaml").read_text())["providers"][0]
    mounted = {str(volume).split(":")[0]: Path(str(volume).split(":")[1]) for volume in compose["services"]["grafana"]["volumes"]}
    assert Path(provider["options"]["path"]) == mounted["./monitoring/dashboards"]
