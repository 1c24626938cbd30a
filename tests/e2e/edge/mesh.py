"""The edge with everything behind it: the rendered Envoy, two processes each of auth and labeling, inference, augment, Postgres and S3."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import re
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import jwt
import psycopg2
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from labelmesh.auth.v1 import sessions_pb2, sessions_pb2_grpc
from labelmesh.labeling.v1 import images_pb2, images_pb2_grpc, projects_pb2, projects_pb2_grpc
from labelmesh_auth.keyring import KeyRing
from labelmesh_auth.signing_keys import KeyVault
from labelmesh_chassis.database import Database
from labelmesh_gateway import GatewaySettings, write
from labelmesh_local.gateway import Gateway
from labelmesh_local.objects import S3Server
from labelmesh_local.ports import answers, free_ports
from labelmesh_local.postgres import Postgres
from labelmesh_local.process import Process, wait_until
from PIL import Image

PASSWORD = "violet-harbour-92"
ADMIN = "edge-admin"
ANNOTATOR = "edge-annotator"
REPLICAS = 2
# On loopback, and the one place there that pictures are fetched from.
PICTURE_HOST = "127.7.7.7"
_READY_S = 90
_CALL_S = 15


@dataclass(frozen=True)
class Reply:
    """An answer over HTTP; header names in lower case, of several values the last."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """The reason of the ErrorInfo in a JSON error."""
        return next(str(each["reason"]) for each in self.json["details"] if each["@type"].endswith("ErrorInfo"))


class Replica:
    """One process of a service."""

    def __init__(self, part: str, folder: Path, grpc_port: int, ops_port: int, environment: Mapping[str, str]) -> None:
        self.grpc_port = grpc_port
        self.ops_port = ops_port
        own = {"LABELMESH_LISTEN": f"127.0.0.1:{grpc_port}", "LABELMESH_OPS_LISTEN": f"127.0.0.1:{ops_port}", "PYTHONUNBUFFERED": "1"}
        self.process = Process(
            part, [sys.executable, "-m", f"labelmesh_{part}"], log=folder / f"{part}-{grpc_port}.log", environment={**environment, **own}
        )

    def start(self) -> None:
        self.process.start()
        wait_until(self.process, self.ready, timeout=_READY_S)

    def ready(self) -> bool:
        if not answers(self.ops_port):
            return False
        connection = http.client.HTTPConnection("127.0.0.1", self.ops_port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The sum of a counter over all its labels, from /metrics."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ops_port, timeout=5)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return sum(float(value) for value in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE))


class Door:
    """One Envoy, as its callers and its keeper see it."""

    def __init__(self, port: int, admin_port: int) -> None:
        self.port = port
        self.admin_port = admin_port

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options=[("grpc.use_local_subchannel_pool", 1)])

    def http(self, verb: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Reply:
        """One request on a connection of its own; a body that is not bytes goes as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json", **(headers or {})} if data is not body else dict(headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_CALL_S)
        try:
            connection.request(verb, path, data, given)
            response = connection.getresponse()
            return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def refused_sign_in(self, headers: Mapping[str, str] | None = None) -> Reply:
        """A sign-in under a name that nobody has, another each time, so that auth's own throttle stays out of it."""
        return self.http("POST", "/v1/sessions", {"name": f"nobody-{uuid.uuid4().hex[:12]}", "password": "x"}, headers)

    def envoy_stat(self, name: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=5)
        connection.request("GET", f"/stats?filter=^{re.escape(name)}$")
        text = connection.getresponse().read().decode()
        connection.close()
        return int(text.rpartition(":")[2]) if text.strip() else 0


