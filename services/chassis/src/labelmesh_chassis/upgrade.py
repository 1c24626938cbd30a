"""Alembic's part of a migration: `python -m labelmesh_chassis.upgrade PACKAGE`, with the database's address on stdin.

`labelmesh_chassis.database.migrate` runs it while it holds the lock that keeps other replicas out.
"""

from __future__ import annotations

import importlib.resources
import sys

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, NullPool, create_engine


def upgrade(database_url: str, package: str) -> None:
    """Brings the database to the package's newest revision, all steps in one transaction."""
    config = Config()
    engine = create_engine(database_url, poolclass=NullPool, connect_args={"application_name": f"{package}.upgrade", "connect_timeout": 3})
    with engine.connect() as connection, importlib.resources.as_file(importlib.resources.files(package)) as folder:
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()


def run_migrations(metadata: MetaData) -> None:
    """What an `env.py` does: run the steps on the connection that `upgrade` opened, all of them in one transaction."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


if __name__ == "__main__":
    upgrade(sys.stdin.read(), sys.argv[1])
