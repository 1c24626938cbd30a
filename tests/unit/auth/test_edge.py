"""What the check reads from the contract, from headers and cookies."""

from __future__ import annotations

import pytest
from buf.validate import validate_pb2
from labelmesh.auth.v1 import api_keys_pb2
from labelmesh.extauthz.v1 import check_pb2
from labelmesh_auth import api_keys, wire
from labelmesh_auth.cookies import SessionCookie, token_of
from labelmesh_auth.edge import wire as edge_wire
from labelmesh_auth.edge.admission import CredentialKind, EdgeCall

METHODS = wire.contract_methods()


def test_every_method_of_every_service_is_known_with_its_options() -> None:
    services = {path.split("/")[1] for path in METHODS}
    assert {f"labelmesh.auth.v1.{name}Service" for name in ("Session", "User", "ApiKey", "Security")} <= services
    assert {f"labelmesh.labeling.v1.{name}Service" for name in ("Project", "Image", "Annotation", "Statistics")} <= services
    assert {f"labelmesh.inference.v1.{name}Service" for name in ("Prediction", "Model", "Training", "Scoring", "Classic")} <= services
    lease = METHODS["/labelmesh.labeling.v1.AnnotationService/LeaseImage"]
    assert (lease.passive, lease.open, lease.scope, lease.repeatable) == (True, False, "labeling.annotate", True)


def test_only_sign_in_is_open() -> None:
    assert [path for path, method in METHODS.items() if method.open] == ["/labelmesh.auth.v1.SessionService/SignIn"]


def test_reading_is_passive_and_reporting_activity_is_not() -> None:
    assert METHODS["/labelmesh.auth.v1.SessionService/GetSession"].passive
    assert METHODS["/labelmesh.labeling.v1.StatisticsService/WatchStatistics"].passive
    assert not METHODS["/labelmesh.auth.v1.SessionService/ReportActivity"].passive


def test_no_method_of_auth_is_for_api_keys() -> None:
    assert {method.scope for path, method in METHODS.items() if path.startswith("/labelmesh.auth.")} == {""}


def test_every_scope_of_a_method_can_be_given_to_a_key_and_no_other() -> None:
    rules = api_keys_pb2.CreateApiKeyRequest.DESCRIPTOR.fields_by_name["scopes"].GetOptions().Extensions[validate_pb2.field]
    assert {method.scope for method in METHODS.values()} - {""} == set(getattr(rules.repeated.items.string, "in"))


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("labelmesh_session=abc", "abc"),
        ("a=1; labelmesh_session=abc; b=2", "abc"),
        ('broken; {"json"=1}; labelmesh_session=abc', "abc"),
        ('labelmesh_session="abc"', "abc"),
        ("xlabelmesh_session=abc", ""),
        ("labelmesh_session=", ""),
        ("a=labelmesh_session=abc", ""),
        ("", ""),
    ],
)
def test_the_token_is_found_among_other_cookies(header: str, token: str) -> None:
    assert token_of(header) == token


def test_the_cookie_is_for_https_alone_unless_told_otherwise() -> None:
    assert SessionCookie().set("t", 60) == "labelmesh_session=t; Max-Age=60; Path=/; HttpOnly; SameSite=Strict; Secure"
    assert SessionCookie(secure=False).clear() == "labelmesh_session=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"


def test_a_key_counts_before_a_token_before_a_cookie() -> None:
    headers = {"x-api-key": "k", "authorization": "Bearer t", "cookie": "labelmesh_session=c"}
    kinds = []
    for name in list(headers):
        kinds.append(EdgeCall("/", dict(headers), "").credential_kind)
        del headers[name]
    kinds.append(EdgeCall("/", {"cookie": "theme=dark"}, "").credential_kind)
    assert kinds == [CredentialKind.API_KEY, CredentialKind.BEARER, CredentialKind.COOKIE, CredentialKind.NONE]


def test_the_address_is_what_the_edge_saw_and_not_what_a_header_claims() -> None:
    request = check_pb2.CheckRequest()
    request.attributes.source.address.socket_address.address = "203.0.113.7"
    request.attributes.request.http.headers.update({"x-forwarded-for": "10.0.0.1", "x-labelmesh-client-address": "10.0.0.2"})
    assert edge_wire.edge_call(request).address == "203.0.113.7"


def test_credentials_never_travel_on() -> None:
    for identity in ("signed", None):
        assert set(edge_wire.allowed(identity).ok_response.headers_to_remove) == {"authorization", "cookie", "x-api-key"}


def test_a_new_key_has_the_shape_that_is_checked_and_no_two_are_alike() -> None:
    secrets = {api_keys.new_secret() for _ in range(200)}
    assert len(secrets) == 200 and all(api_keys.looks_like_key(secret) for secret in secrets)
