"""The parts of the local mesh: how each is started, when it is ready, and what it must wait for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg2

from labelmesh_local.errors import LocalError
from labelmesh_local.gateway import Gateway
from labelmesh_local.home import Home, Secrets
from labelmesh_local.models import ModelServer
from labelmesh_local.objects import S3Server
from labelmesh_local.ports import answers, free_ports, http_status
from labelmesh_local.postgres import Postgres
from labelmesh_local.process import Process

SERVICES = ("auth", "labeling", "inference", "augment")
HANG_SECONDS = 30.0
_PASSED_ON = {
    "auth": ("LABELMESH_SESSION_IDLE_SECONDS", "LABELMESH_SESSION_ABSOLUTE_SECONDS"),
    "inference": ("LABELMESH_PREDICTION_RETENTION_DAYS", "LABELMESH_CLASSIC_MODEL", "LABELMESH_FETCH_NETWORKS", "LABELMESH_FETCH_PORTS"),
    "augment": ("LABELMESH_WORKERS", "LABELMESH_FETCH_NETWORKS", "LABELMESH_FETCH_PORTS"),
}
"""Settings of a service that a person may give to `./mesh up`."""
_TRACING = {
    "LABELMESH_OTLP_ENDPOINT": "LABELMESH_GATEWAY_OTLP",
    "LABELMESH_OTLP_HTTP_ENDPOINT": "LABELMESH_GATEWAY_OTLP_HTTP",
    "LABELMESH_TRACE_RATIO": "LABELMESH_GATEWAY_TRACE_RATIO",
}
"""Settings of all parts that a person may give to `./mesh up`, and what the gateway calls them."""


@dataclass(frozen=True)
class Part:
    """One part. `launch` returns at once with the process it started; `ready` is asked until it is true, then `once_ready` is done.

    It is launched when all of `needs` are ready, and stops before them and before what it only `uses`. A part in the `background` is
    not waited for, and the mesh goes on without it. `drain` lets calls in flight end; after the stop signal it has `stop_seconds`.
    Once it was ready, a part that does not `respond` for `hang_seconds` is killed and started again; 0 means that nobody looks.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    launch: Callable[[], Process]
    ready: Callable[[], bool]
    ports: Mapping[str, int]
    once_ready: Callable[[], None] = field(default=lambda: None)
    drain: Callable[[], None] = field(default=lambda: None)
    responds: Callable[[], bool] = field(default=lambda: True)
    uses: tuple[str, ...] = ()
    background: bool = False
    stop_seconds: float = 15.0
    ready_seconds: float = 60.0
    hang_seconds: float = HANG_SECONDS


