"""Sliding windows over failed sign-ins, in Postgres, so that they hold across replicas.

An account is refused for a delay that doubles with every failure past the limit; an address for as long as the window holds too many.
Attempts that are refused here are not counted, so nobody is kept out for longer by trying again too early.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from labelmesh_chassis.errors import ResourceExhausted
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.orm import Session as Db

from labelmesh_auth.tables import SignInFailureRow

_LOCK_CLASS = 0x6C6D7468


@dataclass(frozen=True)
class ThrottleLimits:
    """How many failures are let pass within `window`, and the account's first delay after that."""

    account_failures: int = 5
    address_failures: int = 30
    window: timedelta = timedelta(minutes=15)
    first_delay: timedelta = timedelta(seconds=30)


@dataclass(frozen=True)
class Attempt:
    """Whom an attempt is counted against. `network` is empty where the address is not known, and then only the account counts."""

    account_key: bytes
    network: str


def account_key(name: str) -> bytes:
    """What failures of an account are kept under, whether the account exists or not, without regard to case."""
    return hashlib.sha256(name.casefold().encode()).digest()


def lock(db: Db, attempt: Attempt) -> None:
    """Lets attempts at the same account or from the same network decide one after the other until the transaction ends."""
    keys = {
        int.from_bytes(hashlib.sha256(part).digest()[:4], signed=True)
        for part in (b"a" + attempt.account_key, b"n" + attempt.network.encode())
    }
    for key in sorted(keys):  # Always in one order, or two attempts could wait for each other.
        db.execute(text("SELECT pg_advisory_xact_lock(:class, :key)"), {"class": _LOCK_CLASS, "key": key})


def check(db: Db, limits: ThrottleLimits, attempt: Attempt, now: datetime) -> None:
    """Raises ResourceExhausted (SIGN_IN_THROTTLED, with the time to wait) after too many failures of the account or the network."""
    wait = max(_account_wait(db, limits, attempt, now), _network_wait(db, limits, attempt, now))
    if wait > timedelta(0):
        raise ResourceExhausted(
            "SIGN_IN_THROTTLED", "too many failed sign-ins; try again later", retry_after=max(1.0, round(wait.total_seconds(), 3))
        )


def add_failure(db: Db, limits: ThrottleLimits, attempt: Attempt, now: datetime) -> bool:
    """Counts a failure; says whether it is the one that makes the next attempt be refused."""
    db.execute(insert(SignInFailureRow).values(account_key=attempt.account_key, address=attempt.network, time=now))
    return max(_account_wait(db, limits, attempt, now), _network_wait(db, limits, attempt, now)) > timedelta(0)


def reset_account(db: Db, key: bytes) -> None:
    """Forgets the failures of an account, after it proved its password or got a new one."""
    db.execute(delete(SignInFailureRow).where(SignInFailureRow.account_key == key))


def _account_wait(db: Db, limits: ThrottleLimits, attempt: Attempt, now: datetime) -> timedelta:
    own = (SignInFailureRow.account_key == attempt.account_key, SignInFailureRow.time > now - limits.window)
    count = db.scalar(select(func.count()).select_from(SignInFailureRow).where(*own)) or 0
    if count < limits.account_failures:
        return timedelta(0)
    last = db.scalar(select(func.max(SignInFailureRow.time)).where(*own)) or now
    doublings = min(count - limits.account_failures, 20)
    delay = limits.first_delay * (1 << doublings)
    return min(delay, limits.window) - (now - last)


def _network_wait(db: Db, limits: ThrottleLimits, attempt: Attempt, now: datetime) -> timedelta:
    if not attempt.network:
        return timedelta(0)
    query = (
        select(SignInFailureRow.time)
        .where(SignInFailureRow.address == attempt.network, SignInFailureRow.time > now - limits.window)
        .order_by(SignInFailureRow.time.desc())
        .offset(limits.address_failures - 1)
        .limit(1)
    )
    oldest = db.scalar(query)
    return oldest + limits.window - now if oldest is not None else timedelta(0)
