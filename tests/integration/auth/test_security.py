"""Signing keys that rotate under open sessions, and the audit log."""

from __future__ import annotations

import base64
import json
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from labelmesh.auth.v1 import api_keys_pb2, security_pb2, sessions_pb2, users_pb2
from labelmesh_auth import signing_keys
from labelmesh_auth.signing_keys import KeyVault, WrongEncryptionKey
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import InvalidArgument, MeshError, PermissionDenied
from labelmesh_chassis.identity import IdentityVerifier, JwksKeySource
from pydantic import SecretStr
from sqlalchemy import text

from tests.integration.auth.mesh import PASSWORD, READ, WRITE, Auth, Denied, FakeClock, until

Headers = dict[str, str]


def jwks_url(auth: Auth) -> str:
    return f"http://127.0.0.1:{auth.server.ops.port}/.well-known/jwks.json"


def published(auth: Auth) -> list[str]:
    with urllib.request.urlopen(jwks_url(auth), timeout=5) as reply:
        assert reply.headers["cache-control"] == "public, max-age=60"
        assert reply.headers["content-type"] == "application/json"
        keys = json.load(reply)["keys"]
    assert all(set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in keys), "nothing private"
    return [key["kid"] for key in keys]


def kid(headers: Headers) -> str:
    return str(jwt.get_unverified_header(headers["authorization"].removeprefix("Bearer "))["kid"])


def identity_kid(auth: Auth, headers: Headers) -> str:
    return str(jwt.get_unverified_header(auth.admit(WRITE, headers)["x-labelmesh-identity"])["kid"])


def rotate(auth: Auth, headers: Headers, request_id: str = "") -> security_pb2.SigningKey:
    request = security_pb2.RotateSigningKeyRequest(request_id=request_id or str(uuid.uuid4()))
    key: security_pb2.SigningKey = auth.call(request, headers).signing_key
    return key


def test_a_new_key_is_published_at_once_signs_after_the_overlap_and_no_session_ends(
    start_auth: Callable[..., Auth], clock: FakeClock
) -> None:
    auth = start_auth(session_idle_seconds=43_200)
    ada, root = auth.sign_in(), auth.sign_in("root")
    (first,) = published(auth)
    made = rotate(auth, root)
    assert published(auth) == [made.key_id, first]
    clock.advance(299)
    assert kid(auth.sign_in()) == identity_kid(auth, ada) == first
    clock.advance(1)
    assert kid(auth.sign_in()) == identity_kid(auth, ada) == made.key_id
    assert set(published(auth)) == {first, made.key_id}
    clock.advance(43_200 - 301)
    assert identity_kid(auth, ada) == made.key_id, "the old token lives to its own end"


def test_the_old_key_verifies_until_the_last_of_its_tokens_has_ended_and_is_forgotten_then(
    start_auth: Callable[..., Auth], clock: FakeClock, database: Database
) -> None:
    auth = start_auth(session_idle_seconds=43_200, sweep_seconds=1)
    root = auth.sign_in("root")
    (first,) = published(auth)
    made = rotate(auth, root)
    clock.advance(299)
    last = auth.sign_in()
    assert kid(last) == first
    clock.advance(43_199)
    auth.admit(READ, last)
    assert first in published(auth)
    clock.advance(600)
    assert published(auth) == [made.key_id]

    def old_rows() -> int:
        with database.transaction() as db:
            return int(db.scalar(text("SELECT count(*) FROM signing_keys WHERE key_id = :id"), {"id": first}) or 0)

    until(lambda: old_rows() == 0, timeout_s=10)


def test_the_private_part_of_a_retired_key_is_erased(auth: Auth, clock: FakeClock, database: Database) -> None:
    root = auth.sign_in("root")
    (first,) = published(auth)
    rotate(auth, root)
    clock.advance(300 + 121)
    with database.transaction() as db:
        signing_keys.forget(db, clock())
        left = db.scalars(text("SELECT key_id FROM signing_keys WHERE private_encrypted IS NOT NULL")).all()
    assert len(left) == 1 and first not in left
    assert len(published(auth)) == 2


def test_every_replica_knows_a_new_key_long_before_it_signs(start_auth: Callable[..., Auth], clock: FakeClock) -> None:
    first, second = start_auth(), start_auth()
    made = rotate(first, first.sign_in("root"))
    until(lambda: made.key_id in published(second), timeout_s=5)
    clock.advance(300)
    headers = first.sign_in()
    assert kid(headers) == made.key_id
    second.admit(WRITE, headers)