@dataclass(frozen=True)
class Plan:
    """Everything that the parts agree on: ports and secrets of this run."""

    home: Home
    house: Path
    secrets: Secrets
    port: int
    demo: bool
    models: bool
    """Whether models are served and trained."""
    inner: Mapping[str, int]

    @classmethod
    def made(cls, home: Home, house: Path, secrets: Secrets, port: int, *, demo: bool, models: bool) -> Plan:
        names = ["postgres", "s3", "modelserver", "modelserver_http", "gateway_admin"]
        names += [f"{service}{suffix}" for service in SERVICES for suffix in ("", "_ops")]
        return cls(home, house, secrets, port, demo, models, dict(zip(names, free_ports(len(names)), strict=True)))

    def database_url(self, service: str) -> str:
        password = getattr(self.secrets, f"{service}_database")
        return f"postgresql+psycopg2://{service}:{password}@127.0.0.1:{self.inner['postgres']}/{service}"

    def service_environment(self, service: str) -> dict[str, str]:
        """The settings of a service, LABELMESH_*; a setting of the same name from outside does not reach it, but for the log level."""
        own = {
            "LABELMESH_LISTEN": f"127.0.0.1:{self.inner[service]}",
            "LABELMESH_OPS_LISTEN": f"127.0.0.1:{self.inner[service + '_ops']}",
            "LABELMESH_DATABASE_URL": self.database_url(service),
            "LABELMESH_LOG_LEVEL": os.environ.get("LABELMESH_LOG_LEVEL", "info"),
            # The gateway is drained first: nobody calls any more who could be told to go elsewhere.
            "LABELMESH_DRAIN_LEAD_S": "0",
            "PYTHONUNBUFFERED": "1",
        }
        if service == "auth":
            own |= {
                "LABELMESH_KEY_ENCRYPTION_KEY": self.secrets.key_encryption_key,
                "LABELMESH_COOKIE_SECURE": "false",
                "LABELMESH_LOCAL_DEMO": "true" if self.demo else "false",
            }
        else:
            own |= {
                "LABELMESH_IDENTITY_JWKS_URL": f"http://127.0.0.1:{self.inner['auth_ops']}/.well-known/jwks.json",
                "LABELMESH_S3_ENDPOINT": f"127.0.0.1:{self.inner['s3']}",
                "LABELMESH_S3_SECURE": "false",
                "LABELMESH_S3_ACCESS_KEY": self.secrets.s3_access_key,
                "LABELMESH_S3_SECRET_KEY": self.secrets.s3_secret_key,
                "LABELMESH_S3_BUCKET": "labelmesh",
                "LABELMESH_S3_REGION": "us-east-1",
                "LABELMESH_OBJECTS_URL": "/objects",
            }
        if service == "inference":
            own |= {
                "LABELMESH_MODEL_SERVER": f"127.0.0.1:{self.inner['modelserver']}",
                "LABELMESH_LABELING": f"127.0.0.1:{self.inner['labeling']}",
            }
        if service == "augment":
            own |= {"LABELMESH_LABELING": f"127.0.0.1:{self.inner['labeling']}"}
        # Services send no spans over HTTP: only the gateway does, the browsers'.
        passed_on = (*_PASSED_ON.get(service, ()), "LABELMESH_OTLP_ENDPOINT", "LABELMESH_TRACE_RATIO")
        return own | {name: os.environ[name] for name in passed_on if name in os.environ}

    def gateway_environment(self) -> dict[str, str]:
        """The settings that the gateway's configuration is rendered from."""
        here = {name: f"127.0.0.1:{port}" for name, port in self.inner.items()}
        return {
            "LABELMESH_GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "LABELMESH_GATEWAY_ADMIN_PORT": str(self.inner["gateway_admin"]),
            "LABELMESH_GATEWAY_AUTH": here["auth"],
            "LABELMESH_GATEWAY_AUTH_OPS": here["auth_ops"],
            "LABELMESH_GATEWAY_LABELING": here["labeling"],
            "LABELMESH_GATEWAY_INFERENCE": here["inference"],
            "LABELMESH_GATEWAY_AUGMENT": here["augment"],
            "LABELMESH_GATEWAY_OBJECTS": here["s3"],
            "LABELMESH_GATEWAY_WEB_ROOT": str(self.house / "web" / "dist"),
        } | {theirs: os.environ[name] for name, theirs in _TRACING.items() if name in os.environ}


