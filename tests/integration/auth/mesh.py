"""A real auth service on a real Postgres, called over a real channel the way the edge calls it: first Check, then the method."""

from __future__ import annotations

import base64
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from labelmesh.auth.v1 import api_keys_pb2, sessions_pb2
from labelmesh.extauthz.v1 import check_pb2
from labelmesh_auth.__main__ import SCHEMA, build_server
from labelmesh_auth.accounts import NewUser, create
from labelmesh_auth.audit import SYSTEM
from labelmesh_auth.cookies import NAME as COOKIE_NAME
from labelmesh_auth.edge.servicer import CHECK_SERVICE
from labelmesh_auth.settings import AuthSettings
from labelmesh_chassis.channels import open_channel
from labelmesh_chassis.database import Database
from labelmesh_chassis.identity import Role
from pydantic import SecretStr

ENCRYPTION_KEY = base64.b64encode(bytes(range(32))).decode()
PASSWORD = "violet-harbour-92"
READ = "/labelmesh.labeling.v1.ProjectService/ListProjects"
WRITE = "/labelmesh.labeling.v1.AnnotationService/SubmitAnnotation"
OPEN = "/labelmesh.auth.v1.SessionService/SignIn"


def migrate_auth(url: str) -> None:
    """Makes auth's schema."""
    SCHEMA.migrate(url)


class FakeClock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self._now = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=seconds)


class Denied(Exception):
    """The edge's check refused."""

    def __init__(self, response: check_pb2.CheckResponse) -> None:
        self.response = response
        self.code = int(response.status.code)
        self.http_status = int(response.denied_response.status.code)
        self.headers = {option.header.key: option.header.value for option in response.denied_response.headers}
        self.body = str(response.denied_response.body)
        info = error_details_pb2.ErrorInfo()
        details = status_pb2.Status.FromString(base64.b64decode(self.headers["grpc-status-details-bin"] + "=="))
        details.details[0].Unpack(info)
        self.reason: str = info.reason
        super().__init__(self.reason)


class Auth:
    """One replica of the service. `headers` of its methods are the client's credentials."""

    def __init__(self, url: str, clock: FakeClock, **overrides: Any) -> None:
        values: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "ops_listen": "127.0.0.1:0",
            "database_url": SecretStr(url),
            "database_pool_size": 8,
            "drain_lead_s": 0,
            "key_encryption_key": SecretStr(ENCRYPTION_KEY),
            "key_refresh_seconds": 0.1,
            **overrides,
        }
        self.url = url
        self.clock = clock
        self.settings = AuthSettings(**values)
        self.server = build_server(self.settings, clock=clock)
        self.port = self.server.start()
        self.channel = open_channel(f"127.0.0.1:{self.port}", [])
        self._edge = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        self._check = self._edge.unary_unary(
            f"/{CHECK_SERVICE}/Check",
            request_serializer=check_pb2.CheckRequest.SerializeToString,
            response_deserializer=check_pb2.CheckResponse.FromString,
        )

    def stop(self) -> None:
        self.channel.close()
        self._edge.close()
        self.server.stop(lead_s=0, drain_s=1)

    def check(self, path: str, headers: dict[str, str] | None = None, *, address: str = "203.0.113.7") -> check_pb2.CheckResponse:
        """What the edge is told about a call."""
        request = check_pb2.CheckRequest()
        request.attributes.source.address.socket_address.address = address
        request.attributes.request.http.path = path
        request.attributes.request.http.headers.update(headers or {})
        return self._check(request, timeout=10)

    def admit(self, path: str, headers: dict[str, str] | None = None, *, address: str = "203.0.113.7") -> dict[str, str]:
        """The headers that the edge adds to a call, or raises Denied."""
        response = self.check(path, headers, address=address)
        if response.WhichOneof("http_response") != "ok_response":
            raise Denied(response)
        return {option.header.key: option.header.value for option in response.ok_response.headers}

    def call(self, request: Message, headers: dict[str, str] | None = None, *, address: str = "203.0.113.7") -> Any:
        """Calls the method that a request belongs to as the edge does; Denied or the MeshError that the service raised."""
        reply, _ = self.call_with_metadata(request, headers, address=address)
        return reply

    def call_with_metadata(
        self, request: Message, headers: dict[str, str] | None = None, *, address: str = "203.0.113.7"
    ) -> tuple[Any, dict[str, str]]:
        """The reply and its initial metadata."""
        path = path_of(request)
        added = self.admit(path, headers, address=address)
        return self.call_inside(request, {**added, "x-labelmesh-client-address": address})

    def call_inside(self, request: Message, metadata: dict[str, str]) -> tuple[Any, dict[str, str]]:
        """Calls past the edge."""
        method = _method_of(request)
        reply_class = message_factory.GetMessageClass(method.output_type)
        multi = self.channel.unary_unary(
            path_of(request), request_serializer=type(request).SerializeToString, response_deserializer=reply_class.FromString
        )
        future = multi.future(request, timeout=20, metadata=tuple(metadata.items()))
        reply = future.result()
        return reply, {key: value for key, value in future.initial_metadata() if isinstance(value, str)}

    def sign_in(self, name: str = "ada", password: str = PASSWORD, *, address: str = "203.0.113.7") -> dict[str, str]:
        """The credentials of a new session."""
        return {"authorization": f"Bearer {self.sign_in_reply(name, password, address=address).token}"}

    def sign_in_reply(self, name: str = "ada", password: str = PASSWORD, *, address: str = "203.0.113.7") -> sessions_pb2.SignInResponse:
        reply: sessions_pb2.SignInResponse = self.call(sessions_pb2.SignInRequest(name=name, password=password), address=address)
        return reply

    def new_key(self, headers: dict[str, str], *scopes: str, **more: Any) -> api_keys_pb2.CreateApiKeyResponse:
        request = api_keys_pb2.CreateApiKeyRequest(request_id=str(uuid.uuid4()), display_name="robot", scopes=scopes, **more)
        reply: api_keys_pb2.CreateApiKeyResponse = self.call(request, headers)
        return reply

    def metric(self, name: str) -> float:
        """A sample on the ops port, 0 when it is not there."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.server.ops.port}/metrics", timeout=5) as reply:
            for line in reply.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.rpartition(" ")[2])
        return 0.0

    def hash_runs(self) -> int:
        """How many passwords were hashed or verified so far."""
        return int(self.metric("labelmesh_auth_password_hash_seconds_count"))


def until(holds: Callable[[], bool], *, timeout_s: float) -> None:
    """Waits for something that happens in the background; AssertionError when it has not by then."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"it did not happen within {timeout_s:g} s"
        time.sleep(0.02)


def path_of(request: Message) -> str:
    """The gRPC path of the method that a request belongs to; every file of the contract has one service."""
    method = _method_of(request)
    return f"/{method.containing_service.full_name}/{method.name}"


def _method_of(request: Message) -> Any:
    (service,) = request.DESCRIPTOR.file.services_by_name.values()
    return service.methods_by_name[request.DESCRIPTOR.name.removesuffix("Request")]


def add_user(database: Database, password_hash: str, name: str = "ada", role: Role = Role.ANNOTATOR, **more: Any) -> str:
    """Makes an account with PASSWORD directly in the database; its id."""
    with database.transaction() as db:
        user = create(db, NewUser(name, name.title(), role, password_hash, **more), SYSTEM, datetime(2030, 1, 1, tzinfo=UTC))
    return str(user.id)


def cookie(token: str) -> dict[str, str]:
    return {"cookie": f"theme=dark; {COOKIE_NAME}={token}; other=1"}
