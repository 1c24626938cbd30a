"""Predictions, their counts and pictures, and what shadow calls showed."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE predictions (
    id uuid PRIMARY KEY,
    model text NOT NULL,
    version bigint NOT NULL,
    alias text NOT NULL,
    caller_id uuid NOT NULL,
    request_id uuid,
    fingerprint text,
    sha256 bytea NOT NULL,
    media_type text NOT NULL,
    size_bytes integer NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    picture boolean NOT NULL,
    project_id uuid,
    image_id uuid,
    source_url text NOT NULL,
    result bytea NOT NULL,
    fetch_us integer NOT NULL,
    preparation_us integer NOT NULL,
    waiting_us integer NOT NULL,
    model_us integer NOT NULL,
    total_us integer NOT NULL,
    batch_size integer NOT NULL,
    created_at timestamptz NOT NULL,
    feedback_correct boolean,
    feedback_label text,
    feedback_author uuid,
    feedback_at timestamptz
);
CREATE INDEX predictions_caller ON predictions (caller_id, id);
CREATE INDEX predictions_version ON predictions (model, version, id);
CREATE UNIQUE INDEX predictions_request_id ON predictions (caller_id, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX predictions_wrong ON predictions (id) WHERE NOT feedback_correct;
CREATE INDEX predictions_picture ON predictions (sha256) WHERE picture;

CREATE TABLE prediction_counts (
    model text NOT NULL,
    version bigint NOT NULL,
    shard smallint NOT NULL,
    predictions bigint NOT NULL DEFAULT 0,
    feedback bigint NOT NULL DEFAULT 0,
    feedback_correct bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (model, version, shard)
) WITH (fillfactor = 50);

CREATE TABLE pictures (
    sha256 bytea PRIMARY KEY,
    media_type text NOT NULL,
    size_bytes integer NOT NULL,
    stored boolean NOT NULL,
    touched_at timestamptz NOT NULL
);
CREATE INDEX pictures_pending ON pictures (touched_at) WHERE NOT stored;

CREATE TABLE shadows (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL,
    version bigint NOT NULL,
    shadow_version bigint NOT NULL,
    prediction_id uuid,
    agrees boolean NOT NULL,
    problem text NOT NULL,
    score_difference double precision NOT NULL,
    latency_us integer NOT NULL,
    shadow_latency_us integer NOT NULL,
    answer text NOT NULL,
    shadow_answer text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX shadows_pair ON shadows (model, version, shadow_version, id);
CREATE INDEX shadows_created_at ON shadows (created_at);
"""


def upgrade() -> None:
    """Makes them."""
    op.execute(_TABLES)


def downgrade() -> None:
    """Drops them, and everything in them."""
    op.execute("DROP TABLE shadows, pictures, prediction_counts, predictions")