def test_replicas_that_start_together_make_one_key(start_auth: Callable[..., Auth], database: Database) -> None:
    replicas = [start_auth() for _ in range(3)]
    assert len({tuple(published(replica)) for replica in replicas}) == 1
    replicas[1].admit(WRITE, replicas[0].sign_in())


def test_sessions_outlive_a_restart(start_auth: Callable[..., Auth]) -> None:
    first = start_auth()
    headers = first.sign_in()
    first.stop()
    start_auth().admit(WRITE, headers)


def test_rotating_twice_within_the_overlap_and_repeating_a_request_keep_every_token_good(
    start_auth: Callable[..., Auth], clock: FakeClock
) -> None:
    auth = start_auth(session_idle_seconds=43_200)
    root = auth.sign_in("root")
    request_id = str(uuid.uuid4())
    one = rotate(auth, root, request_id)
    assert rotate(auth, root, request_id) == one
    clock.advance(60)
    two = rotate(auth, root)
    tokens = []
    for _ in range(8):
        tokens.append(auth.sign_in())
        clock.advance(60)
    assert {kid(headers) for headers in tokens} > {one.key_id, two.key_id}
    for headers in [root, *tokens]:
        auth.admit(WRITE, headers)
    keys = auth.call(security_pb2.ListSigningKeysRequest(), root).signing_keys
    assert [key.key_id for key in keys][:2] == [two.key_id, one.key_id] and len(keys) == 3
    assert not keys[0].HasField("retire_time") and keys[1].retire_time == keys[0].activate_time


def test_private_keys_are_stored_encrypted_and_another_encryption_key_opens_none(auth: Auth, database: Database, clock: FakeClock) -> None:
    with database.transaction() as db:
        sealed = bytes(db.scalar(text("SELECT private_encrypted FROM signing_keys")))
        assert b"\x02\x01\x00\x30" not in sealed
        with pytest.raises(WrongEncryptionKey):
            signing_keys.load(db, KeyVault(bytes(32)), clock())


def test_a_start_with_another_encryption_key_fails(auth: Auth, start_auth: Callable[..., Auth]) -> None:
    with pytest.raises(WrongEncryptionKey):
        start_auth(key_encryption_key=SecretStr(base64.b64encode(bytes(32)).decode()))


def test_other_services_verify_identities_by_the_published_keys(auth: Auth, clock: FakeClock, user_ids: dict[str, str]) -> None:
    added = auth.admit(WRITE, auth.sign_in())
    verifier = IdentityVerifier(JwksKeySource(jwks_url(auth)), clock=lambda: clock().timestamp())
    assert verifier.verify(added["x-labelmesh-identity"]).user_id == user_ids["ada"]


def test_the_clients_own_token_is_no_identity(auth: Auth) -> None:
    token = auth.sign_in("root")["authorization"].removeprefix("Bearer ")
    with pytest.raises(MeshError) as refused:
        auth.call_inside(users_pb2.ListUsersRequest(), {"x-labelmesh-identity": token})
    assert refused.value.reason == "IDENTITY_INVALID"
    with pytest.raises(MeshError) as refused:
        auth.call_inside(users_pb2.ListUsersRequest(), {"authorization": f"Bearer {token}"})
    assert refused.value.reason == "IDENTITY_MISSING"


def events(auth: Auth, headers: Headers, **filters: Any) -> list[security_pb2.AuditEvent]:
    found: list[security_pb2.AuditEvent] = []
    token = ""
    for _ in range(100):
        page = auth.call(security_pb2.ListAuditEventsRequest(page_size=3, page_token=token, **filters), headers)
        found += page.events
        token = page.next_page_token
        if not token:
            break
    return found


