"""Tokens at the check: only what this service signed for this use counts."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from labelmesh_auth.keyring import KeyRing
from labelmesh_auth.signing_keys import KeyVault
from labelmesh_chassis.database import Database
from labelmesh_chassis.identity import Identity, Role, issue_identity
from sqlalchemy import text

from tests.integration.auth.mesh import ENCRYPTION_KEY, READ, Auth, Denied, FakeClock, until

Signer = Callable[..., str]


def refusal(auth: Auth, headers: dict[str, str]) -> Denied:
    with pytest.raises(Denied) as denied:
        auth.admit(READ, headers)
    return denied.value


@pytest.fixture
def keys(auth: Auth, database: Database, clock: FakeClock) -> KeyRing:
    """The service's own keys, as somebody who stole them would have them."""
    ring = KeyRing(database, KeyVault(base64.b64decode(ENCRYPTION_KEY)), clock)
    ring.refresh()
    return ring


@pytest.fixture
def claims(auth: Auth) -> dict[str, Any]:
    """The claims of a living session."""
    token = auth.sign_in()["authorization"].removeprefix("Bearer ")
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def test_a_token_says_what_the_edge_expects(auth: Auth, claims: dict[str, Any], clock: FakeClock) -> None:
    assert claims["iss"] == claims["aud"] == "labelmesh"
    assert claims["exp"] - claims["iat"] == 43_200
    assert claims["iat"] == int(clock().timestamp())
    assert uuid.UUID(claims["sub"]) and uuid.UUID(claims["sid"]) and claims["jti"]


def test_the_same_claims_signed_again_by_the_service_are_accepted(auth: Auth, claims: dict[str, Any], keys: KeyRing) -> None:
    key_id, private = keys.signing_key()
    token = jwt.encode(claims, private, algorithm="ES256", headers={"kid": key_id})
    auth.admit(READ, {"authorization": f"bearer {token}"})


def test_forged_unsigned_and_foreign_tokens_are_refused(auth: Auth, claims: dict[str, Any], keys: KeyRing, clock: FakeClock) -> None:
    key_id, private = keys.signing_key()
    public = keys.public_key(key_id)
    assert public is not None
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    stranger = ec.generate_private_key(ec.SECP256R1())
    good = jwt.encode(claims, private, algorithm="ES256", headers={"kid": key_id})
    head, body, signature = good.split(".")

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    def signed(**changes: Any) -> str:
        merged = {key: value for key, value in {**claims, **changes}.items() if value is not None}
        return jwt.encode(merged, private, algorithm="ES256", headers={"kid": key_id})

    identity = Identity(f"user:{claims['sub']}", claims["sub"], Role.ADMIN, session_id=claims["sid"])
    unsigned_head = part({"alg": "none", "typ": "JWT", "kid": key_id})
    confused = part({"alg": "HS256", "typ": "JWT", "kid": key_id})
    confused_signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(f"{confused}.{body}".encode(), pem)
    tokens = {
        "alg none": f"{unsigned_head}.{body}.",
        "alg none with a signature": f"{unsigned_head}.{body}.{signature}",
        "the public key as a shared secret": f"{confused}.{body}.{base64.urlsafe_b64encode(confused_signature).decode().rstrip('=')}",
        "a stranger's key under our id": jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": key_id}),
        "a stranger's key": jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": "other"}),
        "no key id": jwt.encode(claims, private, algorithm="ES256"),
        "another account": f"{head}.{part({**claims, 'sub': str(uuid.uuid4())})}.{signature}",
        "another audience": signed(aud="labelmesh-internal"),
        "another issuer": signed(iss="labelmesh-auth"),
        "no end": signed(exp=None),
        "no session": signed(sid=None),
        "a session that is no id": signed(sid="' OR 1=1 --"),
        "an internal identity": issue_identity(identity, key_id=key_id, private_key=private, now=clock().timestamp()),
        "cut off": good[:-4],
        "nonsense": "nonsense",
        "very long": "a." * 50_000 + "a",
        "empty": " ",
        "not ASCII": good + "é",
    }
    reasons = {name: refusal(auth, {"authorization": f"Bearer {token}"}).reason for name, token in tokens.items()}
    assert reasons == dict.fromkeys(tokens, "TOKEN_INVALID")
    auth.admit(READ, {"authorization": f"Bearer {good}"})


def test_a_genuine_token_of_another_account_does_not_open_a_session(
    auth: Auth, claims: dict[str, Any], keys: KeyRing, user_ids: dict[str, str]
) -> None:
    key_id, private = keys.signing_key()
    token = jwt.encode({**claims, "sub": user_ids["root"]}, private, algorithm="ES256", headers={"kid": key_id})
    assert refusal(auth, {"authorization": f"Bearer {token}"}).reason == "SESSION_REVOKED"


