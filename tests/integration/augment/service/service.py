"""The augmentation service under test: in this process, or in one of its own that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from labelmesh_augment.__main__ import compose, migrate_database
from labelmesh_augment.settings import AugmentSettings
from labelmesh_chassis.database import Database
from labelmesh_chassis.identity import IdentityVerifier
from labelmesh_local.ports import free_port
from sqlalchemy import text

from tests.integration.augment.service.people import Door
from tests.support.identities import Signer, jwks_server
from tests.support.stores import StoreAddress

__all__ = ["Augment", "ServiceProcess", "jwks_server", "migrate_database", "until"]

# Nobody listens there.
NOWHERE = "127.0.0.1:1"


class Augment:
    """The service in this process, with its workers in theirs."""

    def __init__(self, database_url: str, store: StoreAddress, signer: Signer, labeling: str = NOWHERE, **overrides: Any) -> None:
        values: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "ops_listen": "127.0.0.1:0",
            "database_url": database_url,
            "identity_jwks_url": "http://127.0.0.1:1/unused",
            "labeling": labeling,
            "s3_endpoint": store.endpoint,
            "s3_access_key": store.access_key,
            "s3_secret_key": store.secret_key,
            "s3_bucket": store.bucket,
            "drain_lead_s": 0,
            "workers": 2,
            **overrides,
        }
        self.server = compose(AugmentSettings(**values), IdentityVerifier(signer))
        self.target = f"127.0.0.1:{self.server.start()}"
        self.ops = f"127.0.0.1:{self.server.ops.port}"
        self.door = Door(self.target, signer)
        self.database = Database(database_url, application_name="test", pool_size=4)

    def close(self) -> None:
        self.door.close()
        self.server.stop(lead_s=0, drain_s=2)
        self.database.close()

    def sql(self, statement: str, **parameters: object) -> list[Any]:
        """Runs a statement behind the service's back, in a transaction of its own, and returns the rows, if it has any."""
        with self.database.connection() as connection:
            result: Any = connection.execute(text(statement), parameters)
            return list(result.all()) if result.returns_rows else []

    def metric(self, name: str) -> float:
        """One number of /metrics."""
        return metric(self.ops, name)


def until(is_so: Callable[[], bool], *, timeout_s: float = 20, step_s: float = 0.02) -> None:
    """Waits for something to become so; fails after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(step_s)


def metric(ops: str, name: str) -> float:
    """One number of a service's /metrics."""
    with urllib.request.urlopen(f"http://{ops}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    # What has not happened yet is not listed.
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


class ServiceProcess:
    """`python -m labelmesh_augment` on a port of its own, the same after every start."""

    def __init__(self, database_url: str, store: StoreAddress, jwks_url: str, log: Path, **more: str) -> None:
        self.target = f"127.0.0.1:{free_port()}"
        self.ops = f"127.0.0.1:{free_port()}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LABELMESH_")}
        self.environment = {
            **kept,
            **store.environment(),
            "LABELMESH_LISTEN": self.target,
            "LABELMESH_OPS_LISTEN": self.ops,
            "LABELMESH_DATABASE_URL": database_url,
            "LABELMESH_IDENTITY_JWKS_URL": jwks_url,
            "LABELMESH_LABELING": NOWHERE,
            "LABELMESH_DRAIN_LEAD_S": "0",
            "LABELMESH_WORKERS": "2",
            **more,
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def workers(self) -> list[int]:
        """Processes that it started."""
        found: list[int] = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with suppress(FileNotFoundError):  # a thread that has ended meanwhile
                found += map(int, (task / "children").read_text().split())
        return found

    def start(self) -> None:
        """Returns when it says that it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "labelmesh_augment"], env=self.environment, stderr=log, stdout=log)
        deadline = time.monotonic() + 60
        while not self.ready():
            assert self._process.poll() is None, self.log[-2000:]
            assert time.monotonic() < deadline, "the service is not ready"
            time.sleep(0.02)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.ops}/healthz", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends it as an operator would."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None
