"""A service as a program: `python -m labelmesh_NAME [serve|migrate]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TypeVar

from labelmesh_chassis.errors import MeshError
from labelmesh_chassis.server import MeshServer
from labelmesh_chassis.settings import ServiceSettings, load_settings
from labelmesh_chassis.telemetry import configure_logging

Settings = TypeVar("Settings", bound=ServiceSettings)


def run(
    name: str,
    title: str,
    settings: type[Settings],
    migrate: Callable[[str], None],
    compose: Callable[[Settings], MeshServer],
    arguments: Sequence[str] | None = None,
) -> None:
    """Brings the database to the newest schema, and then serves until SIGTERM unless only that was asked for.

    `migrate` is given the database's URL. Exits with a sentence that begins with `title` where the service cannot start, with status 2 for
    wrong settings.
    """
    parser = argparse.ArgumentParser(prog=f"labelmesh_{name}", description=f"{title}.")
    parser.add_argument("command", nargs="?", choices=["serve", "migrate"], default="serve")
    command = parser.parse_args(arguments).command

    def migrated(told: ServiceSettings) -> None:
        configure_logging(name, told.log_level)
        migrate(told.database_url.get_secret_value())

    try:
        if command == "migrate":
            migrated(load_settings(ServiceSettings))
            return
        told = load_settings(settings)
        migrated(told)
        server = compose(told)
        server.start()
        server.run_until_signal()
    except MeshError as problem:
        raise SystemExit(f"{title} cannot start: {problem.message}.") from problem
