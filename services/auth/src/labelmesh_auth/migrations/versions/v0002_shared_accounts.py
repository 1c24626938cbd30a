"""Accounts that several people share: the guest of a local mesh."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds `shared`; every account so far is one person's."""
    op.execute("ALTER TABLE users ADD COLUMN shared boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    """Takes `shared` away."""
    op.execute("ALTER TABLE users DROP COLUMN shared")
