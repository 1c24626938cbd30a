"""Labeling's tables. The migrations make them; a test compares the two.

What changes with every label lies in narrow tables of its own: `queue` (an image's place and how many labels it still wants), `leases`
and `counters`. Images and annotations are written once.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_TIME = DateTime(timezone=True)
_UUID = UUID(as_uuid=True)
_NOW = text("now()")


class Base(DeclarativeBase):
    """All tables of labeling."""


class ProjectRow(Base):
    """A project's settings. `number` is the order of creation, `revision` grows with every change of the settings."""

    __tablename__ = "projects"
    __table_args__ = (CheckConstraint("overlap BETWEEN 1 AND 16", name="projects_overlap"),)

    id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    display_name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    state: Mapped[int] = mapped_column(SmallInteger)
    access: Mapped[int] = mapped_column(SmallInteger)
    repeat_rate: Mapped[float] = mapped_column(Double)
    lease_seconds: Mapped[float] = mapped_column(Double)
    suggestion_model: Mapped[str] = mapped_column(Text, server_default=text("''"))
    # How many people label each image; 1 until the contract lets a project ask for more.
    overlap: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
    schema_version: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    revision: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    created_by: Mapped[uuid.UUID] = mapped_column(_UUID)
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=_NOW)


class LabelClassRow(Base):
    """One class of one version of a project's ontology; old versions stay, because annotations name them."""

    __tablename__ = "label_classes"
    __table_args__ = (UniqueConstraint("project_id", "schema_version", "position", name="label_classes_position"),)

    project_id: Mapped[uuid.UUID] = mapped_column(_UUID, ForeignKey("projects.id"), primary_key=True)
    schema_version: Mapped[int] = mapped_column(Integer, primary_key=True)
    class_id: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    display_name: Mapped[str] = mapped_column(Text)
    hotkey: Mapped[str] = mapped_column(Text)
    color: Mapped[str] = mapped_column(Text)


class ClassUseRow(Base):
    """A class that some annotation was made with: it cannot leave the ontology any more."""

    __tablename__ = "class_uses"

    project_id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    class_id: Mapped[str] = mapped_column(Text, primary_key=True)


class BlobRow(Base):
    """A file in object storage. It is announced (pending) before it is put, so that nothing lies there that no row knows of."""

    __tablename__ = "blobs"
    __table_args__ = (Index("blobs_pending", "touched_at", postgresql_where=text("NOT stored")),)

    sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    media_type: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    stored: Mapped[bool] = mapped_column(Boolean)
    touched_at: Mapped[datetime] = mapped_column(_TIME)


class ImageRow(Base):
    """An image of a project. `number` is its age: lower came earlier."""

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("project_id", "sha256", name="images_content"),
        UniqueConstraint("project_id", "number", name="images_number"),
    )

    id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    project_id: Mapped[uuid.UUID] = mapped_column(_UUID, ForeignKey("projects.id"))
    number: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    name: Mapped[str] = mapped_column(Text)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    media_type: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    added_by: Mapped[uuid.UUID] = mapped_column(_UUID)
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=_NOW)


class QueueRow(Base):
    """An image's place in its project's queue; every image has one, for good.

    Bit n of `free_slots` is set while slot n has neither a lease nor a label. `labels` of the `wanted` slots are labeled. Whoever
    changes a slot (its lease, its label, its bit) holds this row's lock.
    """

    __tablename__ = "queue"
    __table_args__ = (
        CheckConstraint("labels BETWEEN 0 AND wanted", name="queue_labels"),
        CheckConstraint("free_slots BETWEEN 0 AND 65535", name="queue_free_slots"),
        Index("queue_order", "project_id", text("priority DESC"), "number", postgresql_where=text("free_slots > 0")),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    image_id: Mapped[uuid.UUID] = mapped_column(_UUID, ForeignKey("images.id"), primary_key=True)
    project_id: Mapped[uuid.UUID] = mapped_column(_UUID)
    priority: Mapped[float] = mapped_column(Double)
    number: Mapped[int] = mapped_column(BigInteger)
    free_slots: Mapped[int] = mapped_column(Integer)
    labels: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    wanted: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))


