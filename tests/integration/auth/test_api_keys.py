"""API keys of machine clients."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from labelmesh.auth.v1 import api_keys_pb2, sessions_pb2, users_pb2
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied
from sqlalchemy import text

from tests.integration.auth.mesh import READ, WRITE, Auth, Denied, FakeClock

Headers = dict[str, str]
PRIORITIES = "/labelmesh.labeling.v1.ImageService/StreamPriorities"


@pytest.fixture
def mia(auth: Auth) -> Headers:
    return auth.sign_in("mia")


def refusal(auth: Auth, headers: Headers, path: str = READ) -> str:
    with pytest.raises(Denied) as denied:
        auth.admit(path, headers)
    return denied.value.reason


def identity(auth: Auth, headers: Headers, path: str = READ) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(auth.admit(path, headers)["x-labelmesh-identity"], options={"verify_signature": False})
    return claims


def header(reply: api_keys_pb2.CreateApiKeyResponse) -> Headers:
    return {"x-api-key": reply.secret}


def at(clock: FakeClock, **later: float) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(clock() + timedelta(**later))
    return time


def test_a_key_opens_the_methods_of_its_scopes_and_no_others(auth: Auth, mia: Headers, user_ids: dict[str, str]) -> None:
    reply = auth.new_key(mia, "labeling.read", "labeling.prioritize")
    claims = identity(auth, header(reply), PRIORITIES)
    assert (claims["sub"], claims["uid"], claims["role"]) == (f"key:{reply.api_key.id}", user_ids["mia"], "manager")
    assert claims["scopes"] == ["labeling.prioritize", "labeling.read"] and "sid" not in claims
    auth.admit(READ, header(reply))
    with pytest.raises(Denied) as denied:
        auth.admit(WRITE, header(reply))
    assert (denied.value.code, denied.value.http_status, denied.value.reason) == (7, 403, "SCOPE_MISSING")


def test_methods_without_a_scope_are_closed_to_every_key(auth: Auth) -> None:
    key = header(auth.new_key(auth.sign_in("root"), "labeling.read", "labeling.annotate", "labeling.manage"))
    for request in (users_pb2.ListUsersRequest(), sessions_pb2.SignOutRequest(), api_keys_pb2.ListApiKeysRequest()):
        with pytest.raises(Denied) as denied:
            auth.call(request, key)
        assert denied.value.reason == "API_KEY_NOT_ALLOWED"


def test_a_keys_identity_administers_nothing_even_past_the_edge(auth: Auth) -> None:
    added = auth.admit(READ, header(auth.new_key(auth.sign_in("root"), "labeling.read")))
    for request in (users_pb2.ListUsersRequest(), sessions_pb2.SignOutRequest(), api_keys_pb2.ListApiKeysRequest()):
        with pytest.raises(PermissionDenied) as denied:
            auth.call_inside(request, added)
        assert denied.value.reason == "SESSION_REQUIRED"


def test_a_key_has_no_idle_timeout(auth: Auth, mia: Headers, clock: FakeClock) -> None:
    key = header(auth.new_key(mia, "labeling.annotate"))
    clock.advance(30 * 86_400)
    auth.admit(WRITE, key)


def test_a_revoked_key_fails_on_its_very_next_call_at_every_replica(start_auth: Callable[..., Auth]) -> None:
    first, second = start_auth(), start_auth()
    mia = first.sign_in("mia")
    reply = first.new_key(mia, "labeling.read")
    second.admit(READ, header(reply))
    request = api_keys_pb2.RevokeApiKeyRequest(api_key_id=reply.api_key.id)
    revoked = first.call(request, mia).api_key
    assert refusal(second, header(reply)) == "API_KEY_REVOKED"
    assert first.call(request, mia).api_key.revoke_time == revoked.revoke_time, "revoking again changes nothing"


def test_an_expired_key_is_refused_from_its_very_second(auth: Auth, mia: Headers, clock: FakeClock) -> None:
    key = header(auth.new_key(mia, "labeling.read", expire_time=at(clock, seconds=100)))
    clock.advance(99)
    auth.admit(READ, key)
    clock.advance(1)
    assert refusal(auth, key) == "API_KEY_EXPIRED"


def test_a_key_can_do_no_more_than_its_owner(auth: Auth, mia: Headers, database: Database) -> None:
    key = header(auth.new_key(mia, "labeling.read"))
    bound = header(auth.new_key(mia, "labeling.read", project_ids=[str(uuid.uuid4())]))
    assert identity(auth, key)["all_projects"] is True
    project = str(uuid.uuid4())
    with database.transaction() as db:
        db.execute(text("UPDATE users SET role = 'annotator', project_ids = ARRAY[:id]::uuid[] WHERE name = 'mia'"), {"id": project})
    claims = identity(auth, key)
    assert (claims["role"], claims["all_projects"], claims["projects"]) == ("annotator", False, [project])
    assert identity(auth, bound)["projects"] == [str(uuid.UUID(int=0))], "bound to what its owner may not see: nothing, not everything"
    with database.transaction() as db:
        db.execute(text("UPDATE users SET disabled = true WHERE name = 'mia'"))
    assert refusal(auth, key) == "ACCOUNT_DISABLED"


def test_a_key_bound_to_projects_sees_those_alone(auth: Auth, mia: Headers) -> None:
    projects = sorted(str(uuid.uuid4()) for _ in range(2))
    claims = identity(auth, header(auth.new_key(mia, "labeling.read", project_ids=projects)))
    assert (claims["all_projects"], claims["projects"]) == (False, projects)


def test_what_is_no_key_is_refused(auth: Auth, mia: Headers) -> None:
    secret = auth.new_key(mia, "labeling.read").secret
    for wrong in (secret[:-1], secret + "A", secret.replace("lmk_", "xxx_"), "lmk_00000000_" + "A" * 43, "é", "x" * 30_000):
        assert refusal(auth, {"x-api-key": wrong}) == "API_KEY_INVALID"


def test_a_key_counts_before_a_token_and_a_cookie(auth: Auth, mia: Headers) -> None:
    reply = auth.new_key(mia, "labeling.read")
    both = {**mia, **header(reply)}
    assert identity(auth, both)["sub"].startswith("key:")
    assert refusal(auth, {**mia, "x-api-key": "lmk_nonsense"}) == "API_KEY_INVALID"


def test_only_the_hash_of_a_key_is_stored_and_it_has_256_random_bits(auth: Auth, mia: Headers, database: Database) -> None:
    reply = auth.new_key(mia, "labeling.read")
    assert reply.secret.startswith(reply.api_key.prefix) and len(reply.secret) - len("lmk_00000000_") == 43
    with database.transaction() as db:
        row = db.execute(text("SELECT to_jsonb(k) AS row, secret_hash FROM api_keys AS k")).one()
    assert bytes(row.secret_hash) == hashlib.sha256(reply.secret.encode()).digest()
    assert reply.secret not in str(row.row) and reply.secret[13:] not in str(row.row)


def test_a_repeated_request_makes_no_second_key_and_shows_no_secret_again(auth: Auth, mia: Headers) -> None:
    request = api_keys_pb2.CreateApiKeyRequest(request_id=str(uuid.uuid4()), display_name="robot", scopes=["labeling.read"])
    auth.call(request, mia)
    with pytest.raises(AlreadyExists) as refused:
        auth.call(request, mia)
    assert refused.value.reason == "API_KEY_EXISTS"
    assert len(auth.call(api_keys_pb2.ListApiKeysRequest(), mia).api_keys) == 1


def test_bad_input_names_its_field(auth: Auth, mia: Headers, clock: FakeClock) -> None:
    good = {"request_id": str(uuid.uuid4()), "display_name": "robot", "scopes": ["labeling.read"]}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin"]}, "scopes[0]"),
        ({"expire_time": at(clock, seconds=-1)}, "expire_time"),
        ({"expire_time": Timestamp(seconds=10**15)}, "expire_time"),
        ({"display_name": ""}, "display_name"),
        ({"request_id": ""}, "request_id"),
    ]
    for changes, field in cases:
        with pytest.raises(InvalidArgument) as raised:
            auth.call(api_keys_pb2.CreateApiKeyRequest(**{**good, **changes}), mia)
        assert {violation.field for violation in raised.value.violations} == {field}
    assert not auth.call(api_keys_pb2.ListApiKeysRequest(), mia).api_keys


def test_annotators_have_no_keys_managers_see_their_own_and_admins_all(auth: Auth, mia: Headers) -> None:
    with pytest.raises(PermissionDenied):
        auth.new_key(auth.sign_in(), "labeling.read")
    root = auth.sign_in("root")
    mine, theirs = auth.new_key(mia, "labeling.read").api_key, auth.new_key(root, "labeling.read").api_key
    assert [key.id for key in auth.call(api_keys_pb2.ListApiKeysRequest(), mia).api_keys] == [mine.id]
    assert {key.id for key in auth.call(api_keys_pb2.ListApiKeysRequest(), root).api_keys} == {mine.id, theirs.id}
    with pytest.raises(NotFound):
        auth.call(api_keys_pb2.RevokeApiKeyRequest(api_key_id=theirs.id), mia)
    assert auth.call(api_keys_pb2.RevokeApiKeyRequest(api_key_id=mine.id), root).api_key.HasField("revoke_time")


def test_keys_are_listed_newest_first_in_pages(auth: Auth, mia: Headers, clock: FakeClock) -> None:
    made = []
    for number in range(7):
        made.append(auth.new_key(mia, "labeling.read").api_key.id)
        clock.advance(1 if number % 2 else 0)
        auth.admit(WRITE, mia)
    seen: list[str] = []
    token = ""
    for _ in range(10):
        page = auth.call(api_keys_pb2.ListApiKeysRequest(page_size=2, page_token=token), mia)
        seen += [key.id for key in page.api_keys]
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == sorted(made) and seen[0] == made[-1]
    assert set(seen[-2:]) == set(made[:2])


def test_the_last_use_is_known_to_within_a_minute_without_a_write_for_every_call(
    auth: Auth, mia: Headers, clock: FakeClock, database: Database
) -> None:
    reply = auth.new_key(mia, "labeling.read")

    def last_use() -> int:
        with database.transaction() as db:
            return int(db.scalar(text("SELECT extract(epoch FROM last_use_time)::bigint FROM api_keys")) or 0)

    start = int(clock().timestamp())
    assert last_use() == 0
    seen = []
    for _ in range(5):
        auth.admit(READ, header(reply))
        seen.append(last_use() - start)
        clock.advance(30)
    assert seen == [0, 0, 60, 60, 120]