class EdgeMesh(Door):
    """Starts it all on free loopback ports; `folder` holds logs and the configuration. Inference's model server is away."""

    def __init__(self, folder: Path, postgres: Postgres, s3: S3Server, **settings: Any) -> None:
        self._folder = folder
        self._postgres = postgres
        self._key = base64.b64encode(secrets.token_bytes(32)).decode()
        self.s3 = s3
        names = [f"{part}_{uuid.uuid4().hex[:8]}" for part in ("auth", "labeling", "inference", "augment")]
        self.auth_url, labeling_url, inference_url, augment_url = (postgres.create_database(name, f"{name}_role") for name in names)
        self._auth_database = names[0]
        ports = free_ports(4 * REPLICAS + 8)
        super().__init__(ports.pop(), ports.pop())
        self.picture_port = ports.pop()
        pairs = [(ports.pop(), ports.pop()) for _ in range(2 * REPLICAS + 2)]
        jwks = f"http://127.0.0.1:{pairs[0][1]}/.well-known/jwks.json"
        auth = {
            "LABELMESH_DATABASE_URL": self.auth_url,
            "LABELMESH_KEY_ENCRYPTION_KEY": self._key,
            "LABELMESH_COOKIE_SECURE": "false",
            "LABELMESH_SIGN_IN_ADDRESS_FAILURES": "10000",
        }
        labeling = {
            "LABELMESH_DATABASE_URL": labeling_url,
            "LABELMESH_IDENTITY_JWKS_URL": jwks,
            "LABELMESH_S3_ENDPOINT": s3.endpoint,
            "LABELMESH_S3_ACCESS_KEY": s3.access_key,
            "LABELMESH_S3_SECRET_KEY": s3.secret_key,
            "LABELMESH_S3_BUCKET": f"edge-{uuid.uuid4().hex[:8]}",
        }
        targets = ",".join(f"127.0.0.1:{grpc_port}" for grpc_port, _ in pairs[REPLICAS : 2 * REPLICAS])
        inference = {
            **labeling,
            "LABELMESH_DATABASE_URL": inference_url,
            "LABELMESH_LABELING": f"ipv4:{targets}",
            "LABELMESH_MODEL_SERVER": f"127.0.0.1:{ports.pop()}",
        }
        augment = {
            **labeling,
            "LABELMESH_DATABASE_URL": augment_url,
            "LABELMESH_LABELING": f"ipv4:{targets}",
            "LABELMESH_WORKERS": "1",
            "LABELMESH_FETCH_NETWORKS": f"{PICTURE_HOST}/32",
            "LABELMESH_FETCH_PORTS": ",".join(map(str, (80, 443, self.picture_port))),
        }
        self.auth_environment = auth
        self.labeling_environment = labeling
        self.auth = [Replica("auth", folder, *pair, auth) for pair in pairs[:REPLICAS]]
        self.labeling = [Replica("labeling", folder, *pair, labeling) for pair in pairs[REPLICAS : 2 * REPLICAS]]
        self.inference = Replica("inference", folder, *pairs[-2], inference)
        self.augment = Replica("augment", folder, *pairs[-1], augment)
        self.settings = GatewaySettings(
            listen=f"127.0.0.1:{self.port}",
            admin_port=self.admin_port,
            auth=tuple(f"127.0.0.1:{each.grpc_port}" for each in self.auth),
            auth_ops=tuple(f"127.0.0.1:{each.ops_port}" for each in self.auth),
            labeling=tuple(f"127.0.0.1:{each.grpc_port}" for each in self.labeling),
            inference=(f"127.0.0.1:{self.inference.grpc_port}",),
            augment=(f"127.0.0.1:{self.augment.grpc_port}",),
            objects=s3.endpoint,
            **{"web_root": _web_page(folder / "page"), "sign_in_per_minute": 100_000, **settings},
        )
        self.gateway: Gateway | None = None

    # --- life ---

    def start(self) -> None:
        for replica in self._replicas:
            replica.process.start()
        for replica in self._replicas:
            wait_until(replica.process, replica.ready, timeout=_READY_S)
        for name, role in ((ADMIN, "admin"), (ANNOTATOR, "annotator")):
            self._create_user(name, role)
        self.start_gateway()

    @property
    def _replicas(self) -> tuple[Replica, ...]:
        return (*self.auth, *self.labeling, self.inference, self.augment)

    def start_gateway(self) -> None:
        path = write(self.settings, self._folder / "gateway")
        self.gateway = Gateway(path, run_dir=self._folder / "gateway", admin_port=self.admin_port, concurrency=1)
        self.gateway.start()
        deadline = time.monotonic() + _READY_S
        while self.refused_sign_in().status != 401:
            if time.monotonic() > deadline:
                raise AssertionError("the edge does not reach auth")
            time.sleep(0.1)

    @contextmanager
    def second_door(self, folder: Path, **settings: Any) -> Iterator[Door]:
        """Another Envoy with other settings before the same services."""
        door = Door(*free_ports(2))
        changed = {"listen": f"127.0.0.1:{door.port}", "admin_port": door.admin_port, **settings}
        path = write(self.settings.model_copy(update=changed), folder)
        gateway = Gateway(path, run_dir=folder, admin_port=door.admin_port, concurrency=1)
        gateway.start()
        try:
            yield door
        finally:
            gateway.stop()

    def stop(self) -> None:
        if self.gateway is not None:
            self.gateway.stop()
        for replica in reversed(self._replicas):
            replica.process.ask_to_stop()
        for replica in reversed(self._replicas):
            replica.process.stop()

    def _create_user(self, name: str, role: str) -> None:
        command = [sys.executable, "-m", "labelmesh_auth", "create-user", "--name", name, "--role", role, "--password-stdin"]
        environment = {**os.environ, **self.auth_environment}
        subprocess.run(command, input=f"{PASSWORD}\n", text=True, env=environment, check=True, capture_output=True, timeout=60)

    def sign_in(self, name: str = ADMIN) -> str:
        """A new session's token."""
        with self.channel() as channel:
            stub = sessions_pb2_grpc.SessionServiceStub(channel)
            return stub.SignIn(sessions_pb2.SignInRequest(name=name, password=PASSWORD), timeout=_CALL_S).token

    def project_with_image(self, token: str) -> tuple[str, images_pb2.Image]:
        """A new project with one image in it."""
        metadata = bearer(token)
        picture = io.BytesIO()
        Image.effect_noise((32, 32), 80).save(picture, "PNG")
        with self.channel() as channel:
            wanted = projects_pb2.CreateProjectRequest(
                request_id=str(uuid.uuid4()),
                display_name="edge",
                classes=[projects_pb2.LabelClass(id="cat"), projects_pb2.LabelClass(id="dog")],
            )
            project = projects_pb2_grpc.ProjectServiceStub(channel).CreateProject(wanted, metadata=metadata, timeout=_CALL_S).project
            added = images_pb2_grpc.ImageServiceStub(channel).AddImages(
                images_pb2.AddImagesRequest(project_id=project.id, images=[images_pb2.NewImage(name="a.png", content=picture.getvalue())]),
                metadata=metadata,
                timeout=_CALL_S,
            )
        return project.id, added.results[0].image

    # --- looking inside ---

    def checks(self) -> float:
        """How many session checks auth has answered."""
        return sum(replica.metric("labelmesh_auth_checks_total") for replica in self.auth if replica.process.running)

    def age_sessions(self, seconds: float) -> None:
        """Moves the last activity of all sessions into the past."""
        with psycopg2.connect(self._postgres.dsn(self._auth_database)) as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE sessions SET last_seen_time = last_seen_time - %s * interval '1 second'", (seconds,))
        connection.close()

    def signing_key(self) -> tuple[str, EllipticCurvePrivateKey]:
        """Auth's own key, to sign tokens that only their claims make wrong."""
        database = Database(self.auth_url, application_name="tests", pool_size=1)
        try:
            keys = KeyRing(database, KeyVault(base64.b64decode(self._key)), lambda: datetime.now(UTC))
            keys.refresh()
            return keys.signing_key()
        finally:
            database.close()

    def forged(self, token: str, *, key: EllipticCurvePrivateKey | None = None, algorithm: str = "ES256", **claims: object) -> str:
        """A token like `token` with other claims (None leaves one out), signed by auth's own key or by `key`."""
        key_id, own = self.signing_key()
        known = jwt.decode(token, options={"verify_signature": False})
        signer: Any = (key or own) if algorithm == "ES256" else None
        told = {name: value for name, value in {**known, **claims}.items() if value is not None}
        return jwt.encode(told, signer, algorithm=algorithm, headers={"kid": key_id})


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def own_path(url: str) -> str:
    """The path and query of a URL that the services handed out."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def _web_page(folder: Path) -> Path:
    """A page as the web build leaves it."""
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text('<!doctype html><title>page</title><script type="module" src="/assets/index-Ab12Cd34.js"></script>')
    (folder / "assets" / "index-Ab12Cd34.js").write_text("// " + "label " * 5000)
    (folder / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return folder
