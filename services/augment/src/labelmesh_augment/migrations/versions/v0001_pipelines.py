"""Pipelines that projects keep, and answers that may be asked for again."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE pipelines (
    project_id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    newest integer NOT NULL,
    listed_from integer NOT NULL,
    PRIMARY KEY (project_id, name),
    CONSTRAINT pipelines_listed CHECK (newest >= 0 AND listed_from BETWEEN 1 AND newest + 1)
);

CREATE TABLE pipeline_versions (
    project_id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL CONSTRAINT pipeline_versions_version CHECK (version > 0),
    definition bytea NOT NULL,
    note text NOT NULL,
    author_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, name, version),
    FOREIGN KEY (project_id, name) REFERENCES pipelines (project_id, name)
);

CREATE TABLE requests (
    request_id uuid PRIMARY KEY,
    caller_id uuid NOT NULL,
    method text NOT NULL,
    fingerprint text NOT NULL,
    answer jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX requests_created_at ON requests (created_at);
"""


def upgrade() -> None:
    """Makes them."""
    op.execute(_TABLES)


def downgrade() -> None:
    """Drops them, and everything in them."""
    op.execute("DROP TABLE requests, pipeline_versions, pipelines")
