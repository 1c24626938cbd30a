"""Models, versions, routings, trainings, and answers that may be asked for again."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE models (
    name text PRIMARY KEY,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE model_versions (
    model text NOT NULL REFERENCES models (name),
    version bigint NOT NULL CONSTRAINT model_versions_version CHECK (version > 0),
    manifest jsonb NOT NULL,
    signature jsonb NOT NULL,
    metrics jsonb NOT NULL,
    registered_by uuid NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    training_id uuid,
    PRIMARY KEY (model, version)
);

CREATE TABLE routings (
    model text NOT NULL REFERENCES models (name),
    revision bigint NOT NULL CONSTRAINT routings_revision CHECK (revision > 0),
    aliases jsonb NOT NULL,
    splits jsonb NOT NULL,
    shadow_alias text NOT NULL,
    shadow_share double precision NOT NULL,
    changed_by uuid NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    change text NOT NULL,
    PRIMARY KEY (model, revision)
);

CREATE TABLE trainings (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    model text NOT NULL,
    version bigint NOT NULL,
    state smallint NOT NULL,
    lease text NOT NULL,
    lease_expires_at timestamptz NOT NULL,
    progress jsonb NOT NULL,
    changes bigint NOT NULL DEFAULT 0,
    problem text NOT NULL DEFAULT '',
    started_by uuid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT trainings_version UNIQUE (model, version)
);
CREATE UNIQUE INDEX trainings_running ON trainings (model) WHERE state = 1;
CREATE INDEX trainings_of_model ON trainings (model, number);

CREATE TABLE training_epochs (
    training_id uuid NOT NULL REFERENCES trainings (id) ON DELETE CASCADE,
    epoch integer NOT NULL,
    progress jsonb NOT NULL,
    PRIMARY KEY (training_id, epoch)
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
    op.execute("DROP TABLE requests, training_epochs, trainings, routings, model_versions, models")