class LeaseRow(Base):
    """A slot of an image held by an annotator. The id is the fencing token.

    `returned` means that its time ran out and the slot went back to the queue: the holder may still submit until somebody else takes
    the slot, who then overwrites the row. `repeat_of` names the annotation that a repeat repeats; a repeat frees and completes nothing.
    """

    __tablename__ = "leases"
    __table_args__ = (
        UniqueConstraint("image_id", "slot", name="leases_slot"),
        UniqueConstraint("request_id", name="leases_request_id"),
        Index("leases_holder", "user_id", "image_id", unique=True, postgresql_where=text("NOT returned")),
        Index("leases_expiry", "project_id", "expires_at", postgresql_where=text("NOT returned")),
        {"postgresql_with": {"fillfactor": "80", "autovacuum_vacuum_scale_factor": "0.05"}},
    )

    id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    project_id: Mapped[uuid.UUID] = mapped_column(_UUID)
    image_id: Mapped[uuid.UUID] = mapped_column(_UUID)
    slot: Mapped[int] = mapped_column(SmallInteger)
    repeat_of: Mapped[uuid.UUID | None] = mapped_column(_UUID)
    user_id: Mapped[uuid.UUID] = mapped_column(_UUID)
    client_id: Mapped[str] = mapped_column(Text)
    session_id: Mapped[str] = mapped_column(Text)
    request_id: Mapped[uuid.UUID | None] = mapped_column(_UUID)
    previous_class_id: Mapped[str | None] = mapped_column(Text)
    acquired_at: Mapped[datetime] = mapped_column(_TIME)
    expires_at: Mapped[datetime] = mapped_column(_TIME)
    returned: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))


class EndedLeaseRow(Base):
    """A lease that its holder skipped or gave back; kept for a while so that a late submit can be told so."""

    __tablename__ = "ended_leases"
    __table_args__ = (Index("ended_leases_ended_at", "ended_at"),)

    id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(_TIME, server_default=_NOW)


class AnnotationRow(Base):
    """A label. Append-only.

    A person's annotation has the id of the lease it was made from, so one lease makes one annotation at most. `author_seq` counts a
    person's annotations in a project from 1, repeats and undone ones included. A machine's has neither slot nor `author_seq`.
    """

    __tablename__ = "annotations"
    __table_args__ = (
        UniqueConstraint("project_id", "number", name="annotations_number"),
        Index("annotations_image", "image_id"),
        Index("annotations_author", "project_id", "author_id", "author_seq", unique=True, postgresql_where=text("author_seq IS NOT NULL")),
        Index("annotations_request_id", "request_id", unique=True, postgresql_where=text("author_seq IS NOT NULL")),
        CheckConstraint("(author_kind = 1) = (author_seq IS NOT NULL)", name="annotations_author_kind"),
    )

    id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    project_id: Mapped[uuid.UUID] = mapped_column(_UUID)
    image_id: Mapped[uuid.UUID] = mapped_column(_UUID, ForeignKey("images.id"))
    slot: Mapped[int | None] = mapped_column(SmallInteger)
    class_id: Mapped[str] = mapped_column(Text)
    author_kind: Mapped[int] = mapped_column(SmallInteger)
    author_id: Mapped[uuid.UUID] = mapped_column(_UUID)
    author_seq: Mapped[int | None] = mapped_column(BigInteger)
    model: Mapped[str | None] = mapped_column(Text)
    model_version: Mapped[str | None] = mapped_column(Text)
    score: Mapped[float | None] = mapped_column(Double)
    schema_version: Mapped[int] = mapped_column(Integer)
    repeat_of: Mapped[uuid.UUID | None] = mapped_column(_UUID)
    lead_seconds: Mapped[float | None] = mapped_column(Double)
    request_id: Mapped[uuid.UUID] = mapped_column(_UUID)
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=_NOW)


class WithdrawalRow(Base):
    """An annotation that was undone."""

    __tablename__ = "withdrawals"

    annotation_id: Mapped[uuid.UUID] = mapped_column(_UUID, ForeignKey("annotations.id"), primary_key=True)
    withdrawn_at: Mapped[datetime] = mapped_column(_TIME, server_default=_NOW)


class SkipRow(Base):
    """An image that an annotator put back for later."""

    __tablename__ = "skips"
    __table_args__ = (Index("skips_oldest", "project_id", "user_id", "skipped_at"),)

    user_id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    image_id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    project_id: Mapped[uuid.UUID] = mapped_column(_UUID)
    skipped_at: Mapped[datetime] = mapped_column(_TIME)


class CounterRow(Base):
    """What one author did in one project, kept in the transactions that do it. A project's numbers are the sums.

    `images_completed` may be negative where an author undid a label that another's label had completed.
    """

    __tablename__ = "counters"
    __table_args__ = ({"postgresql_with": {"fillfactor": "50"}},)

    project_id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    author_id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    labels: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    repeats: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    repeats_consistent: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    images_added: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    images_completed: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    machine_labels: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    last_seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    last_label_at: Mapped[datetime | None] = mapped_column(_TIME)


class RequestRow(Base):
    """A call that was carried out, by its request_id, with what was answered: the same id gets the same answer."""

    __tablename__ = "requests"
    __table_args__ = (Index("requests_created_at", "created_at"),)

    request_id: Mapped[uuid.UUID] = mapped_column(_UUID, primary_key=True)
    caller_id: Mapped[uuid.UUID] = mapped_column(_UUID)
    method: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(Text)
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=_NOW)
