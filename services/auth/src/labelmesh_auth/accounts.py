"""Accounts of people: making, reading and changing them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from labelmesh_chassis.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound
from labelmesh_chassis.identity import Role
from sqlalchemy import ColumnElement, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as Db

from labelmesh_auth import audit, paging, sessions, throttle
from labelmesh_auth.audit import Actor
from labelmesh_auth.tables import UserRow

# Taken by every change that may leave no enabled admin behind, so that two admins cannot demote each other at once.
_ADMINS_LOCK = 0x6C6D61646D696E


@dataclass(frozen=True)
class User:
    """An account as others may see it: never with its password."""

    id: uuid.UUID
    name: str
    display_name: str
    role: Role
    disabled: bool
    project_ids: tuple[uuid.UUID, ...]
    create_time: datetime
    last_sign_in_time: datetime | None
    version: int

    @property
    def etag(self) -> str:
        """Changes with every change of the account."""
        return f"v{self.version}"


@dataclass(frozen=True)
class NewUser:
    """What an account is made from. `request_id` makes the same request twice one account; None never repeats.

    Of a `shared` account nobody who uses it can change the password or end the others' sessions.
    """

    name: str
    display_name: str
    role: Role
    password_hash: str
    project_ids: tuple[uuid.UUID, ...] = ()
    request_id: uuid.UUID | None = None
    shared: bool = False


@dataclass(frozen=True)
class UserChange:
    """New values of an account; None leaves a value as it is. `etag`, when not empty, must be the current one."""

    display_name: str | None = None
    role: Role | None = None
    disabled: bool | None = None
    project_ids: tuple[uuid.UUID, ...] | None = None
    etag: str = ""


@dataclass(frozen=True)
class StoredPassword:
    """What a password is proved against."""

    user_id: uuid.UUID
    name: str
    password_hash: str
    disabled: bool


def name_key(name: str) -> str:
    """Names are unique by this, without regard to case."""
    return name.casefold()


def find_repeated(db: Db, request_id: uuid.UUID, name: str) -> User | None:
    """The account that an earlier request of this id made; AlreadyExists (REQUEST_ID_REUSED) when that was another account's."""
    row = db.scalar(select(UserRow).where(UserRow.request_id == request_id))
    if row is None:
        return None
    if row.name_key != name_key(name):
        raise AlreadyExists("REQUEST_ID_REUSED", "this request_id has made another account", metadata={"name": row.name})
    return to_user(row)


def create(db: Db, new: NewUser, actor: Actor, now: datetime) -> User:
    """Makes an account; AlreadyExists (USER_NAME_TAKEN) for a taken name. The same request_id twice gives the one account twice."""
    values = {
        "id": uuid.uuid4(),
        "name": new.name,
        "name_key": name_key(new.name),
        "display_name": new.display_name or new.name,
        "role": new.role.value,
        "project_ids": list(new.project_ids),
        "password_hash": new.password_hash,
        "request_id": new.request_id,
        "shared": new.shared,
        "create_time": now,
    }
    row = db.scalar(insert(UserRow).values(**values).on_conflict_do_nothing().returning(UserRow))
    if row is None:
        repeated = find_repeated(db, new.request_id, new.name) if new.request_id is not None else None
        if repeated is None:
            raise AlreadyExists("USER_NAME_TAKEN", "there is an account of this name already", metadata={"name": new.name})
        return repeated
    audit.record(db, actor, "user.create", f"user:{row.id}", now, {"name": row.name, "role": row.role})
    return to_user(row)


def get(db: Db, user_id: uuid.UUID) -> User:
    """One account; NotFound (USER_NOT_FOUND)."""
    row = db.get(UserRow, user_id)
    if row is None:
        raise _not_found(user_id)
    return to_user(row)


def find_by_name(db: Db, name: str) -> User | None:
    """The account of a name, without regard to case."""
    row = db.scalar(select(UserRow).where(UserRow.name_key == name_key(name)))
    return to_user(row) if row is not None else None


def find_password(db: Db, name: str) -> StoredPassword | None:
    """What to prove the password of a name against, without regard to case."""
    return _stored(db, UserRow.name_key == name_key(name))


def get_password(db: Db, user_id: uuid.UUID) -> StoredPassword:
    """What to prove the password of an account against; NotFound (USER_NOT_FOUND)."""
    stored = _stored(db, UserRow.id == user_id)
    if stored is None:
        raise _not_found(user_id)
    return stored


def require_own(db: Db, user_id: uuid.UUID) -> None:
    """Raises FailedPrecondition (SHARED_ACCOUNT) for an account that several people use: what ends it for one ends it for all."""
    if db.scalar(select(UserRow.shared).where(UserRow.id == user_id)):
        raise FailedPrecondition("SHARED_ACCOUNT", "several people share this account; only an admin can do this to it")


