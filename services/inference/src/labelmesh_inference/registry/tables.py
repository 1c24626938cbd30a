"""Tables of models, versions, routings and trainings, and of answers that may be asked for again.

Versions and routings are written once and never changed (but for a version's metrics). What is current is one number: `models.revision`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from labelmesh_inference.tables import METADATA, NOW, TIME, UUID_TYPE

# A model is there from its first registered version on. `revision` is its routing's current one.
MODELS = Table(
    "models",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=NOW),
)

# A registered version: its manifest and signature as documents of `registry.documents`, metrics by name.
VERSIONS = Table(
    "model_versions",
    METADATA,
    Column("model", Text, ForeignKey("models.name"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("manifest", JSONB, nullable=False),
    Column("signature", JSONB, nullable=False),
    Column("metrics", JSONB, nullable=False),
    Column("registered_by", UUID_TYPE, nullable=False),
    Column("registered_at", TIME, nullable=False, server_default=NOW),
    Column("training_id", UUID_TYPE),
    CheckConstraint("version > 0", name="model_versions_version"),
)

# Aliases and traffic at a time. `aliases` is {name: version}, `splits` [[alias, weight], ...].
ROUTINGS = Table(
    "routings",
    METADATA,
    Column("model", Text, ForeignKey("models.name"), primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("aliases", JSONB, nullable=False),
    Column("splits", JSONB, nullable=False),
    Column("shadow_alias", Text, nullable=False),
    Column("shadow_share", Double, nullable=False),
    Column("changed_by", UUID_TYPE, nullable=False),
    Column("changed_at", TIME, nullable=False, server_default=NOW),
    Column("change", Text, nullable=False),
    CheckConstraint("revision > 0", name="routings_revision"),
)

# `number` is the order in which they began. Progress as a document; `changes` grows with every report.
TRAININGS = Table(
    "trainings",
    METADATA,
    Column("id", UUID_TYPE, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("lease", Text, nullable=False),
    Column("lease_expires_at", TIME, nullable=False),
    Column("progress", JSONB, nullable=False),
    Column("changes", BigInteger, nullable=False, server_default=text("0")),
    Column("problem", Text, nullable=False, server_default=text("''")),
    Column("started_by", UUID_TYPE, nullable=False),
    Column("started_at", TIME, nullable=False, server_default=NOW),
    Column("ended_at", TIME),
    # Whatever the code above it does: one training of a model runs, and a version's number is given out once.
    Index("trainings_running", "model", unique=True, postgresql_where=text("state = 1")),
    UniqueConstraint("model", "version", name="trainings_version"),
    Index("trainings_of_model", "model", "number"),
)

# The last report of each epoch.
EPOCHS = Table(
    "training_epochs",
    METADATA,
    Column("training_id", UUID_TYPE, ForeignKey("trainings.id", ondelete="CASCADE"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("progress", JSONB, nullable=False),
)

# What calls with a request_id were answered.
REQUESTS = Table(
    "requests",
    METADATA,
    Column("request_id", UUID_TYPE, primary_key=True),
    Column("caller_id", UUID_TYPE, nullable=False),
    Column("method", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("answer", JSONB),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Index("requests_created_at", "created_at"),
)
