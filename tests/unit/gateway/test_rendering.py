"""The rendered configuration: what the contract says is what the edge does, for all settings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from labelmesh_gateway import GatewaySettings, render, write
from labelmesh_gateway.contract import Method, contract_bytes, contract_files, services_of
from pydantic import ValidationError

METHODS = [method for service in services_of(contract_files()) for method in service.methods]
SAFE_RETRIES = {"connect-failure", "refused-stream"}


def make_page(root: Path) -> Path:
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html>")
    (root / "assets" / "app-0123abcd.js").write_text("1")
    (root / "assets" / "plain.css").write_text("p{}")
    return root


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return make_page(tmp_path / "page")


def configuration(**settings: Any) -> dict[str, Any]:
    rendered: dict[str, Any] = yaml.load(render(GatewaySettings(**settings)), yaml.CSafeLoader)
    return rendered


@pytest.fixture(scope="module")
def default() -> dict[str, Any]:
    """What is rendered where nothing is set."""
    return configuration()


def manager(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def routes(config: dict[str, Any]) -> list[dict[str, Any]]:
    (host,) = manager(config)["route_config"]["virtual_hosts"]
    found: list[dict[str, Any]] = host["routes"]
    return found


def route_of(config: dict[str, Any], method: Method) -> dict[str, Any]:
    found = [each for each in routes(config) if each["match"].get("path") == method.path]
    assert [each for each in found if {"retry_policy", "max_stream_duration"} <= each.get("route", {}).keys()] == found, method.path
    assert len(found) == 1, f"{method.path} has {len(found)} routes"
    return found[0]


def per_filter(route: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = route.get("typed_per_filter_config", {})
    return found


def test_every_method_has_a_route_to_the_part_that_serves_it(default: dict[str, Any]) -> None:
    for method in METHODS:
        route = route_of(default, method)
        assert route["route"]["cluster"] == method.path.split(".")[1], method.path
        assert "grpc" not in route["match"], method.path


def test_only_open_methods_are_let_past_the_session_check(default: dict[str, Any]) -> None:
    for method in METHODS:
        filters = per_filter(route_of(default, method))
        for name in ("envoy.filters.http.jwt_authn", "envoy.filters.http.ext_authz"):
            assert filters.get(name, {}).get("disabled", False) is method.open, method.path
        assert ("envoy.filters.http.local_ratelimit.open" in filters) is method.open, method.path


def test_only_reads_and_repeatable_methods_are_sent_again_after_an_unknown_fate(default: dict[str, Any]) -> None:
    for method in METHODS:
        conditions = set(route_of(default, method)["route"]["retry_policy"]["retry_on"].split(","))
        assert conditions >= SAFE_RETRIES, method.path
        assert bool(conditions - SAFE_RETRIES) is method.repeatable, method.path


def test_a_call_ends_a_little_after_the_deadline_that_the_service_applies_itself(default: dict[str, Any]) -> None:
    for method in METHODS:
        action = route_of(default, method)["route"]
        assert action["timeout"] == "0s", method.path
        duration = {"max_stream_duration": f"{method.deadline_s + 5}s", "grpc_timeout_header_max": "600s"}
        assert action["max_stream_duration"] == duration, method.path


def test_every_json_path_has_a_route(default: dict[str, Any]) -> None:
    by_regex = [route for route in routes(default) if "safe_regex" in route["match"]]
    for method, rule in ((each, rule) for each in METHODS for rule in each.rules):
        path = re.sub(r"\{[^}]*\}", "0b6a", rule.template)
        matching = [
            route["name"]
            for route in by_regex
            if route["match"]["headers"][0]["string_match"].get("exact") == rule.verb.upper()
            and re.fullmatch(route["match"]["safe_regex"]["regex"], path)
        ]
        assert f"{method.service}/{method.name}" in matching, (method.path, rule.template)


def test_browsers_of_other_origins_may_ask_about_every_json_path_first(default: dict[str, Any]) -> None:
    prefixes = tuple(route["match"]["prefix"] for route in routes(default) if route["name"] == "preflight")
    paths = [rule.template for method in METHODS for rule in method.rules]
    assert [path for path in paths if not path.startswith(prefixes)] == []


def test_nothing_is_forwarded_but_methods_objects_and_what_cors_answers_itself(default: dict[str, Any]) -> None:
    forwarded = {route["name"] for route in routes(default) if "route" in route}
    assert forwarded == {"preflight", "objects", *(f"{method.service}/{method.name}" for method in METHODS)}
    preflights = [route for route in routes(default) if route["name"] == "preflight"]
    for route in preflights:
        assert {header["name"] for header in route["match"]["headers"]} == {":method", "origin", "access-control-request-method"}


def test_the_interface_of_the_model_server_is_not_told_outside(default: dict[str, Any]) -> None:
    assert not [route["name"] for route in routes(default) if "tfserving" in json.dumps(route)]
    assert not [each for each in services_of(contract_files()) if "tfserving" in each.name]
    transcoder, statistics = (
        each["typed_config"]
        for each in manager(default)["http_filters"]
        if each["name"] in ("envoy.filters.http.grpc_json_transcoder", "envoy.filters.http.grpc_stats")
    )
    assert "tfserving" not in json.dumps([transcoder, statistics])


def test_a_stream_to_the_models_may_be_as_long_as_a_file(default: dict[str, Any]) -> None:
    (method,) = [each for each in METHODS if each.name == "PredictStream"]
    filters = per_filter(route_of(default, method))
    assert filters["envoy.filters.http.body_size_limit"]["disabled"] is True
    assert "envoy.filters.http.body_size_limit.long" in filters


def test_a_batch_of_pictures_passes_as_json_too(default: dict[str, Any]) -> None:
    """24 MiB are 32 MiB in base64, and the JSON around them."""
    batch = 24 * 2**20 * 4 // 3 + 1024 * 64
    limits = [each["typed_config"] for each in manager(default)["http_filters"] if "typed_config" in each]
    assert [each["max_request_bytes"] for each in limits if each.get("max_request_bytes", 0) < batch and "max_request_bytes" in each] == []
    (transcoder,) = [each for each in limits if "proto_descriptor" in each]
    assert transcoder["max_request_body_size"] >= batch


def test_the_session_check_fails_closed_and_says_unavailable(default: dict[str, Any]) -> None:
    (check,) = [each["typed_config"] for each in manager(default)["http_filters"] if each["name"] == "envoy.filters.http.ext_authz"]
    assert check["failure_mode_allow"] is False
    assert check["status_on_error"] == {"code": "ServiceUnavailable"}


def test_sick_replicas_are_left_out_and_never_panicked_into(default: dict[str, Any]) -> None:
    clusters = {each["name"]: each for each in default["static_resources"]["clusters"]}
    for part in ("auth", "labeling", "inference", "augment"):
        assert clusters[part]["common_lb_config"]["healthy_panic_threshold"] == {"value": 0}
        assert clusters[part]["health_checks"][0]["no_traffic_interval"] == "2s"
        budget = clusters[part]["circuit_breakers"]["thresholds"][0]["retry_budget"]
        assert budget["min_retry_concurrency"] >= 50


def test_the_admin_page_is_on_loopback_wherever_the_edge_listens() -> None:
    admin = configuration(listen="0.0.0.0:80", admin_port=9999)["admin"]["address"]["socket_address"]
    assert admin == {"address": "127.0.0.1", "port_value": 9999}


def test_headers_that_only_the_edge_may_set_are_taken_out_first(default: dict[str, Any]) -> None:
    (extension,) = manager(default)["early_header_mutation_extensions"]
    removed = [
        each["remove_on_match"]["key_matcher"]["prefix"] for each in extension["typed_config"]["mutations"] if "remove_on_match" in each
    ]
    assert removed == ["x-labelmesh-", "x-envoy-"]


def test_the_access_log_holds_no_credentials_and_not_who_called(default: dict[str, Any]) -> None:
    logged = json.dumps(manager(default)["access_log"])
    for secret in ("AUTHORIZATION", "COOKIE", "API-KEY", "%REQ(:PATH)%", "DOWNSTREAM", "FORWARDED", "USER-AGENT", "REFERER", "PEER"):
        assert secret not in logged.upper()
    assert "%PATH(NQ:" in logged


def test_no_url_of_object_storage_takes_credentials_along(default: dict[str, Any]) -> None:
    (objects,) = [route for route in routes(default) if route["name"] == "objects"]
    assert {"cookie", "authorization", "x-api-key"} <= set(objects["request_headers_to_remove"])
    assert objects["route"]["host_rewrite_literal"] == "127.0.0.1:9003"


def test_files_are_named_where_envoy_will_see_them(tmp_path: Path, page: Path) -> None:
    path = write(GatewaySettings(web_root=page), tmp_path / "out", seen_as=Path("/etc/envoy"))
    text = path.read_text()
    assert "/etc/envoy/descriptors.binpb" in text
    assert "/etc/envoy/web/assets/app-0123abcd.js" in text
    assert str(tmp_path) not in text
    assert (tmp_path / "out" / "descriptors.binpb").read_bytes() == contract_bytes()


def test_rendering_again_leaves_nothing_of_an_older_page(tmp_path: Path, page: Path) -> None:
    write(GatewaySettings(web_root=page), tmp_path / "out")
    (page / "assets" / "app-0123abcd.js").rename(page / "assets" / "app-4567abcd.js")
    path = write(GatewaySettings(web_root=page), tmp_path / "out")
    assert "app-0123abcd" not in path.read_text()
    assert not (tmp_path / "out" / "web" / "assets" / "app-0123abcd.js").exists()


def test_the_classic_address_is_a_call_only_with_an_image_to_fetch(default: dict[str, Any]) -> None:
    named = [route for route in routes(default) if route["name"] == "labelmesh.augment.v1.ClassicService/ClassicAugment"]
    (json_call,) = [route for route in named if "safe_regex" in route["match"]]
    assert json_call["match"]["query_parameters"] == [{"name": "url", "present_match": True}]
    instructions = [route for route in routes(default) if route["name"] == "instructions" and route["match"]["path"] == "/augment/"]
    assert len(instructions) == 2
    assert all(routes(default).index(json_call) < routes(default).index(route) for route in instructions)


def test_only_a_method_that_answers_files_may_say_its_status(default: dict[str, Any]) -> None:
    speaking = {route["name"] for route in routes(default) if "envoy.filters.http.lua" in per_filter(route)}
    assert speaking == {f"{method.service}/{method.name}" for method in METHODS if method.answers_file} != set()
    (lua,) = [each for each in manager(default)["http_filters"] if each["name"] == "envoy.filters.http.lua"]
    assert lua["disabled"] is True


def test_who_operates_it_gets_a_listener_only_where_one_is_told(default: dict[str, Any]) -> None:
    assert [each["name"] for each in default["static_resources"]["listeners"]] == ["edge"]
    assert "admin" not in {each["name"] for each in default["static_resources"]["clusters"]}
    (_, ops) = configuration(ops_listen="0.0.0.0:9100")["static_resources"]["listeners"]
    assert (ops["ignore_global_conn_limit"], ops["bypass_overload_manager"]) == (True, True)
    (host,) = ops["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
    assert [each["match"].get("path") for each in host["routes"]] == ["/ready", "/metrics", None]
    assert "route" not in host["routes"][-1]


def test_the_admin_page_is_nobodys_upstream_but_the_ops_listeners() -> None:
    edge = configuration(ops_listen="0.0.0.0:9100", otlp="collector:4317", otlp_http="collector:4318")
    assert not [route for route in routes(edge) if route.get("route", {}).get("cluster") == "admin"]


def test_no_spans_are_made_where_no_collector_is_told(default: dict[str, Any]) -> None:
    assert "tracing" not in manager(default)
    assert not [route for route in routes(default) if "telemetry" in json.dumps(route["match"]) and "route" in route]
    assert "collector" not in json.dumps([each["name"] for each in default["static_resources"]["clusters"]])


@pytest.mark.parametrize(("ratio", "millionths"), [(0.05, 50_000), (0.000001, 1)])
def test_the_ratio_is_for_traces_that_begin_at_the_edge(ratio: float, millionths: int) -> None:
    tracing = manager(configuration(otlp="collector:4317", trace_ratio=ratio))["tracing"]
    sampler = tracing["provider"]["typed_config"]["sampler"]
    assert sampler["name"].endswith(".parent_based")
    assert sampler["typed_config"]["wrapped_sampler"]["typed_config"]["sampling_percentage"] == {
        "numerator": millionths,
        "denominator": "MILLION",
    }
    assert tracing["client_sampling"] == {"value": 0}


def test_text_of_a_traces_context_is_taken_out_first(default: dict[str, Any]) -> None:
    (extension,) = manager(default)["early_header_mutation_extensions"]
    assert {each["remove"] for each in extension["typed_config"]["mutations"] if "remove" in each} >= {"tracestate", "baggage"}


def test_certificates_are_told_by_files_that_name_the_folder_to_watch(tmp_path: Path) -> None:
    certificate, key = Path("/run/tls/tls.crt"), Path("/run/tls/tls.key")
    settings = GatewaySettings(
        web_root=tmp_path / "missing",
        tls_certificate=certificate,
        tls_private_key=key,
        upstream_ca=Path("/run/ca/ca.crt"),
        upstream_certificate=certificate,
        upstream_private_key=key,
    )
    config = yaml.load(write(settings, tmp_path / "out", seen_as=Path("/etc/labelmesh-gateway")).read_text(), yaml.CSafeLoader)
    assert {path.stem for path in (tmp_path / "out" / "tls").iterdir()} == {"tls_certificate", "upstream_certificate", "upstream_ca"}
    told = json.loads((tmp_path / "out" / "tls" / "upstream_ca.json").read_text())["resources"][0]["validation_context"]
    assert told == {"trusted_ca": {"filename": "/run/ca/ca.crt"}, "watched_directory": {"path": "/run/ca"}}
    assert "/etc/labelmesh-gateway/tls/tls_certificate.json" in json.dumps(config["static_resources"]["listeners"])
    clusters = {each["name"]: each.get("transport_socket", {}).get("typed_config", {}) for each in config["static_resources"]["clusters"]}
    for cluster, name in (
        ("auth", "auth"),
        ("auth_ops", "auth"),
        ("labeling", "labeling"),
        ("inference", "inference"),
        ("augment", "augment"),
    ):
        (matcher,) = clusters[cluster]["common_tls_context"]["combined_validation_context"]["default_validation_context"][
            "match_typed_subject_alt_names"
        ]
        assert (clusters[cluster]["sni"], matcher) == (name, {"san_type": "DNS", "matcher": {"exact": name}})
    write(GatewaySettings(web_root=tmp_path / "missing"), tmp_path / "out")
    assert list((tmp_path / "out" / "tls").iterdir()) == [], "nothing of an earlier rendering stays"


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in GatewaySettings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"listen": "8080"},
        {"auth": ""},
        {"auth": "a.example"},
        {"objects": "a.example:99999"},
        {"labeling": ("a.example:9000", "b.example:99999")},
        {"ops_listen": "0.0.0.0:0"},
        {"otlp": "a.example:99999"},
        {"public_origins": "*"},
        {"public_origins": "https://a.example/path"},
        {"tls_certificate": "a.pem"},
        {"upstream_certificate": "a.pem", "upstream_private_key": "b.pem"},
        {"max_connections": 0},
        {"no_such_setting": 1},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings(**wrong)
