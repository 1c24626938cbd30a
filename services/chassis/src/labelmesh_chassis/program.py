"""A service as a program: `python -m labelmesh_NAME [serve|migrate]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from labelmesh_chassis.database import await_schema, migrate
from labelmesh_chassis.errors import MeshError
from labelmesh_chassis.server import MeshServer
from labelmesh_chassis.settings import ServiceSettings, load_settings
from labelmesh_chassis.telemetry import configure_logging
from labelmesh_chassis.tracing import start_tracing

Settings = TypeVar("Settings", bound=ServiceSettings)


@dataclass(frozen=True)
class Schema:
    """A service's tables: the package that holds their migrations, and the number that keeps two from migrating at once."""

    package: str
    lock_key: int

    def migrate(self, url: str) -> None:
        """Brings a database to the newest schema."""
        migrate(url, self.package, lock_key=self.lock_key)

    def prepare(self, url: str, *, migrate_at_start: bool) -> None:
        """Has the newest schema, or a newer one, in a database: made here, or made by somebody else, who is waited for."""
        if migrate_at_start:
            self.migrate(url)
        else:
            await_schema(url, self.package)


def serve(name: str, settings: Settings, schema: Schema, compose: Callable[[Settings], MeshServer]) -> None:
    """Serves until SIGTERM on a database that has its schema, with traces where a collector is set."""
    configure_logging(name, settings.log_level)
    schema.prepare(settings.database_url.get_secret_value(), migrate_at_start=settings.migrate_at_start)
    tracing = start_tracing(name, settings)
    try:
        server = compose(settings)
        server.start()
        server.run_until_signal()
    finally:
        if tracing is not None:
            tracing.stop()


def run(
    name: str,
    title: str,
    settings: type[Settings],
    schema: Schema,
    compose: Callable[[Settings], MeshServer],
    arguments: Sequence[str] | None = None,
) -> None:
    """Serves until SIGTERM, or brings the database to the newest schema and ends.

    Exits with a sentence that begins with `title` where the service cannot start, with status 2 for wrong settings.
    """
    parser = argparse.ArgumentParser(prog=f"labelmesh_{name}", description=f"{title}.")
    parser.add_argument("command", nargs="?", choices=["serve", "migrate"], default="serve")
    command = parser.parse_args(arguments).command
    try:
        if command == "migrate":
            told = load_settings(ServiceSettings)
            configure_logging(name, told.log_level)
            schema.migrate(told.database_url.get_secret_value())
            return
        serve(name, load_settings(settings), schema, compose)
    except MeshError as problem:
        raise SystemExit(f"{title} cannot start: {problem.message}.") from problem