def list_users(db: Db, *, size: int, token: str, query: str = "") -> paging.Page[User]:
    """Accounts by name; `query` keeps those whose name or display name contains it, without regard to case."""
    filters = ("users", query)
    place = paging.decode_token(token, filters, 1)
    statement = select(UserRow).order_by(UserRow.name_key)
    if query:
        matches = (column.icontains(query, autoescape=True) for column in (UserRow.name, UserRow.display_name))
        statement = statement.where(or_(*matches))
    if place is not None:
        statement = statement.where(UserRow.name_key > place[0])
    limit = paging.page_size(size)
    rows = db.scalars(statement.limit(limit + 1)).all()
    next_token = paging.encode_token(filters, [rows[limit - 1].name_key]) if len(rows) > limit else ""
    return paging.Page(tuple(to_user(row) for row in rows[:limit]), next_token)


def change(db: Db, user_id: uuid.UUID, wanted: UserChange, actor: Actor, now: datetime) -> User:
    """Changes an account. Disabling ends its sessions.

    NotFound (USER_NOT_FOUND); Aborted (ETAG_MISMATCH) when somebody else changed it meanwhile; FailedPrecondition (LAST_ADMIN) when
    no enabled admin would be left.
    """
    db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADMINS_LOCK})
    row = db.scalar(select(UserRow).where(UserRow.id == user_id).with_for_update())
    if row is None:
        raise _not_found(user_id)
    before = to_user(row)
    if wanted.etag and wanted.etag != before.etag:
        raise Aborted("ETAG_MISMATCH", "the account was changed meanwhile; read it again", metadata={"etag": before.etag})
    after = replace(
        before,
        display_name=before.display_name if wanted.display_name is None else wanted.display_name or before.name,
        role=wanted.role or before.role,
        disabled=before.disabled if wanted.disabled is None else wanted.disabled,
        project_ids=before.project_ids if wanted.project_ids is None else wanted.project_ids,
    )
    if after == before:
        return before
    if _is_acting_admin(before) and not _is_acting_admin(after):
        _require_another_admin(db, user_id)
    row.display_name, row.role, row.disabled, row.project_ids = (
        after.display_name,
        after.role.value,
        after.disabled,
        list(after.project_ids),
    )
    row.version += 1
    db.flush()
    if after.disabled and not before.disabled:
        sessions.revoke_all(db, user_id, now)
    audit.record(db, actor, "user.update", f"user:{user_id}", now, _differences(before, after))
    return to_user(row)


def set_password(
    db: Db, user_id: uuid.UUID, password_hash: str, actor: Actor, now: datetime, *, keep_session: uuid.UUID | None = None
) -> int:
    """Stores a new password and ends the account's sessions, except `keep_session`; gives their number. Failed sign-ins are forgotten.

    NotFound (USER_NOT_FOUND).
    """
    name = db.scalar(
        update(UserRow)
        .where(UserRow.id == user_id)
        .values(password_hash=password_hash, version=UserRow.version + 1)
        .returning(UserRow.name)
    )
    if name is None:
        raise _not_found(user_id)
    throttle.reset_account(db, throttle.account_key(name))
    ended = sessions.revoke_all(db, user_id, now, keep=keep_session)
    action = "user.set_password" if keep_session is None else "user.change_password"
    audit.record(db, actor, action, f"user:{user_id}", now, {"sessions_ended": str(ended)})
    return ended


def to_user(row: UserRow) -> User:
    """The value of a row."""
    return User(
        id=row.id,
        name=row.name,
        display_name=row.display_name,
        role=Role(row.role),
        disabled=row.disabled,
        project_ids=tuple(row.project_ids),
        create_time=row.create_time,
        last_sign_in_time=row.last_sign_in_time,
        version=row.version,
    )


def _stored(db: Db, condition: ColumnElement[bool]) -> StoredPassword | None:
    found = db.execute(select(UserRow.id, UserRow.name, UserRow.password_hash, UserRow.disabled).where(condition)).one_or_none()
    return StoredPassword(*found) if found is not None else None


def _is_acting_admin(user: User) -> bool:
    return user.role is Role.ADMIN and not user.disabled


def _require_another_admin(db: Db, user_id: uuid.UUID) -> None:
    others = db.scalar(
        select(func.count()).select_from(UserRow).where(UserRow.role == Role.ADMIN.value, ~UserRow.disabled, UserRow.id != user_id)
    )
    if not others:
        raise FailedPrecondition("LAST_ADMIN", "this is the last enabled admin; make another one first")


def _differences(before: User, after: User) -> dict[str, str]:
    names: Sequence[str] = ("display_name", "role", "disabled")
    changed = {
        name: f"{getattr(before, name)} -> {getattr(after, name)}" for name in names if getattr(before, name) != getattr(after, name)
    }
    if before.project_ids != after.project_ids:
        changed["project_ids"] = f"{len(before.project_ids)} -> {len(after.project_ids)} projects"
    return changed


def _not_found(user_id: uuid.UUID) -> NotFound:
    return NotFound("USER_NOT_FOUND", f"there is no account {user_id}")
