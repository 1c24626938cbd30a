"""Tables of the pipelines that projects keep, and of answers that may be asked for again. A version is written once and never changed."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from labelmesh_augment.tables import METADATA, NOW, TIME, UUID_TYPE

# A name. Versions from `listed_from` to `newest` are on the list; none where `listed_from` is larger. The name is kept in the order of its
# characters' numbers, which is that of pages.
PIPELINES = Table(
    "pipelines",
    METADATA,
    Column("project_id", UUID_TYPE, primary_key=True),
    Column("name", Text(collation="C"), primary_key=True),
    Column("newest", Integer, nullable=False),
    Column("listed_from", Integer, nullable=False),
    CheckConstraint("newest >= 0 AND listed_from BETWEEN 1 AND newest + 1", name="pipelines_listed"),
)

# `definition` is the contract's Pipeline with everything filled in, as bytes: what a later format adds stays in it.
VERSIONS = Table(
    "pipeline_versions",
    METADATA,
    Column("project_id", UUID_TYPE, primary_key=True),
    Column("name", Text(collation="C"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("author_id", UUID_TYPE, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    ForeignKeyConstraint(["project_id", "name"], ["pipelines.project_id", "pipelines.name"]),
    CheckConstraint("version > 0", name="pipeline_versions_version"),
)

# See `labelmesh_chassis.answers`.
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
