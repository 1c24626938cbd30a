"""The whole mesh as a client meets it: its services as processes of their own, behind a real Envoy."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labelmesh_client import Client, ModelRepository, connect
from labelmesh_client.accounts import SCOPES
from labelmesh_client.command.main import main
from labelmesh_client.command.terminal import Terminal
from labelmesh_local.gateway import Gateway
from labelmesh_local.parts import run_module
from labelmesh_local.ports import free_ports, http_status
from labelmesh_local.postgres import Postgres
from labelmesh_local.process import Process, wait_until

from tests.support.modelserver import ModelServerProcess
from tests.support.stores import StoreAddress

_SERVICES = ("auth", "labeling", "inference", "augment")
ADMIN, ADMIN_PASSWORD = "root", "violet-harbour-92"
ALL_SCOPES = SCOPES


@dataclass
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Mesh:
    """Auth, labeling and the gateway on free loopback ports. `idle_seconds` is how long a session lasts without activity.

    `start_models` brings inference and a model server beside them, whose model repository is `repository`; TensorFlow takes some seconds.
    `start_augmenting` brings the augmentation service.
    """

    def __init__(self, folder: Path, postgres: Postgres, store: StoreAddress, *, idle_seconds: int = 120) -> None:
        names = [f"{service}{suffix}" for service in _SERVICES for suffix in ("", "_ops")] + ["gateway", "gateway_admin", "models"]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.address = f"http://127.0.0.1:{self.ports['gateway']}"
        self._folder = folder
        urls = {name: postgres.create_database(f"client_{name}_{time.time_ns()}", f"client_{name}") for name in _SERVICES}
        self._environment = {
            "auth": {
                **self._service("auth", urls["auth"]),
                "LABELMESH_KEY_ENCRYPTION_KEY": base64.b64encode(bytes(range(32))).decode(),
                "LABELMESH_COOKIE_SECURE": "false",
                "LABELMESH_SESSION_IDLE_SECONDS": str(idle_seconds),
            },
            "labeling": {**self._service("labeling", urls["labeling"]), **store.environment(), "LABELMESH_OBJECTS_URL": "/objects"},
            "inference": {
                **self._service("inference", urls["inference"]),
                **store.environment(),
                "LABELMESH_OBJECTS_URL": "/objects",
                "LABELMESH_MODEL_SERVER": f"127.0.0.1:{self.ports['models']}",
                "LABELMESH_LABELING": f"127.0.0.1:{self.ports['labeling']}",
            },
            "augment": {
                **self._service("augment", urls["augment"]),
                **store.environment(),
                "LABELMESH_OBJECTS_URL": "/objects",
                "LABELMESH_LABELING": f"127.0.0.1:{self.ports['labeling']}",
                "LABELMESH_WORKERS": "2",
            },
        }
        self.repository = ModelRepository(folder / "models")
        self._model_server: ModelServerProcess | None = None
        self._store = store
        self._processes: dict[str, Process] = {}
        self._gateway: Gateway | None = None

    def _service(self, name: str, url: str) -> dict[str, str]:
        return {
            "LABELMESH_LISTEN": f"127.0.0.1:{self.ports[name]}",
            "LABELMESH_OPS_LISTEN": f"127.0.0.1:{self.ports[name + '_ops']}",
            "LABELMESH_DATABASE_URL": url,
            "LABELMESH_IDENTITY_JWKS_URL": f"http://127.0.0.1:{self.ports['auth_ops']}/.well-known/jwks.json",
            "LABELMESH_DRAIN_LEAD_S": "0",
        }

    def start(self) -> None:
        """Returns when calls through the gateway are answered."""
        self.create_user(ADMIN, "admin", ADMIN_PASSWORD)
        for name in ("auth", "labeling"):
            self.start_service(name)
        environment = {
            "LABELMESH_GATEWAY_LISTEN": f"127.0.0.1:{self.ports['gateway']}",
            "LABELMESH_GATEWAY_ADMIN_PORT": str(self.ports["gateway_admin"]),
            "LABELMESH_GATEWAY_AUTH": f"127.0.0.1:{self.ports['auth']}",
            "LABELMESH_GATEWAY_AUTH_OPS": f"127.0.0.1:{self.ports['auth_ops']}",
            "LABELMESH_GATEWAY_LABELING": f"127.0.0.1:{self.ports['labeling']}",
            "LABELMESH_GATEWAY_INFERENCE": f"127.0.0.1:{self.ports['inference']}",
            "LABELMESH_GATEWAY_AUGMENT": f"127.0.0.1:{self.ports['augment']}",
            "LABELMESH_GATEWAY_OBJECTS": self._store.endpoint,
            "LABELMESH_GATEWAY_SIGN_IN_PER_MINUTE": "100000",
            "LABELMESH_GATEWAY_CALLS_PER_SECOND": "100000",
            "LABELMESH_GATEWAY_WEB_ROOT": str(self._folder / "no-page"),
        }
        rendered = run_module("labelmesh_gateway", "render", "--out", str(self._folder / "gateway"), environment=environment)
        assert rendered.returncode == 0, rendered.stderr
        self._gateway = Gateway(
            self._folder / "gateway" / "envoy.yaml", run_dir=self._folder, admin_port=self.ports["gateway_admin"], concurrency=1
        )
        self._gateway.start()

    def start_models(self) -> None:
        """Returns when models can be served; does nothing the second time."""
        if self._model_server is not None:
            return
        self.repository.prepare()
        config = f"--model_config_file={self.repository.config_path}"
        self._model_server = ModelServerProcess(self._folder / "modelserver.log", config, port=self.ports["models"], wait=False)
        self.start_service("inference")
        self._model_server.wait_until_ready()

    def start_augmenting(self) -> None:
        """Returns when pictures can be augmented; does nothing the second time."""
        if "augment" not in self._processes:
            self.start_service("augment")

    def stop(self) -> None:
        if self._model_server is not None:
            self._model_server.kill()
        if self._gateway is not None:
            self._gateway.stop()
        for process in self._processes.values():
            process.stop(15)

    def start_service(self, name: str) -> None:
        """Starts a service (again) and waits until it is ready."""
        command = [sys.executable, "-m", f"labelmesh_{name}"]
        process = Process(name, command, log=self._folder / f"{name}.log", environment=self._environment[name])
        process.start()
        self._processes[name] = process
        wait_until(process, lambda: http_status(self.ports[f"{name}_ops"], "/healthz") == 200, timeout=60)

    def stop_service(self, name: str) -> None:
        self._processes[name].stop(15)

    def create_user(self, name: str, role: str, password: str) -> None:
        arguments = ("create-user", "--name", name, "--role", role, "--password-stdin")
        made = run_module("labelmesh_auth", *arguments, environment=self._environment["auth"], stdin=password)
        assert made.returncode == 0, made.stderr

    def admin(self) -> Client:
        return connect(self.address, user=ADMIN, password=ADMIN_PASSWORD)

    def key(self, *scopes: str) -> str:
        """The secret of a new API key."""
        with self.admin() as client:
            return client.api_keys.create("test", scopes or ALL_SCOPES)[1]

    def environment(self) -> dict[str, str]:
        """What the command needs to work as the administrator."""
        return {
            "LABELMESH_ADDRESS": self.address,
            "LABELMESH_USER": ADMIN,
            "LABELMESH_PASSWORD": ADMIN_PASSWORD,
            "LABELMESH_MODELS": str(self.repository.path),
            "HOME": str(self._folder),
        }

    def labelmesh(self, *argv: str, stdin: str | bytes = "", environment: Mapping[str, str] | None = None) -> Ran:
        """Runs the command in this process, as the administrator unless `environment` says otherwise."""
        out, err = io.StringIO(), io.StringIO()
        given = io.TextIOWrapper(io.BytesIO(stdin if isinstance(stdin, bytes) else stdin.encode()), "utf-8")
        code = main(argv, Terminal(environment or self.environment(), given, out, err))
        return Ran(code, out.getvalue(), err.getvalue())

    def start_labelmesh(self, *argv: str) -> subprocess.Popen[str]:
        """Runs the command as a process."""
        command = [sys.executable, "-m", "labelmesh_client", *argv]
        environment = {**os.environ, **self.environment()}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
