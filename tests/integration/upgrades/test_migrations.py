"""The service of one release runs on the schema of the next: no migration takes away what it stands on."""

from __future__ import annotations

import itertools

import psycopg2
import pytest

from tests.integration.upgrades.schemas import migrate_to, read_schema, revisions, taken_away
from tests.support.databases import FreshDatabases

SERVICES = ("auth", "labeling", "inference", "augment")
ALLOWED: dict[tuple[str, str], dict[str, str]] = {}
"""By service and revision: what it takes away, word for word as the test says it, with the release in which nothing used it any more and
why. A release that stops using something comes before the one whose migration drops it; see docs/upgrades.md."""


@pytest.mark.parametrize("service", SERVICES)
def test_each_migration_leaves_what_the_release_before_stands_on(service: str, fresh_database: FreshDatabases) -> None:
    package = f"labelmesh_{service}.migrations"
    url = fresh_database()
    known = revisions(package)
    assert known, "there is at least the first"
    migrate_to(url, package, known[0])
    before = read_schema(url)
    assert before.tables
    for revision in known[1:]:
        migrate_to(url, package, revision)
        after = read_schema(url)
        allowed = ALLOWED.get((service, revision), {})
        lost = [line for line in taken_away(before, after) if line not in allowed]
        assert not lost, f"{service} {revision}: the release before would fail on this schema: {lost}"
        assert all(allowed.values()), "each with its reason"
        before = after


def test_what_is_allowed_is_still_there_to_be_allowed() -> None:
    for service, revision in ALLOWED:
        assert revision in revisions(f"labelmesh_{service}.migrations")


TABLES = """
CREATE TABLE things (id integer PRIMARY KEY, name text, size integer NOT NULL DEFAULT 0, kind text NOT NULL, note text);
CREATE UNIQUE INDEX things_name ON things (name);
CREATE TABLE others (id integer PRIMARY KEY);
CREATE SEQUENCE numbers;
"""


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("DROP TABLE others", "table others is gone"),
        ("ALTER TABLE others RENAME TO strangers", "table others is gone"),
        ("ALTER TABLE things DROP COLUMN note", "column things.note is gone"),
        ("ALTER TABLE things RENAME COLUMN note TO remark", "column things.note is gone"),
        ("ALTER TABLE things ALTER COLUMN size TYPE bigint", "column things.size was integer and is bigint"),
        ("ALTER TABLE things ADD COLUMN new text NOT NULL", "column things.new is new and must be given"),
        ("ALTER TABLE things ALTER COLUMN note SET NOT NULL", "column things.note takes NULL no more"),
        ("ALTER TABLE things ALTER COLUMN size DROP DEFAULT", "column things.size has lost its default"),
        ("ALTER TABLE things ADD CHECK (size < 9)", "things has a new rule: CHECK ((size < 9))"),
        ("ALTER TABLE things ADD FOREIGN KEY (size) REFERENCES others", "things has a new rule: FOREIGN KEY (size) REFERENCES others(id)"),
        ("CREATE UNIQUE INDEX more ON things (kind)", "things has a new unique index: btree (kind)"),
        ("DROP INDEX things_name", "things has lost a unique index: btree (name)"),
        ("DROP SEQUENCE numbers", "numbers is gone"),
    ],
)
def test_each_way_of_taking_something_away_is_seen(step: str, said: str, fresh_database: FreshDatabases) -> None:
    assert _difference(fresh_database(), step) == [said]


def test_what_only_adds_is_taken(fresh_database: FreshDatabases) -> None:
    steps = """
    ALTER TABLE things ADD COLUMN a text; ALTER TABLE things ADD COLUMN b text NOT NULL DEFAULT '';
    CREATE INDEX more ON things (kind); CREATE TABLE new (id integer PRIMARY KEY, x text NOT NULL CHECK (x <> ''));
    ALTER TABLE things ALTER COLUMN kind DROP NOT NULL; ALTER INDEX things_name RENAME TO other_name; CREATE SEQUENCE more_numbers
    """
    assert _difference(fresh_database(), steps) == []


def _difference(url: str, steps: str) -> list[str]:
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(TABLES)
            before = read_schema(url)
            cursor.execute(steps)
    finally:
        connection.close()
    return taken_away(before, read_schema(url))


@pytest.mark.parametrize("service", SERVICES)
def test_a_migration_can_be_taken_back_and_made_again(service: str, fresh_database: FreshDatabases) -> None:
    """Where the new release never ran, the schema may go back; afterwards it is exactly the old one."""
    package = f"labelmesh_{service}.migrations"
    url = fresh_database()
    known = revisions(package)
    for older, newer in itertools.pairwise(known):
        migrate_to(url, package, older)
        before = read_schema(url)
        migrate_to(url, package, newer)
        migrate_to(url, package, older)
        assert read_schema(url) == before
    migrate_to(url, package, known[-1])
