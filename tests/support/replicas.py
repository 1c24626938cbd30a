"""The mesh with several processes of every service behind one or more gateways, so that some may go while others serve."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
from labelmesh.auth.v1 import sessions_pb2, sessions_pb2_grpc
from labelmesh.labeling.v1 import images_pb2, images_pb2_grpc, projects_pb2, projects_pb2_grpc
from labelmesh_gateway import GatewaySettings, write
from labelmesh_local.gateway import Gateway
from labelmesh_local.objects import S3Server
from labelmesh_local.ports import free_ports, http_status
from labelmesh_local.postgres import Postgres
from labelmesh_local.process import Process, wait_until
from PIL import Image

from tests.support.relay import Relay

SERVICES = ("auth", "labeling", "inference", "augment")
PASSWORD = "harbour-violet-29"
ADMIN = "resilience-admin"
READY_S = 60
CALL_S = 15
# What a roll-out in Kubernetes has: new calls stop coming before they are refused.
LEAD_S = 3


class Replica:
    """One process of a service."""

    def __init__(self, part: str, folder: Path, ports: tuple[int, int], environment: Mapping[str, str]) -> None:
        self.part = part
        self.grpc_port, self.ops_port = ports
        own = {"LABELMESH_LISTEN": f"127.0.0.1:{self.grpc_port}", "LABELMESH_OPS_LISTEN": f"127.0.0.1:{self.ops_port}"}
        self.process = Process(
            f"{part} on {self.grpc_port}",
            [sys.executable, "-m", f"labelmesh_{part}"],
            log=folder / f"{part}-{self.grpc_port}.log",
            environment={**environment, **own, "PYTHONUNBUFFERED": "1"},
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def ready(self) -> bool:
        return http_status(self.ops_port, "/healthz", timeout=2) == 200

    def start(self) -> None:
        """Starts it and returns when it is ready."""
        self.process.start()
        wait_until(self.process, self.ready, timeout=READY_S, poll=0.05)


class Door:
    """One gateway."""

    def __init__(self, folder: Path, settings: GatewaySettings) -> None:
        self.port = int(settings.listen.rpartition(":")[2])
        self.admin_port = settings.admin_port
        self._folder = folder
        self._settings = settings
        self.gateway = Gateway(folder / "envoy.yaml", run_dir=folder, admin_port=self.admin_port, concurrency=1)

    def start(self) -> None:
        write(self._settings, self._folder)
        self.gateway.start()

    def healthy(self) -> set[str]:
        """The addresses that it would send a call to now."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=5)
        try:
            connection.request("GET", "/clusters?format=json")
            clusters = json.loads(connection.getresponse().read())["cluster_statuses"]
        finally:
            connection.close()
        return {
            "{address}:{port_value}".format(**host["address"]["socket_address"])
            for cluster in clusters
            for host in cluster.get("host_statuses", ())
            if not any(value is True for name, value in host["health_status"].items() if name.startswith(("failed", "pending")))
        }


