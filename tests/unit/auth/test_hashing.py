"""The bounded pool: what it hashes, and what it refuses."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from labelmesh_auth.hashing import Argon2Parameters, HashingPool
from labelmesh_chassis.errors import ResourceExhausted

FAST = Argon2Parameters(memory_kib=8, passes=1)


@pytest.fixture
def open_pool() -> Iterator[Callable[..., HashingPool]]:
    opened: list[HashingPool] = []

    def open_one(
        *, workers: int = 1, queue: int = 0, parameters: Argon2Parameters = FAST, observe: Callable[[float], None] | None = None
    ) -> HashingPool:
        opened.append(HashingPool(workers=workers, queue=queue, parameters=parameters, observe=observe or (lambda _: None)))
        return opened[-1]

    yield open_one
    for pool in opened:
        pool.close()


def test_a_hash_is_argon2id_of_the_parameters_and_verifies_its_password_alone(open_pool: Callable[..., HashingPool]) -> None:
    pool = open_pool(parameters=Argon2Parameters())
    made = pool.hash("violet-harbour-92")
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert pool.verify(made, "violet-harbour-92")
    assert not pool.verify(made, "violet-harbour-93")
    assert pool.hash("violet-harbour-92") != made


def test_nobodys_password_is_verified_like_anybodys_and_never_matches(open_pool: Callable[..., HashingPool]) -> None:
    runs: list[float] = []
    pool = open_pool(observe=runs.append)
    for password in ("violet-harbour-92", "nobody's password\N{SNOWMAN}"):
        assert not pool.verify(None, password)
    assert len(runs) == 2


def test_a_damaged_hash_matches_nothing(open_pool: Callable[..., HashingPool]) -> None:
    assert not open_pool().verify("$argon2id$nonsense", "x")


def test_hashes_of_other_parameters_are_due_for_a_new_one(open_pool: Callable[..., HashingPool]) -> None:
    old, new = open_pool(), open_pool(parameters=Argon2Parameters(memory_kib=16, passes=1))
    assert new.needs_rehash(old.hash("x")) and not new.needs_rehash(new.hash("x"))


def test_more_than_workers_and_queue_is_refused_at_once_and_room_comes_back(open_pool: Callable[..., HashingPool]) -> None:
    hold = threading.Event()
    pool = open_pool(workers=2, queue=1, observe=lambda _: hold.wait(20))

    def attempt(_number: int) -> str:
        try:
            return pool.hash("x")[:10]
        except ResourceExhausted as refused:
            return f"{refused.reason} {refused.retry_after}"

    with ThreadPoolExecutor(10) as callers:
        attempts = [callers.submit(attempt, number) for number in range(10)]
        # Nobody is done before `hold`, so the first seven to end are those that were refused.
        refused = [future.result() for future in itertools.islice(as_completed(attempts, timeout=10), 7)]
        hold.set()
        ended = [future.result(10) for future in attempts]
    assert refused == ["PASSWORD_HASHING_BUSY 1"] * 7
    assert ended.count("$argon2id$") == 3
    assert pool.hash("z").startswith("$argon2id$")
