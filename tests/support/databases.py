"""Databases for tests: each test's own, cloned from a template that was migrated once."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

from labelmesh_local.postgres import Postgres

_NUMBERS = itertools.count(1)


class FreshDatabases:
    """Calling it makes a database and returns its SQLAlchemy URL; `drop_all` at the end of the test.

    `fresh_database()` is empty. `fresh_database("labeling", migrate)` has the schema that `migrate(url)` makes: run once for each
    name and session, then cloned (about 50 ms). The role owns the database and can do nothing outside it.
    """

    def __init__(self, postgres: Postgres, templates: dict[str, str]) -> None:
        self._postgres = postgres
        self._templates = templates
        self._made: list[str] = []

    def __call__(self, template: str = "empty", migrate: Callable[[str], object] | None = None) -> str:
        source = "template1"
        if migrate is not None:
            source = self._template(template, migrate)
        name = f"{template}_{os.getpid()}_{next(_NUMBERS)}"
        self._made.append(name)
        return self._postgres.create_database(name, f"{template}_tester", template=source)

    def _template(self, name: str, migrate: Callable[[str], object]) -> str:
        if name not in self._templates:
            database = f"template_{name}"
            migrate(self._postgres.create_database(database, f"{name}_tester"))
            self._templates[name] = database
        return self._templates[name]

    def drop_all(self) -> None:
        for name in self._made:
            self._postgres.drop_database(name)
