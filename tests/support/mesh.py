"""The whole mesh, started as a person starts it, with its data in a folder of the test's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labelmesh_local.ports import free_port

HOUSE = Path(__file__).resolve().parent.parent.parent
GUEST = ("guest", "123456")
_COMMAND_SECONDS = 240


class LocalMesh:
    """`./mesh` with LABELMESH_HOME=`home` on a free port. End it with `end`."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.environment = {**os.environ, "LABELMESH_HOME": str(home), **environment}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_password(self) -> str:
        return (self.home / "data" / "admin-password").read_text().strip()

    # --- commands ---

    def command(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs `./mesh` to its end; stdout and stderr come together."""
        return subprocess.run(
            [sys.executable, str(HOUSE / "mesh"), *arguments],
            env=self.environment,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )

    def up(self, *arguments: str) -> str:
        """Starts it in the background; returns what was said once it runs."""
        done = self.command("up", "--detach", "--port", str(self.port), *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def up_in_front(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts it as in a terminal; the process's stdout is a pipe."""
        return subprocess.Popen(
            [sys.executable, str(HOUSE / "mesh"), "up", "--port", str(self.port), *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def down(self) -> None:
        done = self.command("down")
        assert done.returncode == 0, done.stdout

    def end(self) -> None:
        """Stops it, by force if it does not stop."""
        if self.command("down").returncode != 0 and (state := self.state()):
            os.kill(state["pid"], signal.SIGKILL)

    # --- looking inside ---

    def state(self) -> dict[str, Any]:
        """What `./mesh status --json` says."""
        state: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return state

    def part(self, name: str) -> dict[str, Any]:
        part: dict[str, Any] = next(part for part in self.state()["parts"] if part["name"] == name)
        return part

    def pids(self) -> list[int]:
        """The supervisor's and every part's."""
        state = self.state()
        return [state["pid"], *(part["pid"] for part in state["parts"])]

    def log(self, part: str) -> str:
        """What the part has written so far; empty while it has no log."""
        path = self.home / "data" / "logs" / f"{part}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def has_trained(self) -> bool:
        """Whether the first training has ended, well or badly."""
        said = self.log("mesh")
        return "The model is ready" in said or "The model could not be trained" in said

    # --- calling it, as JSON over HTTP ---

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, token: str | None = None, key: str | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of a call through the gateway; status 0 where nobody answers."""
        headers = {"content-type": "application/json"}
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        headers |= {"x-api-key": key} if key else {}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=15) as reply:
                return reply.status, json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                content = error.read()
            return error.code, json.loads(content) if content.startswith(b"{") else content
        except OSError:
            return 0, None

    def api_key(self, *scopes: str) -> str:
        """The secret of a new key of the administrator's."""
        done = self.command("labelmesh", "keys", "create", "tests", *(word for scope in scopes for word in ("--scope", scope)))
        assert done.returncode == 0, done.stdout
        return done.stdout.split()[-1]

    def sign_in(self, name: str, password: str) -> str:
        """Signs in; returns the token."""
        status, reply = self.call("POST", "/v1/sessions", {"name": name, "password": password})
        assert status == 200, (status, reply)
        return str(reply["token"])


def until(condition: Callable[[], bool], seconds: float = 30.0, what: str = "the condition") -> None:
    """Waits until the condition holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    """Whether the process exists and is not only waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