class ReplicatedMesh:
    """`replicas` processes of each service and `doors` gateways; `folder` holds logs and configurations.

    Inference's model server is away unless `model_server` says where it is. `settings` go to every service, `gateway` to every gateway.
    """

    def __init__(
        self,
        folder: Path,
        postgres: Postgres,
        s3: S3Server,
        *,
        replicas: int = 2,
        doors: int = 1,
        model_server: str = "",
        database_port: int | None = None,
        settings: Mapping[str, str] | None = None,
        gateway: Mapping[str, object] | None = None,
    ) -> None:
        self.folder = folder
        self.postgres = postgres
        self.databases = {part: f"{part}_{uuid.uuid4().hex[:8]}" for part in SERVICES}
        ports = iter(free_ports(2 * replicas * len(SERVICES) + 2 * doors + 2))
        places = {part: [(next(ports), next(ports)) for _ in range(replicas)] for part in SERVICES}
        # Where public keys are asked for: any process of auth that is ready.
        self._keys = Relay(next(ports), lambda: [replica.ops_port for replica in self.parts["auth"] if replica.ready()])
        urls = {part: postgres.create_database(name, f"{name}_role") for part, name in self.databases.items()}
        if database_port is not None:
            urls = {part: url.replace(f":{postgres.port}/", f":{database_port}/") for part, url in urls.items()}
        common = {
            "LABELMESH_IDENTITY_JWKS_URL": f"http://127.0.0.1:{self._keys.port}/.well-known/jwks.json",
            "LABELMESH_S3_ENDPOINT": s3.endpoint,
            "LABELMESH_S3_ACCESS_KEY": s3.access_key,
            "LABELMESH_S3_SECRET_KEY": s3.secret_key,
            "LABELMESH_S3_BUCKET": f"mesh-{uuid.uuid4().hex[:8]}",
            "LABELMESH_KEY_ENCRYPTION_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "LABELMESH_COOKIE_SECURE": "false",
            "LABELMESH_MODEL_SERVER": model_server or f"127.0.0.1:{next(ports)}",
            "LABELMESH_LABELING": "ipv4:" + ",".join(f"127.0.0.1:{grpc_port}" for grpc_port, _ in places["labeling"]),
            "LABELMESH_WORKERS": "1",
            "LABELMESH_DRAIN_LEAD_S": str(LEAD_S),
            **(settings or {}),
        }
        self._environments = {part: {**common, "LABELMESH_DATABASE_URL": urls[part]} for part in SERVICES}
        self.parts = {part: [Replica(part, folder, pair, self._environments[part]) for pair in places[part]] for part in SERVICES}
        self.doors = [self._door(folder / f"gateway-{number}", next(ports), next(ports), s3, gateway or {}) for number in range(doors)]

    def _door(self, folder: Path, port: int, admin_port: int, s3: S3Server, more: Mapping[str, object]) -> Door:
        upstreams = {part: tuple(replica.address for replica in self.parts[part]) for part in SERVICES}
        told: dict[str, object] = {
            **upstreams,
            "listen": f"127.0.0.1:{port}",
            "admin_port": admin_port,
            "auth_ops": tuple(f"127.0.0.1:{replica.ops_port}" for replica in self.parts["auth"]),
            "objects": s3.endpoint,
            "sign_in_per_minute": 100_000,
            "calls_per_second": 100_000,
            "drain_s": 5,
            **more,
        }
        return Door(folder, GatewaySettings.model_validate(told))

    # --- life ---

    @property
    def replicas(self) -> list[Replica]:
        return [replica for part in SERVICES for replica in self.parts[part]]

    def start(self) -> None:
        """Starts it all; returns when every gateway calls every process."""
        self._keys.__enter__()
        for part in SERVICES:
            for replica in self.parts[part]:
                replica.process.start()
        for replica in self.replicas:
            wait_until(replica.process, replica.ready, timeout=READY_S, poll=0.05)
        command = [sys.executable, "-m", "labelmesh_auth", "create-user", "--name", ADMIN, "--role", "admin", "--password-stdin"]
        environment = {**os.environ, **self._environments["auth"]}
        subprocess.run(command, input=f"{PASSWORD}\n", text=True, env=environment, check=True, capture_output=True, timeout=150)
        for door in self.doors:
            door.start()
        self.wait_for(self.replicas)

    def stop(self) -> None:
        for door in self.doors:
            door.gateway.kill()
        for replica in self.replicas:
            replica.process.kill()
        self._keys.__exit__()

    def wait_for(self, replicas: Iterable[Replica], *, timeout: float = 30) -> None:
        """Returns when every gateway that runs calls each of these."""
        wanted = {replica.address for replica in replicas}
        deadline = time.monotonic() + timeout
        for door in self.doors:
            running = door.gateway.process is not None and door.gateway.process.running
            while running and not wanted <= door.healthy():
                assert time.monotonic() < deadline, f"the gateway does not find {wanted - door.healthy()}"
                time.sleep(0.05)

    def roll(self, *parts: str) -> None:
        """Stops and starts one process after the other; of several services one each at a time, as roll-outs at the same time do."""
        for number in range(len(self.parts[parts[0]])):
            replicas = [self.parts[part][number] for part in parts]
            with stopped(replicas):
                pass
            self.wait_for(replicas)

    # --- what is in it ---

    def token(self) -> str:
        """A new session of the administrator."""
        with self.channel() as channel:
            stub = sessions_pb2_grpc.SessionServiceStub(channel)
            return stub.SignIn(sessions_pb2.SignInRequest(name=ADMIN, password=PASSWORD), timeout=CALL_S).token

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(f"127.0.0.1:{self.doors[0].port}", options=[("grpc.use_local_subchannel_pool", 1)])

    def project(self, token: str, images: int) -> str:
        """A new project with so many images in it; no image comes twice to the same person."""
        metadata = (("authorization", f"Bearer {token}"),)
        with self.channel() as channel:
            wanted = projects_pb2.CreateProjectRequest(
                request_id=str(uuid.uuid4()),
                display_name="resilience",
                classes=[projects_pb2.LabelClass(id=name) for name in ("cat", "dog")],
            )
            project = projects_pb2_grpc.ProjectServiceStub(channel).CreateProject(wanted, metadata=metadata, timeout=CALL_S).project.id
            stub = images_pb2_grpc.ImageServiceStub(channel)
            for first in range(0, images, 100):
                numbers = range(first, min(first + 100, images))
                added = [images_pb2.NewImage(name=f"{number}.png", content=picture(number)) for number in numbers]
                stub.AddImages(images_pb2.AddImagesRequest(project_id=project, images=added), metadata=metadata, timeout=60)
        return project


@contextmanager
def stopped(replicas: Sequence[Replica]) -> Iterator[None]:
    """Asks these to stop, all at once; starts them again afterwards. AssertionError where one does not end by itself."""
    with ThreadPoolExecutor(len(replicas)) as pool:
        went = list(pool.map(lambda replica: replica.process.stop(30), replicas))
    try:
        assert all(went), "one did not end by itself"
        yield
    finally:
        for replica in replicas:
            replica.process.start()
        for replica in replicas:
            wait_until(replica.process, replica.ready, timeout=READY_S, poll=0.05)


def picture(number: int, size: int = 24) -> bytes:
    """A small PNG, another for each number."""
    image = Image.new("RGB", (size, size), (number % 256, number // 256 % 256, 90))
    held = io.BytesIO()
    image.save(held, "PNG")
    return held.getvalue()