def test_the_audit_log_tells_who_did_what_to_whom_and_holds_no_secret(
    auth: Auth, user_ids: dict[str, str], database: Database, clock: FakeClock
) -> None:
    root, mia, ada = auth.sign_in("root"), auth.sign_in("mia"), auth.sign_in()
    secrets = [PASSWORD, "granite-meadow-31", "lantern-quarry-58", "willow-compass-44", "wrong-guess-number-7", "i typed my password here"]
    secrets += [headers["authorization"].removeprefix("Bearer ") for headers in (root, mia, ada)]
    user = auth.call(
        users_pb2.CreateUserRequest(request_id=str(uuid.uuid4()), name="grace", password=secrets[1], role=users_pb2.ROLE_ANNOTATOR), root
    ).user
    update = users_pb2.UpdateUserRequest(user_id=user.id, role=users_pb2.ROLE_MANAGER)
    update.update_mask.paths.append("role")
    auth.call(update, root)
    auth.call(users_pb2.SetPasswordRequest(user_id=user.id, password=secrets[2]), root)
    auth.call(users_pb2.ChangePasswordRequest(old_password=PASSWORD, new_password=secrets[3]), ada)
    for name, password in (("ada", secrets[4]), (secrets[5], secrets[4])):
        with pytest.raises(MeshError):
            auth.sign_in(name, password, address="198.51.100.5")
    key = auth.new_key(mia, "labeling.read")
    secrets += [key.secret, key.secret.rpartition("_")[2]]
    auth.call(api_keys_pb2.RevokeApiKeyRequest(api_key_id=key.api_key.id), mia)
    signing_key = rotate(auth, root)
    auth.call(sessions_pb2.SignOutRequest(), ada)
    auth.call(sessions_pb2.SignOutEverywhereRequest(), mia)

    found = events(auth, root)
    ids = {name: f"user:{user_id}" for name, user_id in user_ids.items()}
    told = [(event.actor, event.action, event.target) for event in reversed(found)]
    started = [entry for entry in told if entry[1] == "session.sign_in"]
    assert [actor for actor, _, _ in started] == [ids["root"], ids["mia"], ids["ada"]]
    expected = [
        (ids["root"], "user.create", f"user:{user.id}"),
        (ids["root"], "user.update", f"user:{user.id}"),
        (ids["root"], "user.set_password", f"user:{user.id}"),
        (ids["ada"], "user.change_password", ids["ada"]),
        ("anonymous", "session.sign_in_refused", ids["ada"]),
        ("anonymous", "session.sign_in_refused", ""),
        (ids["mia"], "api_key.create", f"key:{key.api_key.id}"),
        (ids["mia"], "api_key.revoke", f"key:{key.api_key.id}"),
        (ids["root"], "signing_key.rotate", f"signing_key:{signing_key.key_id}"),
    ]
    later = [entry for entry in told if entry[0] != "system" and entry[1] != "session.sign_in"]
    assert later[: len(expected)] == expected
    assert [(actor, action) for actor, action, _ in later[len(expected) :]] == [
        (ids["ada"], "session.sign_out"),
        (ids["mia"], "session.sign_out_everywhere"),
    ]
    refused = [event for event in found if event.action == "session.sign_in_refused"]
    assert [(event.address, dict(event.details)) for event in refused] == [
        ("198.51.100.5", {"reason": "unknown name"}),
        ("198.51.100.5", {"reason": "wrong password"}),
    ]
    assert next(event for event in found if event.action == "user.update").details["role"] == "annotator -> manager"
    with database.transaction() as db:
        tables = ("audit_events", "sessions", "api_keys", "signing_keys", "sign_in_failures", "users")
        stored = " ".join(str(row) for table in tables for row in db.scalars(text(f"SELECT to_jsonb(t)::text FROM {table} AS t")))
    assert [secret for secret in secrets if secret in stored] == []


def test_the_audit_log_is_filtered_and_paged_newest_first(auth: Auth, user_ids: dict[str, str]) -> None:
    root = auth.sign_in("root")
    for _ in range(4):
        auth.sign_in()
    found = events(auth, root, actor=f"user:{user_ids['ada']}", action_prefix="session.")
    assert len(found) == 4 and [event.id for event in found] == sorted((event.id for event in found), reverse=True)
    assert events(auth, root, action_prefix="session_") == [], "an underscore is a letter, not a pattern"
    token = auth.call(security_pb2.ListAuditEventsRequest(page_size=1), root).next_page_token
    with pytest.raises(InvalidArgument):
        auth.call(security_pb2.ListAuditEventsRequest(page_token=token, actor="system"), root)


def test_security_is_for_admins(auth: Auth) -> None:
    mia = auth.sign_in("mia")
    for request in (
        security_pb2.ListAuditEventsRequest(),
        security_pb2.ListSigningKeysRequest(),
        security_pb2.RotateSigningKeyRequest(request_id=str(uuid.uuid4())),
    ):
        with pytest.raises(PermissionDenied):
            auth.call(request, mia)
    with pytest.raises(Denied):
        auth.call(security_pb2.ListAuditEventsRequest(), {})
