"""What a release's SQL stands on, and what a next schema takes away from it.

The service before an upgrade runs on the schema after it: while pods are replaced, and after a rollback. So everything that its
statements can name must still be there, of the same type, and what it writes must still be taken.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass, field

import psycopg2
from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, create_engine, text

_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> ''
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
"""
_CONSTRAINTS = """
SELECT c.relname, k.contype, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE c.relnamespace = 'public'::regnamespace AND k.contype IN ('c', 'f', 'x')
"""
# Names of indexes and constraints are for people; statements name columns (ON CONFLICT too).
_UNIQUE = """
SELECT c.relname, regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '') FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique
"""
_OTHERS = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('S', 'v', 'm')"


@dataclass(frozen=True)
class Column:
    """`filled`: the database has a value where a statement gives none."""

    type: str
    not_null: bool
    filled: bool


@dataclass
class Schema:
    """Tables with their columns, what must hold for rows, and sequences and views."""

    tables: dict[str, dict[str, Column]] = field(default_factory=dict)
    rules: set[tuple[str, str]] = field(default_factory=set)
    unique: set[tuple[str, str]] = field(default_factory=set)
    others: set[str] = field(default_factory=set)


def read_schema(url: str) -> Schema:
    """The schema of a database."""
    found = Schema()
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute(_COLUMNS)
            for table, name, kind, not_null, filled in cursor.fetchall():
                if table != "alembic_version":
                    found.tables.setdefault(table, {})[name] = Column(kind, not_null, filled)
            cursor.execute(_CONSTRAINTS)
            found.rules = {(table, definition) for table, _, _, definition in cursor.fetchall()}
            cursor.execute(_UNIQUE)
            found.unique = {(table, definition) for table, definition in cursor.fetchall() if table != "alembic_version"}
            cursor.execute(_OTHERS)
            found.others = {name for (name,) in cursor.fetchall()}
    finally:
        connection.close()
    return found


def taken_away(old: Schema, new: Schema) -> list[str]:
    """What of `old` a service cannot rely on any more under `new`; one line for each thing."""
    lines = [f"table {name} is gone" for name in old.tables.keys() - new.tables.keys()]
    lines += [f"{name} is gone" for name in old.others - new.others]
    for table in old.tables.keys() & new.tables.keys():
        lines += _taken_from(table, old.tables[table], new.tables[table])
    tables = old.tables.keys()
    lines += [f"{table} has a new rule: {rule}" for table, rule in new.rules - old.rules if table in tables]
    lines += [f"{table} has a new unique index: {index}" for table, index in new.unique - old.unique if table in tables]
    lines += [f"{table} has lost a unique index: {index}" for table, index in old.unique - new.unique if table in new.tables]
    return sorted(lines)


def _taken_from(table: str, old: dict[str, Column], new: dict[str, Column]) -> list[str]:
    lines = [f"column {table}.{name} is gone" for name in old.keys() - new.keys()]
    for name in old.keys() & new.keys():
        before, after = old[name], new[name]
        if before.type != after.type:
            lines.append(f"column {table}.{name} was {before.type} and is {after.type}")
        if after.not_null and not before.not_null:
            lines.append(f"column {table}.{name} takes NULL no more")
        if before.filled and not after.filled and after.not_null:
            lines.append(f"column {table}.{name} has lost its default")
    wanted = [name for name in new.keys() - old.keys() if new[name].not_null and not new[name].filled]
    return lines + [f"column {table}.{name} is new and must be given" for name in wanted]


def revisions(package: str) -> list[str]:
    """Of a service's migrations, oldest first."""
    files = (importlib.resources.files(package) / "versions").iterdir()
    return sorted(file.name[1:5] for file in files if file.name.startswith("v") and file.name.endswith(".py"))


def migrate_to(url: str, package: str, revision: str) -> None:
    """Brings a database to a revision, upwards or downwards."""
    config = Config()
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection, importlib.resources.as_file(importlib.resources.files(package)) as folder:
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        known = connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
        found = str(connection.scalar(text("SELECT version_num FROM alembic_version")) or "") if known else ""
        connection.rollback()
        (command.upgrade if found < revision else command.downgrade)(config, revision)
    engine.dispose()
