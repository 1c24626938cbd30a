"""The mesh as training meets it: auth, labeling, inference and a model server as processes of their own, behind a real Envoy."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmesh_client import Client, connect
from labelmesh_client.repository import ModelRepository
from labelmesh_local.gateway import Gateway
from labelmesh_local.parts import run_module
from labelmesh_local.ports import free_ports, http_status
from labelmesh_local.postgres import Postgres
from labelmesh_local.process import Process, wait_until

from tests.support.modelserver import ModelServerProcess
from tests.support.stores import StoreAddress

ADMIN, ADMIN_PASSWORD = "root", "violet-harbour-92"
SERVICES = ("auth", "labeling", "inference")
#: How long a trainer may be silent here, in seconds.
LEASE_S = 5
_TRAINING_S = 150


@dataclass
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> dict[str, Any]:
        """The last line of stdout, which is JSON."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


class TrainingMesh:
    """All on free loopback ports; the model repository is `repository`."""

    def __init__(self, folder: Path, postgres: Postgres, store: StoreAddress) -> None:
        names = [f"{service}{suffix}" for service in SERVICES for suffix in ("", "_ops")]
        ports = dict(zip([*names, "gateway", "gateway_admin", "models"], free_ports(len(names) + 3), strict=True))
        self._folder, self._store, self._ports = folder, store, ports
        self.address = f"http://127.0.0.1:{ports['gateway']}"
        self.repository = ModelRepository(folder / "models")
        self._environment = {
            service: {
                "LABELMESH_LISTEN": f"127.0.0.1:{ports[service]}",
                "LABELMESH_OPS_LISTEN": f"127.0.0.1:{ports[service + '_ops']}",
                "LABELMESH_DATABASE_URL": postgres.create_database(f"training_{service}_{time.time_ns()}", f"training_{service}"),
                "LABELMESH_IDENTITY_JWKS_URL": f"http://127.0.0.1:{ports['auth_ops']}/.well-known/jwks.json",
                "LABELMESH_DRAIN_LEAD_S": "0",
            }
            for service in SERVICES
        }
        self._environment["auth"] |= {
            "LABELMESH_KEY_ENCRYPTION_KEY": base64.b64encode(bytes(range(32))).decode(),
            "LABELMESH_COOKIE_SECURE": "false",
            # Ctrl-C is pressed after minutes in which nobody calls.
            "LABELMESH_SESSION_IDLE_SECONDS": "3600",
        }
        self._environment["labeling"] |= {**store.environment(), "LABELMESH_OBJECTS_URL": "/objects"}
        self._environment["inference"] |= {
            **store.environment(),
            "LABELMESH_OBJECTS_URL": "/objects",
            "LABELMESH_MODEL_SERVER": f"127.0.0.1:{ports['models']}",
            "LABELMESH_LABELING": f"127.0.0.1:{ports['labeling']}",
            "LABELMESH_TRAINING_LEASE_S": str(LEASE_S),
        }
        self._processes: list[Process] = []
        self._gateway: Gateway | None = None
        self._model_server: ModelServerProcess | None = None

    def start(self) -> None:
        """Returns when calls through the gateway are answered and models can be served."""
        self.repository.prepare()
        log = self._folder / "modelserver.log"
        config = f"--model_config_file={self.repository.config_path}"
        self._model_server = ModelServerProcess(log, config, port=self._ports["models"], wait=False)
        made = run_module(
            *("labelmesh_auth", "create-user", "--name", ADMIN, "--role", "admin", "--password-stdin"),
            environment=self._environment["auth"],
            stdin=ADMIN_PASSWORD,
        )
        assert made.returncode == 0, made.stderr
        for service in SERVICES:
            self._start_service(service)
        self._start_gateway()
        self._model_server.wait_until_ready()

    def stop(self) -> None:
        if self._gateway is not None:
            self._gateway.stop()
        for process in self._processes:
            process.stop(15)
        if self._model_server is not None:
            self._model_server.kill()

    def client(self) -> Client:
        return connect(self.address, user=ADMIN, password=ADMIN_PASSWORD)

    # --- the command ---

    def start_training(self, *argv: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Runs `labelmesh train digits` as a process."""
        return subprocess.Popen(
            [sys.executable, "-m", "labelmesh_client", "train", "digits", *argv],
            env={**self.environment(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def train(self, *argv: str, environment: Mapping[str, str] | None = None) -> Ran:
        """The same to its end."""
        return self.ended(self.start_training(*argv, environment=environment))

    def ended(self, process: subprocess.Popen[str], *, seconds: float = _TRAINING_S) -> Ran:
        """Waits for the command's end; it is killed and the test fails after `seconds`."""
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"the command took longer than {seconds} s: {out[-1000:]} {err[-3000:]}") from None
        return Ran(process.returncode, out, err)

    def environment(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "LABELMESH_ADDRESS": self.address,
            "LABELMESH_USER": ADMIN,
            "LABELMESH_PASSWORD": ADMIN_PASSWORD,
            "LABELMESH_MODELS": str(self.repository.path),
            "HOME": str(self._folder),
            "CUDA_VISIBLE_DEVICES": "-1",
        }

    # --- parts ---

    def _start_service(self, service: str) -> None:
        log = self._folder / f"{service}.log"
        process = Process(service, [sys.executable, "-m", f"labelmesh_{service}"], log=log, environment=self._environment[service])
        process.start()
        self._processes.append(process)
        wait_until(process, lambda: http_status(self._ports[f"{service}_ops"], "/healthz") == 200, timeout=60)

    def _start_gateway(self) -> None:
        environment = {
            "LABELMESH_GATEWAY_LISTEN": f"127.0.0.1:{self._ports['gateway']}",
            "LABELMESH_GATEWAY_ADMIN_PORT": str(self._ports["gateway_admin"]),
            "LABELMESH_GATEWAY_AUTH": f"127.0.0.1:{self._ports['auth']}",
            "LABELMESH_GATEWAY_AUTH_OPS": f"127.0.0.1:{self._ports['auth_ops']}",
            "LABELMESH_GATEWAY_LABELING": f"127.0.0.1:{self._ports['labeling']}",
            "LABELMESH_GATEWAY_INFERENCE": f"127.0.0.1:{self._ports['inference']}",
            "LABELMESH_GATEWAY_OBJECTS": self._store.endpoint,
            "LABELMESH_GATEWAY_SIGN_IN_PER_MINUTE": "100000",
            "LABELMESH_GATEWAY_CALLS_PER_SECOND": "100000",
            "LABELMESH_GATEWAY_WEB_ROOT": str(self._folder / "no-page"),
        }
        rendered = run_module("labelmesh_gateway", "render", "--out", str(self._folder / "gateway"), environment=environment)
        assert rendered.returncode == 0, rendered.stderr
        self._gateway = Gateway(
            self._folder / "gateway" / "envoy.yaml", run_dir=self._folder, admin_port=self._ports["gateway_admin"], concurrency=1
        )
        self._gateway.start()