def environment_with(own: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without settings of labelmesh, and `own`."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("LABELMESH_")}, **own}


class GatewayConfiguration:
    """The gateway's configuration, rendered by a process of its own while other parts start."""

    def __init__(self, plan: Plan) -> None:
        self.folder = plan.home.run / "gateway"
        self._log = plan.home.log("gateway")
        command = [sys.executable, "-m", "labelmesh_gateway", "render", "--out", str(self.folder)]
        self._process = Process("rendering the gateway's configuration", command, log=self._log, environment=plan.gateway_environment())
        self._process.start()

    def path(self) -> Path:
        """Waits for it. Raises PartDied if it failed."""
        if not self._process.wait(60) or self._process.exit_code != 0:
            error = self._process.died("before the gateway could start")
            self._process.kill()
            raise error
        return self.folder / "envoy.yaml"

    def cancel(self) -> None:
        self._process.kill()


def make_parts(plan: Plan) -> tuple[Part, ...]:
    """All parts, in the order they stop in reverse."""
    home = plan.home
    postgres = Postgres(home.postgres, plan.inner["postgres"], log=home.log("postgres"))
    store = S3Server(home.objects, plan.inner["s3"], plan.secrets.s3_access_key, plan.secrets.s3_secret_key, log=home.log("objects"))
    configuration = GatewayConfiguration(plan)

    def make_databases() -> None:
        try:
            for service in SERVICES:
                postgres.create_database(service, service, getattr(plan.secrets, f"{service}_database"))
        except psycopg2.Error as error:
            raise LocalError(f"PostgreSQL did not make the databases: {str(error).strip()}") from error

    parts = (
        Part(
            "postgres",
            "PostgreSQL",
            (),
            _launch_postgres(postgres),
            postgres.ready,
            {"sql": plan.inner["postgres"]},
            make_databases,
            responds=postgres.responds,
            stop_seconds=30,
        ),
        Part("objects", "object storage (S3)", (), _launch_store(store), store.ready, {"http": plan.inner["s3"]}, responds=store.responds),
        *([_model_server(plan)] if plan.models else []),
        _service(plan, "auth", "auth service", ("postgres",)),
        _service(plan, "labeling", "labeling service", ("postgres", "objects")),
        _service(plan, "inference", "inference service", ("postgres", "objects"), uses=("labeling", "modelserver")),
        _service(plan, "augment", "augment service", ("postgres", "objects"), uses=("labeling",)),
        _gateway(plan, configuration),
    )
    return tuple(replace(part, hang_seconds=hang_seconds()) for part in parts)


def hang_seconds() -> float:
    """How long a part may be silent: LABELMESH_HANG_SECONDS; 0 means that nobody looks. Raises LocalError."""
    text = os.environ.get("LABELMESH_HANG_SECONDS", "")
    try:
        seconds = float(text) if text else HANG_SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise LocalError(f"LABELMESH_HANG_SECONDS is {text!r}; it must be a number of seconds, or 0.")
    return seconds


def _launch_postgres(postgres: Postgres) -> Callable[[], Process]:
    def launch() -> Process:
        postgres.launch()
        return _started(postgres.process)

    return launch


def _launch_store(store: S3Server) -> Callable[[], Process]:
    def launch() -> Process:
        store.launch()
        return _started(store.process)

    return launch


def _started(process: Process | None) -> Process:
    if process is None:
        raise LocalError("a part was not started")
    return process


def _model_server(plan: Plan) -> Part:
    grpc_port, http_port = plan.inner["modelserver"], plan.inner["modelserver_http"]
    server = ModelServer(plan.home.models, grpc_port, http_port, run_dir=plan.home.run, log=plan.home.log("modelserver"))
    ports = {"grpc": grpc_port, "http": http_port}
    # TensorFlow is some seconds in coming; everything but predictions works without it.
    return Part(
        "modelserver", "model server", (), server.launch, server.ready, ports, responds=server.responds, background=True, ready_seconds=180
    )


def _service(plan: Plan, name: str, title: str, needs: tuple[str, ...], uses: tuple[str, ...] = ()) -> Part:
    grpc_port, ops_port = plan.inner[name], plan.inner[f"{name}_ops"]
    environment = plan.service_environment(name)

    def launch() -> Process:
        # Without docstrings a service needs 8 MB less.
        command = [sys.executable, "-OO", "-m", f"labelmesh_{name}"]
        process = Process(f"the {title}", command, log=plan.home.log(name), environment=environment)
        process.start()
        return process

    def ready() -> bool:
        # The same readiness that its gRPC health service reports.
        return http_status(ops_port, "/healthz") == 200 and answers(grpc_port)

    def responds() -> bool:
        # Any status: a service that says that it is not ready is not the one that hangs.
        return http_status(ops_port, "/healthz", timeout=2) != 0

    ports = {"grpc": grpc_port, "ops": ops_port}
    return Part(name, title, needs, launch, ready, ports, responds=responds, uses=uses, stop_seconds=20)


def _gateway(plan: Plan, configuration: GatewayConfiguration) -> Part:
    running: list[Gateway] = []

    def launch() -> Process:
        path = configuration.path()
        gateway = Gateway(path, run_dir=plan.home.run, log=plan.home.log("gateway"), admin_port=plan.inner["gateway_admin"])
        gateway.launch()
        running[:] = [gateway]
        return _started(gateway.process)

    def ready() -> bool:
        return running[0].ready() and answers(plan.port)

    def drain() -> None:
        configuration.cancel()
        if running:
            running[0].drain(3.0)

    return Part(
        "gateway",
        "gateway (Envoy)",
        SERVICES,
        launch,
        ready,
        {"edge": plan.port, "admin": plan.inner["gateway_admin"]},
        drain=drain,
        responds=lambda: running[0].responds(),
        stop_seconds=8,
    )


def run_module(
    module: str, *arguments: str, environment: Mapping[str, str], stdin: str = "", timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m module` to its end with our settings and nobody else's."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=timeout, env=environment_with(environment), check=False
    )
