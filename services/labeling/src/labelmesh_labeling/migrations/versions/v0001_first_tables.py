"""Projects, images, their queue, leases, annotations and counters."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE projects (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    display_name text NOT NULL,
    description text NOT NULL,
    state smallint NOT NULL,
    access smallint NOT NULL,
    repeat_rate double precision NOT NULL,
    lease_seconds double precision NOT NULL,
    overlap smallint NOT NULL DEFAULT 1 CONSTRAINT projects_overlap CHECK (overlap BETWEEN 1 AND 16),
    schema_version integer NOT NULL DEFAULT 1,
    revision integer NOT NULL DEFAULT 1,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE label_classes (
    project_id uuid NOT NULL REFERENCES projects (id),
    schema_version integer NOT NULL,
    class_id text NOT NULL,
    position integer NOT NULL,
    display_name text NOT NULL,
    hotkey text NOT NULL,
    color text NOT NULL,
    PRIMARY KEY (project_id, schema_version, class_id),
    CONSTRAINT label_classes_position UNIQUE (project_id, schema_version, position)
);

CREATE TABLE class_uses (
    project_id uuid NOT NULL,
    class_id text NOT NULL,
    PRIMARY KEY (project_id, class_id)
);

CREATE TABLE blobs (
    sha256 bytea PRIMARY KEY,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    stored boolean NOT NULL,
    touched_at timestamptz NOT NULL
);
CREATE INDEX blobs_pending ON blobs (touched_at) WHERE NOT stored;

CREATE SEQUENCE image_numbers;

CREATE TABLE images (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects (id),
    number bigint NOT NULL,
    sha256 bytea NOT NULL,
    name text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    added_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT images_content UNIQUE (project_id, sha256),
    CONSTRAINT images_number UNIQUE (project_id, number)
);

-- Labels leave dead entries at the head of queue_order, where every claim begins to read. They must be cleared even while they are few
-- against the size of the table, which vacuum's own rule would put off.
CREATE TABLE queue (
    image_id uuid PRIMARY KEY REFERENCES images (id),
    project_id uuid NOT NULL,
    priority double precision NOT NULL,
    number bigint NOT NULL,
    free_slots integer NOT NULL CONSTRAINT queue_free_slots CHECK (free_slots BETWEEN 0 AND 65535),
    labels smallint NOT NULL DEFAULT 0,
    wanted smallint NOT NULL DEFAULT 1,
    CONSTRAINT queue_labels CHECK (labels BETWEEN 0 AND wanted)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, vacuum_index_cleanup = on);
CREATE INDEX queue_order ON queue (project_id, priority DESC, number) WHERE free_slots > 0;

CREATE TABLE leases (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL,
    image_id uuid NOT NULL,
    slot smallint NOT NULL,
    repeat_of uuid,
    user_id uuid NOT NULL,
    client_id text NOT NULL,
    session_id text NOT NULL,
    request_id uuid CONSTRAINT leases_request_id UNIQUE,
    previous_class_id text,
    acquired_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    returned boolean NOT NULL DEFAULT false,
    CONSTRAINT leases_slot UNIQUE (image_id, slot)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE UNIQUE INDEX leases_holder ON leases (user_id, image_id) WHERE NOT returned;
CREATE INDEX leases_expiry ON leases (project_id, expires_at) WHERE NOT returned;

CREATE TABLE ended_leases (
    id uuid PRIMARY KEY,
    ended_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ended_leases_ended_at ON ended_leases (ended_at);

CREATE TABLE annotations (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    project_id uuid NOT NULL,
    image_id uuid NOT NULL REFERENCES images (id),
    slot smallint,
    class_id text NOT NULL,
    author_kind smallint NOT NULL,
    author_id uuid NOT NULL,
    author_seq bigint,
    model text,
    model_version text,
    score double precision,
    schema_version integer NOT NULL,
    repeat_of uuid,
    lead_seconds double precision,
    request_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT annotations_number UNIQUE (project_id, number),
    CONSTRAINT annotations_author_kind CHECK ((author_kind = 1) = (author_seq IS NOT NULL))
);
CREATE INDEX annotations_image ON annotations (image_id);
CREATE UNIQUE INDEX annotations_author ON annotations (project_id, author_id, author_seq) WHERE author_seq IS NOT NULL;
CREATE UNIQUE INDEX annotations_request_id ON annotations (request_id) WHERE author_seq IS NOT NULL;

CREATE TABLE withdrawals (
    annotation_id uuid PRIMARY KEY REFERENCES annotations (id),
    withdrawn_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE skips (
    user_id uuid NOT NULL,
    image_id uuid NOT NULL,
    project_id uuid NOT NULL,
    skipped_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, image_id)
);
CREATE INDEX skips_oldest ON skips (project_id, user_id, skipped_at);

-- No index holds what changes here and pages keep room, so a label's new version of the row stays on its page.
CREATE TABLE counters (
    project_id uuid NOT NULL,
    author_id uuid NOT NULL,
    labels bigint NOT NULL DEFAULT 0,
    repeats bigint NOT NULL DEFAULT 0,
    repeats_consistent bigint NOT NULL DEFAULT 0,
    images_added bigint NOT NULL DEFAULT 0,
    images_completed bigint NOT NULL DEFAULT 0,
    machine_labels bigint NOT NULL DEFAULT 0,
    last_seq bigint NOT NULL DEFAULT 0,
    last_label_at timestamptz,
    PRIMARY KEY (project_id, author_id)
) WITH (fillfactor = 50);

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
    """Makes the tables."""
    op.execute(_TABLES)


def downgrade() -> None:
    """There is nothing before the first version."""
    raise NotImplementedError
