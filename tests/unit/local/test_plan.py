"""What the parts of one run are told of each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from labelmesh_gateway.settings import GatewaySettings
from labelmesh_local.errors import LocalError
from labelmesh_local.first_start import command_environment
from labelmesh_local.home import Home, Secrets
from labelmesh_local.parts import SERVICES, Plan, hang_seconds
from labelmesh_local.up import Wishes


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan.made(Home(tmp_path), tmp_path, Secrets.made(), 8080, demo=True, models=True)


def test_no_two_parts_get_the_same_port(plan: Plan) -> None:
    assert len(set(plan.inner.values())) == len(plan.inner) == 2 * len(SERVICES) + 5


def test_the_gateway_is_told_where_every_service_is(plan: Plan) -> None:
    told = plan.gateway_environment()
    for service in SERVICES:
        assert told[f"LABELMESH_GATEWAY_{service.upper()}"] == f"127.0.0.1:{plan.inner[service]}"
    known = {f"LABELMESH_GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields}
    assert set(told) <= known


def test_inference_is_told_of_the_model_server_and_of_labeling_and_others_are_not(plan: Plan) -> None:
    inference, labeling = plan.service_environment("inference"), plan.service_environment("labeling")
    assert inference["LABELMESH_MODEL_SERVER"] == f"127.0.0.1:{plan.inner['modelserver']}"
    assert inference["LABELMESH_LABELING"] == labeling["LABELMESH_LISTEN"]
    assert inference["LABELMESH_S3_BUCKET"] == labeling["LABELMESH_S3_BUCKET"]
    assert inference["LABELMESH_DATABASE_URL"] != labeling["LABELMESH_DATABASE_URL"]
    assert "LABELMESH_MODEL_SERVER" not in labeling


def test_augment_is_told_where_labeling_is(plan: Plan) -> None:
    assert plan.service_environment("augment")["LABELMESH_LABELING"] == plan.service_environment("labeling")["LABELMESH_LISTEN"]


def test_a_collector_given_to_the_mesh_reaches_every_part(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"LABELMESH_OTLP_ENDPOINT": "127.0.0.1:4317", "LABELMESH_OTLP_HTTP_ENDPOINT": "127.0.0.1:4318", "LABELMESH_TRACE_RATIO": "0.25"}
    for name in given:
        monkeypatch.delenv(name, raising=False)
    untraced = [plan.gateway_environment(), *(plan.service_environment(service) for service in SERVICES)]
    assert not [name for told in untraced for name in told if "OTLP" in name or "TRACE" in name]
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for service in SERVICES:
        told = plan.service_environment(service)
        assert (told["LABELMESH_OTLP_ENDPOINT"], told["LABELMESH_TRACE_RATIO"]) == ("127.0.0.1:4317", "0.25")
    told = plan.gateway_environment()
    assert told["LABELMESH_GATEWAY_OTLP"] == "127.0.0.1:4317"
    assert told["LABELMESH_GATEWAY_OTLP_HTTP"] == "127.0.0.1:4318"
    assert told["LABELMESH_GATEWAY_TRACE_RATIO"] == "0.25"


def test_the_command_knows_where_models_go(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.admin_password.write_text("secret\n")
    told = command_environment(home, 8123)
    assert told["LABELMESH_MODELS"] == str(tmp_path / "data" / "models")
    assert (told["LABELMESH_ADDRESS"], told["LABELMESH_PASSWORD"]) == ("http://127.0.0.1:8123", "secret")


def test_what_was_wished_reaches_the_mesh_in_the_background() -> None:
    assert Wishes().arguments == ["--port", "8080"]
    assert Wishes(81, demo=False, models=False).arguments == ["--port", "81", "--no-demo", "--no-models"]


@pytest.mark.parametrize(("text", "seconds"), [("", 30.0), ("5", 5.0), ("0", 0.0), ("2.5", 2.5)])
def test_the_patience_with_silent_parts_is_a_setting(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    monkeypatch.setenv("LABELMESH_HANG_SECONDS", text)
    assert hang_seconds() == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_patience_that_is_no_number_is_a_sentence(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("LABELMESH_HANG_SECONDS", text)
    with pytest.raises(LocalError, match=re.escape(f"LABELMESH_HANG_SECONDS is '{text}'")):
        hang_seconds()
