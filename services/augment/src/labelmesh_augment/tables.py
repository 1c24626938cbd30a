"""All tables of augmentation are on one MetaData. The migrations make them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import DateTime, MetaData, text
from sqlalchemy.dialects.postgresql import UUID

METADATA = MetaData()

# Types and defaults that many columns have.
TIME = DateTime(timezone=True)
UUID_TYPE = UUID(as_uuid=True)
NOW = text("now()")
