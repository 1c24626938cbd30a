"""Proving a password: for a sign-in and before changing it.

Two short transactions with the hashing between them, and none around it: a proof may wait for the hashing pool, and must not hold a
connection meanwhile. The second transaction decides alone, with attempts at the same account or from the same network one after the
other: what comes too late for the limit is refused whether the password was right or not, so guessing many at once gains nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import InvalidArgument, MeshError, Unauthenticated
from sqlalchemy import select, update
from sqlalchemy.orm import Session as Db

from labelmesh_auth import accounts, audit, sessions, throttle
from labelmesh_auth.accounts import StoredPassword, User
from labelmesh_auth.addresses import throttle_network
from labelmesh_auth.audit import Actor
from labelmesh_auth.clock import Clock
from labelmesh_auth.hashing import HashingPool
from labelmesh_auth.password_policy import check_password
from labelmesh_auth.sessions import Session, SessionLimits
from labelmesh_auth.tables import UserRow
from labelmesh_auth.throttle import Attempt, ThrottleLimits


@dataclass(frozen=True)
class SignedIn:
    """A session that has just begun, and whose it is."""

    session: Session
    user: User


class Credentials:
    """Sign-in and the passwords of accounts. It opens its own transactions (see above).

    `signed_in` is told how every sign-in ended: OK, or the reason of the refusal.
    """

    def __init__(
        self,
        database: Database,
        hashing: HashingPool,
        limits: ThrottleLimits,
        session_limits: SessionLimits,
        clock: Clock,
        signed_in: Callable[[str], None],
    ) -> None:
        self._database = database
        self._hashing = hashing
        self._limits = limits
        self._session_limits = session_limits
        self._clock = clock
        self._signed_in = signed_in

    def sign_in(self, name: str, password: str, address: str) -> SignedIn:
        """Starts a session.

        Unauthenticated (WRONG_CREDENTIALS) for an unknown name, a wrong password and a disabled account alike, after the same work;
        ResourceExhausted (SIGN_IN_THROTTLED or PASSWORD_HASHING_BUSY, with RetryInfo).
        """
        try:
            signed_in = self._sign_in(name, password, address)
        except MeshError as refusal:
            self._signed_in(refusal.reason)
            raise
        self._signed_in("OK")
        return signed_in

    def _sign_in(self, name: str, password: str, address: str) -> SignedIn:
        attempt = Attempt(throttle.account_key(name), throttle_network(address))
        with self._database.transaction() as db:
            throttle.check(db, self._limits, attempt, self._clock())
            stored = accounts.find_password(db, name)
        matches = self._hashing.verify(stored.password_hash if stored is not None else None, password)
        usable = stored if stored is not None and matches and not stored.disabled else None
        rehashed = self._hashing.hash(password) if usable is not None and self._hashing.needs_rehash(usable.password_hash) else None
        with self._database.transaction() as db:
            now = self._clock()
            throttle.lock(db, attempt)
            throttle.check(db, self._limits, attempt, now)
            user = _confirm(db, usable, rehashed, now) if usable is not None else None
            if user is not None:
                throttle.reset_account(db, attempt.account_key)
                session = sessions.start(db, user.id, address, self._session_limits, now)
                audit.record(db, Actor(f"user:{user.id}", address), "session.sign_in", f"session:{session.id}", now)
                return SignedIn(session, user)
            self._refuse(db, attempt, stored, address, matches, now)
        # Raised after the transaction, which keeps the failure.
        raise Unauthenticated("WRONG_CREDENTIALS", "the name or the password is wrong")

    def change_password(self, user_id: uuid.UUID, session_id: uuid.UUID, old_password: str, new_password: str, actor: Actor) -> None:
        """Changes an account's own password and ends its other sessions.

        InvalidArgument on `new_password` when the policy refuses it, on `old_password` when it is wrong, which counts as a failed sign-in;
        FailedPrecondition (SHARED_ACCOUNT).
        """
        with self._database.transaction() as db:
            accounts.require_own(db, user_id)
            stored = accounts.get_password(db, user_id)
            attempt = Attempt(throttle.account_key(stored.name), throttle_network(actor.address))
            throttle.check(db, self._limits, attempt, self._clock())
        check_password(new_password, name=stored.name, field="new_password")
        matches = self._hashing.verify(stored.password_hash, old_password)
        new_hash = self._hashing.hash(new_password) if matches else ""
        with self._database.transaction() as db:
            now = self._clock()
            throttle.lock(db, attempt)
            throttle.check(db, self._limits, attempt, now)
            if matches and _confirm(db, stored, None, None) is not None:
                accounts.set_password(db, user_id, new_hash, actor, now, keep_session=session_id)
                return
            self._refuse(db, attempt, stored, actor.address, matches, now)
        raise InvalidArgument("WRONG_PASSWORD", "this is not the account's password", field="old_password")

    def set_password(self, user_id: uuid.UUID, password: str, actor: Actor) -> None:
        """Sets an account's password as an admin and ends its sessions; NotFound, InvalidArgument on `password`."""
        with self._database.transaction() as db:
            user = accounts.get(db, user_id)
        check_password(password, name=user.name, field="password")
        password_hash = self._hashing.hash(password)
        with self._database.transaction() as db:
            accounts.set_password(db, user_id, password_hash, actor, self._clock())

    def create_user(self, new: accounts.NewUser, password: str, actor: Actor) -> User:
        """Makes an account with a password; `new.password_hash` is filled in here.

        Raises what `accounts.create` does, and InvalidArgument on `password` when the policy refuses it.
        """
        if new.request_id is not None:
            with self._database.transaction() as db:
                repeated = accounts.find_repeated(db, new.request_id, new.name)
            if repeated is not None:
                return repeated
        check_password(password, name=new.name, field="password")
        hashed = accounts.NewUser(new.name, new.display_name, new.role, self._hashing.hash(password), new.project_ids, new.request_id)
        with self._database.transaction() as db:
            return accounts.create(db, hashed, actor, self._clock())

    def _refuse(self, db: Db, attempt: Attempt, stored: StoredPassword | None, address: str, matches: bool, now: datetime) -> None:
        """Counts and records a failed proof. A name without an account is not written down: people type passwords into the name field."""
        throttled = throttle.add_failure(db, self._limits, attempt, now)
        if stored is None:
            actor, target, reason = "anonymous", "", "unknown name"
        else:
            actor, target = "anonymous", f"user:{stored.user_id}"
            reason = "disabled account" if stored.disabled else "wrong password"
            if matches and not stored.disabled:
                reason = "account changed meanwhile"
        details = {"reason": reason, **({"throttled": "from now on"} if throttled else {})}
        audit.record(db, Actor(actor, address), "session.sign_in_refused", target, now, details)


def _confirm(db: Db, stored: StoredPassword, rehashed: str | None, sign_in_time: datetime | None) -> User | None:
    """The account, if it is still enabled and has the password that was proved. Notes the sign-in where its time is given."""
    row = db.scalar(
        select(UserRow)
        .where(UserRow.id == stored.user_id, UserRow.password_hash == stored.password_hash, ~UserRow.disabled)
        .with_for_update(key_share=True)
    )
    if row is None:
        return None
    if sign_in_time is not None:
        values = {"last_sign_in_time": sign_in_time, **({"password_hash": rehashed} if rehashed is not None else {})}
        db.execute(update(UserRow).where(UserRow.id == row.id).values(**values), execution_options={"synchronize_session": "evaluate"})
    return accounts.to_user(row)
