"""docker-compose.yml, run as a person runs it, with stand-ins for the images that cannot be pulled."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from labelmesh_local.ports import free_port

from tests.containers import ingredients
from tests.containers.engine import HOUSE, Engine, run

PROJECT = "labelmesh-test"


class ComposedMesh:
    """The mesh of docker-compose.yml with our own model server, on a free port of loopback."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self.port = free_port()
        self._settings = folder / "env"
        settings = {
            "COMPOSE_FILE": f"{HOUSE}/docker-compose.yml:{HOUSE}/compose/modelserver.yml",
            "POSTGRES_IMAGE": ingredients.POSTGRES_IMAGE,
            "SEAWEEDFS_IMAGE": ingredients.SEAWEEDFS_IMAGE,
            "LABELMESH_PORT": str(self.port),
        }
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def compose(self, *arguments: str, seconds: float = 900) -> str:
        command = ["docker", "compose", "--progress", "quiet", "--env-file", str(self._settings), "-p", PROJECT, *arguments]
        return run(*command, seconds=seconds, env=self._engine.environment, cwd=HOUSE)

    def up(self, *services: str) -> None:
        """Starts everything that a plain `up` starts and waits until what is asked for has come that far."""
        self.compose("up", "--detach", "--no-build", "--pull", "never", *services)

    def down(self, *more: str) -> None:
        self.compose("down", "--timeout", "60", *more)

    def state(self, service: str) -> dict[str, Any]:
        """What the engine says of a service's container."""
        identity = self.compose("ps", "--all", "--quiet", service).strip()
        return self._engine.inspect(identity)[0]

    def wait_until_done(self, job: str, seconds: float = 600) -> None:
        """Waits until a job has ended well."""
        deadline = time.monotonic() + seconds
        while (state := self.state(job)["State"])["Status"] != "exited" or state["ExitCode"] != 0:
            assert time.monotonic() < deadline, f"{job} is {state}:\n{self.compose('logs', '--tail', '20', job)}"
            time.sleep(2)

    def wait_until_healthy(self, service: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while (state := self.state(service)["State"])["Health"]["Status"] != "healthy":
            assert time.monotonic() < deadline, json.dumps(state)[-2000:]
            time.sleep(1)

    def admin_password(self) -> str:
        return self.compose("run", "--rm", "--no-deps", "-T", "first-start", "password").strip().splitlines()[-1]
