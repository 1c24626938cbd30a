"""What the gateway of each environment is told, read from the files that tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmesh_gateway import GatewaySettings
from labelmesh_local.home import Home, Secrets
from labelmesh_local.parts import Plan

from tests.platform.consistency.containers import containers
from tests.platform.consistency.house import HOUSE

PLACES = ("local", "docker-compose", "dev", "prod", "dev+monitoring+mtls")
_PREFIX = "LABELMESH_GATEWAY_"


@dataclass(frozen=True)
class Environment:
    """One environment's settings, as they stand there."""

    place: str
    settings: GatewaySettings

    @property
    def mutual_tls(self) -> bool:
        return self.settings.upstream_ca is not None

    def here(self, changes: Mapping[str, Any]) -> GatewaySettings:
        """The same settings on this machine: addresses and files are those of `changes`, everything else is as it stands.

        What is not set there is not set here.
        """
        return self.settings.model_copy(update={name: value for name, value in changes.items() if getattr(self.settings, name) is not None})


def environment(place: str, folder: Path) -> Environment:
    """The environment called `place`. The local mesh's is made as for a home in `folder`, which stays empty."""
    told = {name.removeprefix(_PREFIX).lower(): value for name, value in _told(place, folder).items() if name.startswith(_PREFIX)}
    return Environment(place, GatewaySettings.model_validate(told))


def _told(place: str, folder: Path) -> Mapping[str, str]:
    if place == "local":
        return Plan.made(Home(folder), HOUSE, Secrets.made(), 8080, demo=True, models=True).gateway_environment()
    (found,) = (each for each in containers() if each.place == place and each.module == "labelmesh_gateway" and "render" in each.program)
    return found.settings
