"""Sessions: alive exactly as long as promised, and dead on the very next call."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from labelmesh.auth.v1 import sessions_pb2, users_pb2
from labelmesh_chassis.database import Database
from sqlalchemy import text

from tests.integration.auth.mesh import OPEN, READ, WRITE, Auth, Denied, FakeClock, cookie


def refusal(auth: Auth, headers: dict[str, str] | None, path: str = WRITE) -> str:
    with pytest.raises(Denied) as denied:
        auth.admit(path, headers)
    return denied.value.reason


def test_a_session_idle_for_119_seconds_lives_and_one_idle_for_121_is_over(auth: Auth, clock: FakeClock) -> None:
    headers = auth.sign_in()
    for _ in range(3):
        clock.advance(119)
        assert "x-labelmesh-identity" in auth.admit(WRITE, headers)
    clock.advance(121)
    assert refusal(auth, headers) == "SESSION_ENDED"
    clock.advance(-60)
    assert "x-labelmesh-identity" in auth.admit(WRITE, headers), "a refused check must not have written anything"


def test_a_session_idle_for_exactly_its_timeout_is_over(auth: Auth, clock: FakeClock) -> None:
    headers = auth.sign_in()
    clock.advance(120)
    assert refusal(auth, headers) == "SESSION_ENDED"


def test_the_idle_timeout_is_a_setting(start_auth: Callable[..., Auth], clock: FakeClock) -> None:
    auth = start_auth(session_idle_seconds=600)
    headers = auth.sign_in()
    clock.advance(599)
    auth.admit(WRITE, headers)
    clock.advance(600)
    assert refusal(auth, headers) == "SESSION_ENDED"


def test_passive_calls_are_let_through_and_never_keep_a_session_alive(auth: Auth, clock: FakeClock) -> None:
    headers = auth.sign_in()
    passive = (READ, "/labelmesh.labeling.v1.AnnotationService/LeaseImage", "/labelmesh.auth.v1.SessionService/GetSession")
    for seconds in (40, 40, 39):
        clock.advance(seconds)
        for path in passive:
            auth.admit(path, headers)
    clock.advance(2)
    for path in passive:
        assert refusal(auth, headers, path) == "SESSION_ENDED"


def test_reported_activity_keeps_a_session_alive_and_is_seen_in_it(auth: Auth, clock: FakeClock) -> None:
    headers = auth.sign_in()
    for _ in range(10):
        clock.advance(100)
        session = auth.call(sessions_pb2.ReportActivityRequest(), headers).session
        assert session.last_activity_time.ToSeconds() == int(clock().timestamp())
        assert session.idle_timeout.seconds == 120


def test_a_session_ends_at_its_absolute_end_however_active_it_is(start_auth: Callable[..., Auth], clock: FakeClock) -> None:
    auth = start_auth(session_absolute_seconds=600)
    headers = auth.sign_in()
    for _ in range(5):
        clock.advance(100)
        auth.admit(WRITE, headers)
    clock.advance(99)
    auth.admit(WRITE, headers)
    clock.advance(1)
    assert refusal(auth, headers) == "SESSION_ENDED"


def test_the_absolute_end_is_kept_by_the_session_itself_not_only_by_its_token(auth: Auth, clock: FakeClock, database: Database) -> None:
    headers = auth.sign_in()
    with database.transaction() as db:
        db.execute(text("UPDATE sessions SET end_time = :now"), {"now": clock()})
    assert refusal(auth, headers) == "SESSION_ENDED"


def test_a_signed_out_session_fails_on_its_very_next_call(auth: Auth) -> None:
    headers, other = auth.sign_in(), auth.sign_in()
    auth.call(sessions_pb2.SignOutRequest(), headers)
    for path in (WRITE, READ):
        assert refusal(auth, headers, path) == "SESSION_REVOKED"
    auth.admit(WRITE, other)


def test_a_session_signed_out_at_one_replica_fails_at_the_other(start_auth: Callable[..., Auth]) -> None:
    first, second = start_auth(), start_auth()
    headers = first.sign_in()
    second.admit(WRITE, headers)
    first.call(sessions_pb2.SignOutRequest(), headers)
    assert refusal(second, headers) == "SESSION_REVOKED"


def test_sign_out_everywhere_ends_all_sessions_of_the_account_and_no_others(auth: Auth, clock: FakeClock) -> None:
    idle = auth.sign_in()
    clock.advance(121)
    mine = [auth.sign_in() for _ in range(3)]
    other = auth.sign_in("mia")
    assert auth.call(sessions_pb2.SignOutEverywhereRequest(), mine[0]).ended_count == 3
    assert {refusal(auth, headers) for headers in [idle, *mine]} == {"SESSION_REVOKED"}
    auth.admit(WRITE, other)


def test_disabling_an_account_ends_its_sessions_at_once_and_for_good(auth: Auth, user_ids: dict[str, str]) -> None:
    headers, root = auth.sign_in(), auth.sign_in("root")
    change = users_pb2.UpdateUserRequest(user_id=user_ids["ada"], disabled=True)
    change.update_mask.paths.append("disabled")
    auth.call(change, root)
    assert refusal(auth, headers) == "SESSION_REVOKED"
    change.disabled = False
    auth.call(change, root)
    assert refusal(auth, headers) == "SESSION_REVOKED"
    auth.admit(WRITE, auth.sign_in())


def test_a_disabled_account_is_refused_even_where_its_session_was_not_revoked(auth: Auth, database: Database) -> None:
    headers = auth.sign_in()
    with database.transaction() as db:
        db.execute(text("UPDATE users SET disabled = true WHERE name = 'ada'"))
    assert refusal(auth, headers) == "SESSION_REVOKED"
    assert refusal(auth, headers, READ) == "SESSION_REVOKED"


def test_a_cookie_session_signs_in_without_showing_the_token_and_works(auth: Auth) -> None:
    request = sessions_pb2.SignInRequest(name="ADA", password="violet-harbour-92", use_cookie=True)
    reply, metadata = auth.call_with_metadata(request)
    assert reply.token == ""
    set_cookie = metadata["set-cookie"]
    name_value, *attributes = set_cookie.split("; ")
    assert set(attributes) == {"Max-Age=43200", "Path=/", "HttpOnly", "SameSite=Strict", "Secure"}
    headers = cookie(name_value.removeprefix("labelmesh_session="))
    auth.admit(WRITE, headers)
    _, metadata = auth.call_with_metadata(sessions_pb2.SignOutRequest(), headers)
    assert metadata["set-cookie"].startswith("labelmesh_session=; Max-Age=0;")


def test_a_dead_cookie_is_taken_away_and_a_dead_bearer_token_is_just_refused(auth: Auth) -> None:
    headers = auth.sign_in()
    auth.call(sessions_pb2.SignOutRequest(), headers)
    with pytest.raises(Denied) as denied:
        auth.admit(WRITE, cookie(headers["authorization"].removeprefix("Bearer ")))
    assert denied.value.headers["set-cookie"].startswith("labelmesh_session=; Max-Age=0;")
    with pytest.raises(Denied) as denied:
        auth.admit(WRITE, headers)
    assert "set-cookie" not in denied.value.headers


def test_open_methods_need_no_credentials_and_get_no_identity(auth: Auth) -> None:
    response = auth.check(OPEN, {"authorization": "Bearer nonsense"})
    assert response.WhichOneof("http_response") == "ok_response"
    assert not response.ok_response.headers
    assert set(response.ok_response.headers_to_remove) == {"authorization", "cookie", "x-api-key"}


def test_activity_of_one_replica_whose_clock_is_behind_does_not_turn_back_the_session(auth: Auth, clock: FakeClock) -> None:
    headers = auth.sign_in()
    clock.advance(100)
    auth.admit(WRITE, headers)
    clock.advance(-50)
    auth.admit(WRITE, headers)
    clock.advance(50 + 119)
    auth.admit(WRITE, headers)
