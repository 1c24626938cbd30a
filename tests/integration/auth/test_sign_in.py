"""Sign-in: equal answers, counted work, throttles that hold against crowds, hashing that starves nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from labelmesh.auth.v1 import sessions_pb2, users_pb2
from labelmesh_auth.hashing import Argon2Parameters, HashingPool
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import InvalidArgument, MeshError, ResourceExhausted, Unauthenticated
from sqlalchemy import text

from tests.integration.auth.mesh import PASSWORD, WRITE, Auth, Denied, FakeClock

WRONG = "not-the-password-1"


def failure(auth: Auth, name: str = "ada", password: str = WRONG, address: str = "203.0.113.7") -> MeshError:
    with pytest.raises(MeshError) as raised:
        auth.sign_in(name, password, address=address)
    return raised.value


def disable(database: Database, name: str) -> None:
    with database.transaction() as db:
        db.execute(text("UPDATE users SET disabled = true WHERE name = :name"), {"name": name})


def test_unknown_name_wrong_password_and_disabled_account_get_the_same_answer_for_the_same_work(auth: Auth, database: Database) -> None:
    disable(database, "mia")
    answers, runs = set(), []
    for name, password in (("nobody", PASSWORD), ("ada", WRONG), ("mia", PASSWORD), ("mia", WRONG)):
        before = auth.hash_runs()
        error = failure(auth, name, password)
        runs.append(auth.hash_runs() - before)
        answers.add((type(error), error.reason, error.message, tuple(error.metadata.items()), error.violations))
    assert answers == {(Unauthenticated, "WRONG_CREDENTIALS", "the name or the password is wrong", (), ())}
    assert runs == [1, 1, 1, 1]


def test_the_sixth_failure_in_a_row_is_throttled_without_any_hashing_whether_the_account_exists_or_not(auth: Auth) -> None:
    for name in ("ada", "nobody"):
        assert [failure(auth, name).reason for _ in range(5)] == ["WRONG_CREDENTIALS"] * 5
        before = auth.hash_runs()
        error = failure(auth, name, PASSWORD)
        assert (type(error), error.reason, error.retry_after) == (ResourceExhausted, "SIGN_IN_THROTTLED", 30)
        assert auth.hash_runs() == before


def test_the_delay_doubles_with_every_further_failure_and_the_window_slides(auth: Auth, clock: FakeClock) -> None:
    for _ in range(5):
        failure(auth)
    for delay in (30, 60, 120):
        assert failure(auth).retry_after == delay
        clock.advance(delay - 1)
        assert failure(auth).retry_after == 1
        clock.advance(1)
        assert failure(auth).reason == "WRONG_CREDENTIALS"
    clock.advance(901)
    assert [failure(auth).reason for _ in range(5)] == ["WRONG_CREDENTIALS"] * 5


def test_a_right_password_after_the_delay_signs_in_and_forgets_the_failures(auth: Auth, clock: FakeClock) -> None:
    for _ in range(5):
        failure(auth)
    clock.advance(31)
    auth.sign_in()
    assert [failure(auth).reason for _ in range(5)] == ["WRONG_CREDENTIALS"] * 5


def test_an_address_is_throttled_over_all_accounts_and_other_addresses_are_not(auth: Auth, clock: FakeClock) -> None:
    for number in range(30):
        assert failure(auth, f"name{number}").reason == "WRONG_CREDENTIALS"
    throttled = failure(auth, "ada", PASSWORD)
    assert (throttled.reason, throttled.retry_after) == ("SIGN_IN_THROTTLED", 900)
    auth.sign_in(address="198.51.100.1")
    clock.advance(901)
    auth.sign_in()


def test_addresses_of_one_ipv6_network_count_together(start_auth: Callable[..., Auth]) -> None:
    auth = start_auth(sign_in_address_failures=2)
    failure(auth, "a1", address="2001:db8:1:2::1")
    failure(auth, "a2", address="2001:db8:1:2:ffff::9")
    assert failure(auth, "a3", address="2001:db8:1:2::77").reason == "SIGN_IN_THROTTLED"
    auth.sign_in(address="2001:db8:1:3::1")


def test_throttles_hold_across_replicas(start_auth: Callable[..., Auth]) -> None:
    first, second = start_auth(), start_auth()
    for replica in (first, second, first, second, first):
        failure(replica)
    assert failure(second, "ada", PASSWORD).reason == "SIGN_IN_THROTTLED"


def test_guessing_many_passwords_at_once_gets_no_more_answers_than_one_at_a_time(start_auth: Callable[..., Auth]) -> None:
    auth = start_auth(password_hash_workers=4, password_hash_queue=24)
    with ThreadPoolExecutor(20) as pool:
        reasons = list(pool.map(lambda number: failure(auth, "ada", f"guess-number-{number}").reason, range(20)))
    assert reasons.count("WRONG_CREDENTIALS") == 5
    assert reasons.count("SIGN_IN_THROTTLED") == 15


def test_many_people_signing_in_to_one_account_at_once_are_not_throttled(start_auth: Callable[..., Auth]) -> None:
    auth = start_auth(password_hash_workers=4, password_hash_queue=24)
    with ThreadPoolExecutor(16) as pool:
        sessions = list(pool.map(lambda _: auth.sign_in_reply().session.id, range(16)))
    assert len(set(sessions)) == 16


def test_a_wrong_old_password_counts_towards_the_throttle_and_names_the_field(auth: Auth) -> None:
    headers = auth.sign_in()
    request = users_pb2.ChangePasswordRequest(old_password=WRONG, new_password="another-harbour-17")
    for _ in range(5):
        with pytest.raises(InvalidArgument) as wrong:
            auth.call(request, headers)
        assert [(violation.field, violation.reason) for violation in wrong.value.violations] == [("old_password", "WRONG_PASSWORD")]
    assert failure(auth, "ada", PASSWORD).reason == "SIGN_IN_THROTTLED"
    with pytest.raises(ResourceExhausted):
        auth.call(request, headers)


def test_checks_go_on_while_more_sign_ins_come_than_can_be_hashed_and_the_surplus_is_refused_at_once(
    start_auth: Callable[..., Auth],
) -> None:
    auth = start_auth(password_hash_workers=1, password_hash_queue=4, worker_threads=12)
    headers = auth.sign_in()
    stopping = threading.Event()
    reasons: list[str] = []
    slowest = 0.0

    def keep_signing_in(number: int) -> None:
        deadline = time.monotonic() + 20
        while not stopping.is_set() and time.monotonic() < deadline:
            try:
                auth.sign_in(address=f"198.51.100.{number}")
                reasons.append("OK")
            except ResourceExhausted as refused:
                reasons.append(refused.reason)
                time.sleep(0.01)

    with ThreadPoolExecutor(20) as crowd:
        for number in range(20):
            crowd.submit(keep_signing_in, number)
        deadline = time.monotonic() + 20
        while reasons.count("PASSWORD_HASHING_BUSY") < 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in range(100):
            started = time.perf_counter()
            auth.admit(WRITE, headers)
            slowest = max(slowest, time.perf_counter() - started)
        stopping.set()
    assert set(reasons) == {"OK", "PASSWORD_HASHING_BUSY"}
    assert slowest < 2, "Envoy gives a check two seconds"


def test_a_hash_of_older_parameters_is_replaced_at_the_next_sign_in(auth: Auth, database: Database) -> None:
    old = HashingPool(workers=1, queue=0, parameters=Argon2Parameters(memory_kib=8192, passes=1))
    with database.transaction() as db:
        db.execute(text("UPDATE users SET password_hash = :hash WHERE name = 'ada'"), {"hash": old.hash(PASSWORD)})
    old.close()
    auth.sign_in()
    with database.transaction() as db:
        stored = db.scalar(text("SELECT password_hash FROM users WHERE name = 'ada'"))
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    auth.sign_in()


@pytest.mark.parametrize(
    ("request_message", "field"),
    [
        (sessions_pb2.SignInRequest(password=PASSWORD), "name"),
        (sessions_pb2.SignInRequest(name="ada"), "password"),
        (sessions_pb2.SignInRequest(name="a" * 10_000_000, password=PASSWORD), "name"),
        (sessions_pb2.SignInRequest(name="ada", password="p" * 257), "password"),
    ],
    ids=["no name", "no password", "a name of 10 MB", "a long password"],
)
def test_bad_input_is_refused_with_the_fields_name(auth: Auth, request_message: sessions_pb2.SignInRequest, field: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        auth.call(request_message)
    assert [violation.field for violation in raised.value.violations] == [field]


def test_a_name_that_cannot_be_stored_is_refused_as_invalid(auth: Auth) -> None:
    error = failure(auth, "ada\x00")
    assert (type(error), error.reason) == (InvalidArgument, "TEXT_INVALID")


def test_the_sign_in_time_is_kept(auth: Auth, clock: FakeClock) -> None:
    auth.sign_in()
    clock.advance(60)
    user = auth.sign_in_reply().session.user
    assert user.last_sign_in_time.ToSeconds() == int(clock().timestamp())
    assert user.name == "ada"


def test_a_sign_in_is_refused_where_its_path_is_not_the_contracts(auth: Auth) -> None:
    with pytest.raises(Denied):
        auth.admit("/labelmesh.auth.v1.SessionService/SignInn")
