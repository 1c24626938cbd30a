"""Schema changes of auth's database, oldest first, run by Alembic at start."""
