"""Auth's figures: how sign-ins end, which sessions are alive, how old the signing key is, how long checks take."""

from __future__ import annotations

import pytest
from labelmesh.auth.v1 import sessions_pb2
from labelmesh_auth.measures import look
from labelmesh_auth.sessions import SessionLimits
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import ResourceExhausted, Unauthenticated

from tests.integration.auth.mesh import Auth, FakeClock


def active(database: Database, clock: FakeClock) -> float:
    (reading,) = look(database, SessionLimits(), clock)
    return reading.value


def test_sessions_that_were_ended_or_have_ended_are_not_counted(auth: Auth, database: Database, clock: FakeClock) -> None:
    assert active(database, clock) == 0
    first = auth.sign_in()
    auth.sign_in("mia")
    assert active(database, clock) == 2
    auth.call(sessions_pb2.SignOutRequest(), first)
    assert active(database, clock) == 1
    clock.advance(121)
    assert active(database, clock) == 0


def test_sign_ins_are_counted_by_how_they_end(auth: Auth) -> None:
    auth.sign_in()
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            auth.sign_in("mia", "wrong")
    with pytest.raises(ResourceExhausted):
        auth.sign_in("mia")
    counted = {outcome: auth.metric(f'labelmesh_auth_sign_ins_total{{outcome="{outcome}"}}') for outcome in ("OK", "WRONG_CREDENTIALS")}
    assert counted == {"OK": 1, "WRONG_CREDENTIALS": 5}
    assert auth.metric('labelmesh_auth_sign_ins_total{outcome="SIGN_IN_THROTTLED"}') == 1


def test_the_age_of_the_key_that_signs_grows(auth: Auth, clock: FakeClock) -> None:
    before = auth.metric("labelmesh_auth_signing_key_age_seconds")
    clock.advance(1000)
    assert auth.metric("labelmesh_auth_signing_key_age_seconds") == pytest.approx(before + 1000, abs=1)


def test_every_check_is_timed_by_what_the_caller_showed(auth: Auth) -> None:
    headers = auth.sign_in()
    auth.call(sessions_pb2.GetSessionRequest(), headers)
    assert auth.metric('labelmesh_auth_check_seconds_count{credential="bearer"}') == 1
    assert auth.metric('labelmesh_auth_check_seconds_count{credential="none"}') == 1