def test_a_token_past_its_end_is_refused_by_the_service_too(auth: Auth, claims: dict[str, Any], keys: KeyRing, clock: FakeClock) -> None:
    key_id, private = keys.signing_key()
    token = jwt.encode({**claims, "exp": int(clock().timestamp())}, private, algorithm="ES256", headers={"kid": key_id})
    assert refusal(auth, {"authorization": f"Bearer {token}"}).reason == "SESSION_ENDED"


def test_a_missing_credential_and_another_scheme_are_refused(auth: Auth) -> None:
    assert refusal(auth, {}).reason == "CREDENTIAL_MISSING"
    assert refusal(auth, {"cookie": "theme=dark"}).reason == "CREDENTIAL_MISSING"
    assert refusal(auth, {"authorization": "Basic YWRhOmFkYQ=="}).reason == "TOKEN_INVALID"


def test_a_refusal_says_why_in_status_details_and_for_plain_http_in_json(auth: Auth) -> None:
    denied = refusal(auth, {})
    assert (denied.code, denied.http_status, denied.body) == (16, 401, "sign in first")
    denied = refusal(auth, {"x-envoy-original-path": "/v1/projects"})
    document = json.loads(denied.body)
    assert document["code"] == 16
    assert document["details"][0]["reason"] == "CREDENTIAL_MISSING"


def test_unknown_methods_are_denied_even_to_an_admin(auth: Auth) -> None:
    headers = auth.sign_in("root")
    for path in (
        "/labelmesh.auth.v1.UserService/DropUsers",
        "/grpc.health.v1.Health/Check",
        "/",
        "",
        "/envoy.service.auth.v3.Authorization/Check",
    ):
        with pytest.raises(Denied) as denied:
            auth.admit(path, headers)
        assert (denied.value.code, denied.value.http_status, denied.value.reason) == (7, 403, "METHOD_UNKNOWN")


def test_the_identity_says_who_from_where_and_lives_a_minute(auth: Auth, claims: dict[str, Any], clock: FakeClock) -> None:
    identity = auth.admit(READ, auth.sign_in("mia"), address="198.51.100.9")["x-labelmesh-identity"]
    said = jwt.decode(identity, options={"verify_signature": False})
    assert said["iss"] == "labelmesh-auth" and said["aud"] == "labelmesh-internal"
    assert (said["role"], said["all_projects"], said["addr"]) == ("manager", True, "198.51.100.9")
    assert said["exp"] == int(clock().timestamp()) + 60
    assert said["sub"] == f"user:{said['uid']}" and uuid.UUID(said["sid"])


def test_a_remembered_token_is_refused_once_its_key_verifies_no_more(
    auth: Auth, claims: dict[str, Any], keys: KeyRing, clock: FakeClock, database: Database
) -> None:
    key_id, private = keys.signing_key()
    headers = {"authorization": "Bearer " + jwt.encode({**claims, "exp": 2**33}, private, algorithm="ES256", headers={"kid": key_id})}
    auth.admit(READ, headers)
    with database.transaction() as db:
        db.execute(text("UPDATE signing_keys SET expire_time = :now"), {"now": clock()})
    until(lambda: refused_as(auth, headers) == "TOKEN_INVALID", timeout_s=5)


def refused_as(auth: Auth, headers: dict[str, str]) -> str:
    """The reason of a refusal; what an edge without any key says counts as none."""
    try:
        auth.admit(READ, headers)
    except Denied as denied:
        return denied.reason
    except grpc.RpcError:
        return ""
    return ""


def test_one_statement_serves_calls_shortly_after_each_other_and_never_outlives_what_it_says(
    auth: Auth, clock: FakeClock, user_ids: dict[str, str], database: Database
) -> None:
    headers = auth.sign_in()

    def statement(address: str = "203.0.113.7") -> str:
        return auth.admit(READ, headers, address=address)["x-labelmesh-identity"]

    first = statement()
    clock.advance(14)
    assert statement() == first
    assert statement("198.51.100.9") != first
    with database.transaction() as db:
        db.execute(text("UPDATE users SET role = 'manager' WHERE name = 'ada'"))
    assert jwt.decode(statement(), options={"verify_signature": False})["role"] == "manager"
    with database.transaction() as db:
        db.execute(text("UPDATE users SET role = 'annotator' WHERE name = 'ada'"))
    clock.advance(1)
    assert jwt.decode(statement(), options={"verify_signature": False})["exp"] == int(clock().timestamp()) + 60
