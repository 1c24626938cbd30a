"""API keys of machine clients: made, listed and revoked here; checked on every call in `callers`."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime

from labelmesh_chassis.errors import AlreadyExists, InvalidArgument, NotFound
from labelmesh_chassis.identity import Role
from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as Db

from labelmesh_auth import audit, paging
from labelmesh_auth.audit import Actor
from labelmesh_auth.tables import ApiKeyRow, UserRow

_PREFIX_LENGTH = 12
_SECRET_BYTES = 32
_SHAPE = re.compile(r"lmk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class ApiKey:
    """A key as others may see it: never with its secret."""

    id: uuid.UUID
    display_name: str
    prefix: str
    scopes: tuple[str, ...]
    project_ids: tuple[uuid.UUID, ...]
    owner_user_id: uuid.UUID
    owner_role: Role
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None
    last_use_time: datetime | None


@dataclass(frozen=True)
class NewApiKey:
    """What a key is made from."""

    request_id: uuid.UUID
    display_name: str
    scopes: tuple[str, ...]
    project_ids: tuple[uuid.UUID, ...]
    expire_time: datetime | None


def new_secret() -> str:
    """A key: `lmk_`, 8 characters to recognise it by, and 256 random bits."""
    return f"lmk_{secrets.token_hex(4)}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def looks_like_key(secret: str) -> bool:
    """Whether a text has the shape of a key, so that nonsense costs no look into the database."""
    return _SHAPE.fullmatch(secret) is not None


def secret_hash(secret: str) -> bytes:
    """What is stored of a key: its SHA-256, unsalted and fast.

    A slow hash with a salt protects what people can remember and others can guess. 256 random bits cannot be guessed at any speed, every
    key is different, and the plain hash can be looked up by an index on every call.
    """
    return hashlib.sha256(secret.encode()).digest()


def create(db: Db, new: NewApiKey, owner_user_id: uuid.UUID, actor: Actor, now: datetime) -> tuple[ApiKey, str]:
    """Makes a key and gives it with its secret, which is not stored and cannot be shown again.

    InvalidArgument on `expire_time` when it is not in the future; AlreadyExists (API_KEY_EXISTS) for a repeated request_id.
    """
    if new.expire_time is not None and new.expire_time <= now:
        raise InvalidArgument("EXPIRE_TIME_PAST", "the key would have expired already", field="expire_time")
    secret = new_secret()
    values = {
        "id": uuid.uuid4(),
        "display_name": new.display_name,
        "prefix": secret[:_PREFIX_LENGTH],
        "secret_hash": secret_hash(secret),
        "scopes": sorted(new.scopes),
        "project_ids": list(new.project_ids),
        "owner_user_id": owner_user_id,
        "request_id": new.request_id,
        "create_time": now,
        "expire_time": new.expire_time,
    }
    made = db.scalar(insert(ApiKeyRow).values(**values).on_conflict_do_nothing(index_elements=["request_id"]).returning(ApiKeyRow.id))
    if made is None:
        raise AlreadyExists("API_KEY_EXISTS", "this request has made a key already, and its secret is shown only once")
    audit.record(
        db, actor, "api_key.create", f"key:{made}", now, {"scopes": " ".join(sorted(new.scopes)), "prefix": secret[:_PREFIX_LENGTH]}
    )
    return _get(db, made), secret


def list_keys(db: Db, *, size: int, token: str, owner_user_id: uuid.UUID | None) -> paging.Page[ApiKey]:
    """Keys, newest first: those of one owner, or everybody's for None."""
    filters = ("api_keys", str(owner_user_id or ""))
    statement = select(ApiKeyRow, UserRow.role).join(UserRow, UserRow.id == ApiKeyRow.owner_user_id)
    statement = statement.order_by(ApiKeyRow.create_time.desc(), ApiKeyRow.id.desc())
    if owner_user_id is not None:
        statement = statement.where(ApiKeyRow.owner_user_id == owner_user_id)
    place = paging.decode_token(token, filters, 2)
    if place is not None:
        try:
            after = (datetime.fromisoformat(place[0]), uuid.UUID(place[1]))
        except ValueError as problem:
            raise paging.invalid_token() from problem
        statement = statement.where(tuple_(ApiKeyRow.create_time, ApiKeyRow.id) < after)
    limit = paging.page_size(size)
    rows = db.execute(statement.limit(limit + 1)).all()
    keys = tuple(_api_key(row, role) for row, role in rows[:limit])
    next_token = paging.encode_token(filters, [keys[-1].create_time.isoformat(), str(keys[-1].id)]) if len(rows) > limit else ""
    return paging.Page(keys, next_token)


def revoke(db: Db, key_id: uuid.UUID, actor: Actor, now: datetime, *, owner_user_id: uuid.UUID | None) -> ApiKey:
    """Ends a key for good; ending it again changes nothing. NotFound (API_KEY_NOT_FOUND), also for somebody else's unless owner is None."""
    row = db.scalar(select(ApiKeyRow).where(ApiKeyRow.id == key_id).with_for_update())
    if row is None or (owner_user_id is not None and row.owner_user_id != owner_user_id):
        raise NotFound("API_KEY_NOT_FOUND", f"there is no key {key_id}")
    if row.revoke_time is None:
        row.revoke_time = now
        db.flush()
        audit.record(db, actor, "api_key.revoke", f"key:{key_id}", now)
    return _get(db, key_id)


def _get(db: Db, key_id: uuid.UUID) -> ApiKey:
    statement = select(ApiKeyRow, UserRow.role).join(UserRow, UserRow.id == ApiKeyRow.owner_user_id).where(ApiKeyRow.id == key_id)
    row, role = db.execute(statement).one()
    return _api_key(row, role)


def _api_key(row: ApiKeyRow, owner_role: str) -> ApiKey:
    return ApiKey(
        id=row.id,
        display_name=row.display_name,
        prefix=row.prefix,
        scopes=tuple(row.scopes),
        project_ids=tuple(row.project_ids),
        owner_user_id=row.owner_user_id,
        owner_role=Role(owner_role),
        create_time=row.create_time,
        expire_time=row.expire_time,
        revoke_time=row.revoke_time,
        last_use_time=row.last_use_time,
    )
