"""Accounts, sessions, API keys, signing keys, sign-in failures and the audit log."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE users (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    name_key text NOT NULL CONSTRAINT users_name_key UNIQUE,
    display_name text NOT NULL,
    role text NOT NULL CONSTRAINT users_role CHECK (role IN ('annotator', 'manager', 'admin')),
    disabled boolean NOT NULL DEFAULT false,
    project_ids uuid[] NOT NULL DEFAULT '{}',
    password_hash text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    request_id uuid CONSTRAINT users_request_id UNIQUE,
    create_time timestamptz NOT NULL,
    last_sign_in_time timestamptz
);

-- Every checked call rewrites one row's last_seen_time. No index holds that column and pages keep room, so the new version of
-- the row stays on its page and no index is touched (a heap-only update).
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    create_time timestamptz NOT NULL,
    last_seen_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL,
    revoke_time timestamptz,
    address text NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX sessions_user_id ON sessions (user_id) WHERE revoke_time IS NULL;
CREATE INDEX sessions_end_time ON sessions (end_time);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    display_name text NOT NULL,
    prefix text NOT NULL,
    secret_hash bytea NOT NULL CONSTRAINT api_keys_secret_hash UNIQUE,
    scopes text[] NOT NULL,
    project_ids uuid[] NOT NULL DEFAULT '{}',
    owner_user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    request_id uuid NOT NULL CONSTRAINT api_keys_request_id UNIQUE,
    create_time timestamptz NOT NULL,
    expire_time timestamptz,
    revoke_time timestamptz,
    last_use_time timestamptz
);
CREATE INDEX api_keys_owner_user_id ON api_keys (owner_user_id, create_time DESC, id DESC);
CREATE INDEX api_keys_create_time ON api_keys (create_time DESC, id DESC);

CREATE TABLE signing_keys (
    key_id text PRIMARY KEY,
    public_der bytea NOT NULL,
    private_encrypted bytea,
    create_time timestamptz NOT NULL,
    activate_time timestamptz NOT NULL,
    retire_time timestamptz,
    expire_time timestamptz,
    request_id uuid CONSTRAINT signing_keys_request_id UNIQUE
);

CREATE TABLE sign_in_failures (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_key bytea NOT NULL,
    address text NOT NULL,
    time timestamptz NOT NULL
);
CREATE INDEX sign_in_failures_account_key ON sign_in_failures (account_key, time);
CREATE INDEX sign_in_failures_address ON sign_in_failures (address, time);
CREATE INDEX sign_in_failures_time ON sign_in_failures (time);

CREATE TABLE audit_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    address text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_events_actor ON audit_events (actor, id);
CREATE INDEX audit_events_action ON audit_events (action text_pattern_ops, id);
CREATE INDEX audit_events_time ON audit_events (time);
"""


def upgrade() -> None:
    op.execute(_TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE audit_events, sign_in_failures, signing_keys, api_keys, sessions, users")
