"""A container engine of the tests' own: Debian's dockerd as root, on a private socket, that leaves the machine's packet filter alone.

`--iptables=false --bridge=none`: networks that compose makes are bridges nevertheless, with names that resolve in them, and published ports
are served by docker-proxy. What is missing is what the packet filter would do: nobody gets out of any network (there is no address
translation), and the kernel does not keep networks apart. docker compose comes from Debian 13: Debian 12 has none of version 2.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).resolve().parent.parent.parent
CACHE = HOUSE / ".labelmesh" / "containers"
"""What is kept between runs: the base image's tree, wheels and npm's packages, the engine's own data (so that builds are cached)."""
_SOCKET_SECONDS = 60


def run(*command: str, seconds: float = 1800, **more: Any) -> str:
    """Runs a command to its end; its output. An AssertionError with the end of its output where it fails."""
    done = subprocess.run(list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False, **more)
    assert done.returncode == 0, f"{' '.join(command[:6])} ... ended with {done.returncode}:\n{done.stdout[-4000:]}"
    output: str = done.stdout
    return output


def install(programs: Mapping[str, str]) -> None:
    """Installs the Debian packages of the programs that are missing: {program: package}."""
    missing = [package for program, package in programs.items() if shutil.which(program) is None]
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", env=environment)
        run("apt-get", "install", "-y", "--no-install-recommends", *missing, env=environment)


class Engine:
    """A running dockerd, with `docker` and `docker compose` that talk to it."""

    def __init__(self, folder: Path, plugins: Path) -> None:
        self._folder = folder
        self._socket = folder / "docker.sock"
        self._process: subprocess.Popen[bytes] | None = None
        configuration = folder / "configuration" / "cli-plugins"
        shutil.copytree(plugins, configuration)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("COMPOSE_", "LABELMESH_", "DOCKER_"))},
            "DOCKER_HOST": f"unix://{self._socket}",
            "DOCKER_CONFIG": str(configuration.parent),
            "DOCKER_BUILDKIT": "1",
        }

    def start(self) -> None:
        """Starts it and waits until it answers."""
        data = CACHE / "docker"
        data.mkdir(parents=True, exist_ok=True)
        command = ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--default-ulimit", "nofile=10000:20000"]
        command += ["--host", f"unix://{self._socket}", "--data-root", str(data), "--exec-root", str(self._folder / "exec")]
        command += ["--pidfile", str(self._folder / "pid")]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _SOCKET_SECONDS
        while subprocess.run(["docker", "version"], env=self.environment, capture_output=True, check=False).returncode != 0:
            said = (self._folder / "log").read_text()[-3000:]
            assert self._process.poll() is None, f"dockerd ended:\n{said}"
            assert time.monotonic() < deadline, f"dockerd does not answer:\n{said}"
            time.sleep(0.2)

    def stop(self) -> None:
        """Stops it, and with it every container."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def docker(self, *arguments: str, seconds: float = 1800) -> str:
        return run("docker", *arguments, seconds=seconds, env=self.environment)

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *names))
        return found

    def import_folder(self, folder: Path, name: str, excluded: Sequence[str] = ()) -> None:
        """Makes an image of a folder."""
        command = ["tar", "-C", str(folder), *(f"--exclude={pattern}" for pattern in excluded), "-c", "."]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as packing:
            assert packing.stdout is not None
            run("docker", "import", "-", name, env=self.environment, stdin=packing.stdout)
        assert packing.returncode == 0

    def build(self, name: str, recipe: Path, context: Path, target: str = "", **arguments: str) -> None:
        """Builds an image; there is no network in it."""
        told = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
        aimed = ["--target", target] if target else []
        self.docker("build", "--network=none", "--quiet", "--file", str(recipe), *aimed, *told, "--tag", name, str(context))
