"""Auth's tables. The migrations make them; a test compares the two."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, ForeignKey, Identity, Index, Integer, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_TIME = DateTime(timezone=True)
_UUID = UUID(as_uuid=True)


class Base(DeclarativeBase):
    """All tables of auth."""


class UserRow(Base):
    """An account. `name_key` is the case-folded name; `version` grows with every change of it; several people use a `shared` one."""

    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Text, unique=True)
    display_name: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    disabled: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    shared: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    project_ids: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(_UUID), server_default=text("'{}'"))
    password_hash: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    request_id: Mapped[uuid.UUID | None] = mapped_column(_UUID, unique=True)
    create_time: Mapped[datetime] = mapped_column(_TIME)
    last_sign_in_time: Mapped[datetime | None] = mapped_column(_TIME)


class SessionRow(Base):
    """A sign-in. `last_seen_time` is in no index, so touching it stays a heap-only update."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("sessions_user_id", "user_id", postgresql_where=text("revoke_time IS NULL")),
        Index("sessions_end_time", "end_time"),
    )

    id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(_UUID, ForeignKey("users.id", ondelete="CASCADE"))
    create_time: Mapped[datetime] = mapped_column(_TIME)
    last_seen_time: Mapped[datetime] = mapped_column(_TIME)
    end_time: Mapped[datetime] = mapped_column(_TIME)
    revoke_time: Mapped[datetime | None] = mapped_column(_TIME)
    address: Mapped[str] = mapped_column(Text)


class ApiKeyRow(Base):
    """A key of a machine client. Only the SHA-256 of the secret is kept."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index("api_keys_owner_user_id", "owner_user_id", text("create_time DESC"), text("id DESC")),
        Index("api_keys_create_time", text("create_time DESC"), text("id DESC")),
    )

    id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    display_name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    project_ids: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(_UUID), server_default=text("'{}'"))
    owner_user_id: Mapped[uuid.UUID] = mapped_column(_UUID, ForeignKey("users.id", ondelete="CASCADE"))
    request_id: Mapped[uuid.UUID] = mapped_column(_UUID, unique=True)
    create_time: Mapped[datetime] = mapped_column(_TIME)
    expire_time: Mapped[datetime | None] = mapped_column(_TIME)
    revoke_time: Mapped[datetime | None] = mapped_column(_TIME)
    last_use_time: Mapped[datetime | None] = mapped_column(_TIME)


class SigningKeyRow(Base):
    """A key that tokens are signed with. The private part is encrypted, and forgotten once the key has retired."""

    __tablename__ = "signing_keys"

    key_id: Mapped[str] = mapped_column(Text, primary_key=True)
    public_der: Mapped[bytes] = mapped_column(LargeBinary)
    private_encrypted: Mapped[bytes | None] = mapped_column(LargeBinary)
    create_time: Mapped[datetime] = mapped_column(_TIME)
    activate_time: Mapped[datetime] = mapped_column(_TIME)
    retire_time: Mapped[datetime | None] = mapped_column(_TIME)
    expire_time: Mapped[datetime | None] = mapped_column(_TIME)
    request_id: Mapped[uuid.UUID | None] = mapped_column(_UUID, unique=True)


class SignInFailureRow(Base):
    """A wrong password. `account_key` is a hash: people type passwords into the name field, and those must not be kept."""

    __tablename__ = "sign_in_failures"
    __table_args__ = (
        Index("sign_in_failures_account_key", "account_key", "time"),
        Index("sign_in_failures_address", "address", "time"),
        Index("sign_in_failures_time", "time"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    account_key: Mapped[bytes] = mapped_column(LargeBinary)
    address: Mapped[str] = mapped_column(Text)
    time: Mapped[datetime] = mapped_column(_TIME)


class AuditEventRow(Base):
    """One thing that somebody did, or tried."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("audit_events_actor", "actor", "id"),
        Index("audit_events_action", "action", "id", postgresql_ops={"action": "text_pattern_ops"}),
        Index("audit_events_time", "time"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    time: Mapped[datetime] = mapped_column(_TIME)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
