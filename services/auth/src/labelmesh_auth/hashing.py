"""argon2id in a bounded pool: hashing is 70 ms of a core and 19 MiB each, so it must never take all threads that serve calls.

Parameters: OWASP's password storage cheat sheet, first choice for argon2id with 19 MiB (RFC 9106 describes the function).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError
from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.errors import DeadlineExceeded, ResourceExhausted

from labelmesh_auth.password_policy import normalized

_LONGEST_WAIT_S = 30.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class Argon2Parameters:
    """Memory in KiB, passes, lanes."""

    memory_kib: int = 19 * 1024
    passes: int = 2
    lanes: int = 1


def _ignore(_seconds: float) -> None:
    """The default observer."""


class HashingPool:
    """Hashes and verifies passwords on `workers` threads; at most `queue` more may wait.

    Every method raises ResourceExhausted (PASSWORD_HASHING_BUSY, with RetryInfo) when the queue is full, at once and without hashing,
    and DeadlineExceeded when the call being served has no time left. `observe` gets the seconds of every run.
    """

    def __init__(
        self, *, workers: int, queue: int, parameters: Argon2Parameters | None = None, observe: Callable[[float], None] = _ignore
    ) -> None:
        chosen = parameters or Argon2Parameters()
        self._hasher = argon2.PasswordHasher(
            time_cost=chosen.passes, memory_cost=chosen.memory_kib, parallelism=chosen.lanes, hash_len=32, salt_len=16
        )
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="hash")
        self._room = threading.BoundedSemaphore(workers + queue)
        self._observe = observe
        # Of a password that nobody has: verified where there is no account, so that an unknown name takes as long as a known one.
        self._nobodys_hash = self._hasher.hash("nobody's password\N{SNOWMAN}")

    def hash(self, password: str) -> str:
        """The hash to store, with its parameters and salt in it (PHC string)."""
        text = normalized(password)
        return self._run(lambda: self._hasher.hash(text))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password belongs to the hash. None is verified too, in the same time, and never matches."""
        text = normalized(password)
        return self._run(lambda: self._matches(password_hash or self._nobodys_hash, text)) and password_hash is not None

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Ends the threads; what waits is given up."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _matches(self, password_hash: str, text: str) -> bool:
        try:
            return self._hasher.verify(password_hash, text)
        except (VerificationError, InvalidHashError):
            return False

    def _run(self, work: Callable[[], Result]) -> Result:
        if not self._room.acquire(blocking=False):
            raise ResourceExhausted("PASSWORD_HASHING_BUSY", "too many sign-ins at once; try again in a moment", retry_after=1)
        try:
            future = self._pool.submit(self._timed, work)
        except BaseException:
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        left = time_left()
        try:
            return future.result(_LONGEST_WAIT_S if left is None else left)
        except (TimeoutError, CancelledError) as failure:
            future.cancel()
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "the call took longer than it may") from failure

    def _timed(self, work: Callable[[], Result]) -> Result:
        started = time.perf_counter()
        try:
            return work()
        finally:
            self._observe(time.perf_counter() - started)
