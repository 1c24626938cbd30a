"""The schema, and what is forgotten in time."""

from __future__ import annotations

from datetime import timedelta

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from labelmesh_auth.sweep import Retention, Swept, sweep
from labelmesh_auth.tables import Base
from labelmesh_chassis.database import Database
from sqlalchemy import text

from tests.integration.auth.mesh import Auth, FakeClock, migrate_auth


def test_the_migrations_make_exactly_the_tables_and_doing_them_again_changes_nothing(auth_url: str, database: Database) -> None:
    migrate_auth(auth_url)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata) == []


def test_the_sweep_deletes_what_is_past_its_retention_and_nothing_else(auth: Auth, database: Database, clock: FakeClock) -> None:
    for _ in range(3):
        auth.sign_in()
    with database.transaction() as db:
        db.execute(
            text("INSERT INTO sign_in_failures (account_key, address, time) SELECT '\\x00', '', :now FROM generate_series(1, 2500)"),
            {"now": clock()},
        )
    retention = Retention(sessions=timedelta(days=1), failures=timedelta(minutes=15), audit_events=timedelta(days=400))
    assert sweep(database, retention, clock) == Swept()
    clock.advance(901)
    assert sweep(database, retention, clock) == Swept(failures=2500)
    clock.advance(43_200 + 86_400)
    assert sweep(database, retention, clock) == Swept(sessions=3)
    assert sweep(database, retention, clock) == Swept()
    clock.advance(400 * 86_400)
    swept = sweep(database, retention, clock)
    assert swept.audit_events >= 3 and swept.sessions == swept.failures == 0
    auth.sign_in()
