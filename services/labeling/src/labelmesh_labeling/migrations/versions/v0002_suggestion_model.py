"""The model whose suggestions a project's annotators may be shown."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Projects made before have none."""
    op.execute("ALTER TABLE projects ADD COLUMN suggestion_model text NOT NULL DEFAULT ''")


def downgrade() -> None:
    """Forgets them."""
    op.execute("ALTER TABLE projects DROP COLUMN suggestion_model")
