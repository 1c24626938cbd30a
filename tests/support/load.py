"""Callers who call without pause through a gateway, each call sent once, and a record of what became of every call."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import grpc
from google.protobuf.message import Message
from labelmesh.augment.v1 import augmentations_pb2, augmentations_pb2_grpc, pipelines_pb2, pipelines_pb2_grpc
from labelmesh.auth.v1 import sessions_pb2, sessions_pb2_grpc
from labelmesh.inference.v1 import models_pb2, models_pb2_grpc
from labelmesh.labeling.v1 import annotations_pb2, annotations_pb2_grpc, projects_pb2, projects_pb2_grpc

CALL_S = 20.0
_GRPC_WEB = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}


@dataclass(frozen=True)
class Call:
    """What became of one call; `problem` is empty when it was answered."""

    kind: str
    began: float
    seconds: float
    problem: str


@dataclass
class Record:
    """All calls of all callers."""

    calls: list[Call] = field(default_factory=list)

    @property
    def lost(self) -> Counter[str]:
        return Counter(f"{call.kind}: {call.problem}" for call in self.calls if call.problem)

    @property
    def answered(self) -> Counter[str]:
        return Counter(call.kind for call in self.calls if not call.problem)

    def seconds(self, kind: str = "") -> list[float]:
        """How long those took that were answered."""
        return [call.seconds for call in self.calls if not call.problem and call.kind.startswith(kind)]

    def longest_gap(self, kind: str = "") -> float:
        """The longest time in seconds that passed without any answer."""
        ends = sorted(call.began + call.seconds for call in self.calls if not call.problem and call.kind.startswith(kind))
        return max((later - earlier for earlier, later in pairwise(ends)), default=0.0)


class Load:
    """Runs callers in a thread each from `with` to its end. `port` is where the gateway, or what stands before several, listens."""

    def __init__(self, port: int, token: str, callers: Sequence[Caller], *, pause_s: float = 0.01) -> None:
        self.port = port
        self.token = token
        self.metadata = (("authorization", f"Bearer {token}"),)
        self.record = Record()
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=caller, args=(self,), daemon=True) for caller in callers]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def channel(self) -> grpc.Channel:
        # As the command and the SDK have it: a gateway that comes back is found again within moments.
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options=options)

    def goes_on(self) -> bool:
        """Whether to make another call, after a pause."""
        return not self._stop.wait(self._pause_s)

    def count(self, kind: str, call: Callable[[], Any]) -> Any:
        """Makes a call and keeps what became of it; its answer, or None."""
        began, answer, problem = time.monotonic(), None, ""
        try:
            answer = call()
        except grpc.RpcError as error:
            problem = f"{error.code().name} {error.details()}"
        except (OSError, http.client.HTTPException, RefusedCall) as error:
            problem = f"{type(error).__name__} {error}"
        with self._lock:
            self.record.calls.append(Call(kind, began, time.monotonic() - began, problem))
        return answer


Caller = Callable[[Load], None]


class RefusedCall(Exception):
    """An answer over HTTP that says no."""


def reads_by_grpc(load: Load) -> None:
    """One read after another of every service, over one channel."""
    with load.channel() as channel:
        sessions = sessions_pb2_grpc.SessionServiceStub(channel)
        projects = projects_pb2_grpc.ProjectServiceStub(channel)
        models = models_pb2_grpc.ModelServiceStub(channel)
        pipelines = pipelines_pb2_grpc.PipelineServiceStub(channel)
        told: dict[str, Any] = {"metadata": load.metadata, "timeout": CALL_S}
        while load.goes_on():
            load.count("grpc auth", lambda: sessions.GetSession(sessions_pb2.GetSessionRequest(), **told))
            load.count("grpc labeling", lambda: projects.ListProjects(projects_pb2.ListProjectsRequest(page_size=1), **told))
            load.count("grpc inference", lambda: models.ListModels(models_pb2.ListModelsRequest(), **told))
            load.count("grpc augment", lambda: pipelines.ListTransforms(pipelines_pb2.ListTransformsRequest(), **told))


def streams_by_grpc(project_id: str) -> Caller:
    """Reads all labels of a project by a stream, again and again."""

    def caller(load: Load) -> None:
        with load.channel() as channel:
            stub = annotations_pb2_grpc.AnnotationServiceStub(channel)
            request = annotations_pb2.StreamLabelsRequest(project_id=project_id)
            while load.goes_on():
                load.count("grpc stream", lambda: list(stub.StreamLabels(request, metadata=load.metadata, timeout=CALL_S)))

    return caller


def pictures_by_grpc(file: bytes) -> Caller:
    """Has a picture augmented."""

    def caller(load: Load) -> None:
        sample = augmentations_pb2.Sample(source=augmentations_pb2.Source(image=file))
        pipeline = pipelines_pb2.Pipeline(steps=[pipelines_pb2.Step(transform="horizontal_flip")])
        request = augmentations_pb2.ApplyRequest(sample=sample, pipeline=pipeline, seed=7)
        with load.channel() as channel:
            stub = augmentations_pb2_grpc.AugmentationServiceStub(channel)
            while load.goes_on():
                load.count("grpc picture", lambda: stub.Apply(request, metadata=load.metadata, timeout=CALL_S))

    return caller


class Labels:
    """An annotator, who labels as the page does. `acknowledged` has the annotations that were promised, by their request's id."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id
        self.acknowledged: dict[str, str] = {}

    def __call__(self, load: Load) -> None:
        with load.channel() as channel:
            stub = annotations_pb2_grpc.AnnotationServiceStub(channel)
            lease_id = ""
            while load.goes_on():
                lease_id = self._next(load, stub, lease_id) if not lease_id else self._submit(load, stub, lease_id)

    def _next(self, load: Load, stub: annotations_pb2_grpc.AnnotationServiceStub, lease_id: str) -> str:
        request = annotations_pb2.LeaseImageRequest(request_id=str(uuid.uuid4()), project_id=self._project_id)
        reply = load.count("grpc label", lambda: stub.LeaseImage(request, metadata=load.metadata, timeout=CALL_S))
        return str(reply.next.lease.id) if reply is not None else lease_id

    def _submit(self, load: Load, stub: annotations_pb2_grpc.AnnotationServiceStub, lease_id: str) -> str:
        request = annotations_pb2.SubmitAnnotationRequest(
            request_id=str(uuid.uuid4()), project_id=self._project_id, lease_id=lease_id, class_id="cat", lease_next=True
        )
        reply = load.count("grpc label", lambda: stub.SubmitAnnotation(request, metadata=load.metadata, timeout=CALL_S))
        if reply is None:
            return ""  # Whether it arrived is not known; the next lease says.
        self.acknowledged[request.request_id] = reply.annotation_id
        return str(reply.next.lease.id)


_READS = (
    ("auth", "/v1/sessions/current"),
    ("labeling", "/v1/projects?pageSize=1"),
    ("inference", "/v1/models"),
    ("augment", "/v1/transforms"),
)


def reads_by_json(load: Load) -> None:
    """One read after another of every service over one connection that is kept, as an HTTP client does."""
    with closing(_Connection(load)) as kept:
        while load.goes_on():
            for part, path in _READS:
                load.count(f"json {part}", partial(kept.ask, path))


def reads_by_grpc_web(project_id: str) -> Caller:
    """Reads and a stream over one connection that is kept, as a browser does."""
    asked: tuple[tuple[str, str, Message], ...] = (
        ("web auth", "auth.v1.SessionService/GetSession", sessions_pb2.GetSessionRequest()),
        ("web labeling", "labeling.v1.ProjectService/ListProjects", projects_pb2.ListProjectsRequest(page_size=1)),
        ("web inference", "inference.v1.ModelService/ListModels", models_pb2.ListModelsRequest()),
        ("web augment", "augment.v1.PipelineService/ListTransforms", pipelines_pb2.ListTransformsRequest()),
        ("web stream", "labeling.v1.AnnotationService/StreamLabels", annotations_pb2.StreamLabelsRequest(project_id=project_id)),
    )

    def caller(load: Load) -> None:
        with closing(_Connection(load)) as kept:
            while load.goes_on():
                for kind, method, message in asked:
                    load.count(kind, partial(kept.ask_web, f"/labelmesh.{method}", message))

    return caller


class _Connection:
    """One HTTP/1.1 connection, opened again when the other end has closed it."""

    def __init__(self, load: Load) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", load.port, timeout=CALL_S)
        self._headers = {"authorization": f"Bearer {load.token}"}

    def close(self) -> None:
        self._http.close()

    def ask(self, path: str) -> object:
        return json.loads(self._answer("GET", path, None, {})[1])

    def ask_web(self, method: str, message: Message) -> bytes:
        content = message.SerializeToString()
        headers, body = self._answer("POST", method, b"\0" + len(content).to_bytes(4, "big") + content, _GRPC_WEB)
        status = headers.get("grpc-status") or _trailer(body, "grpc-status")
        if status != "0":
            raise RefusedCall(f"grpc-status {status} {headers.get('grpc-message') or _trailer(body, 'grpc-message')}")
        return body

    def _answer(self, verb: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[http.client.HTTPMessage, bytes]:
        try:
            self._http.request(verb, path, body, {**self._headers, **headers})
            response = self._http.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._http.close()
            raise
        if response.status != 200:
            raise RefusedCall(f"{response.status} {content[:200].decode(errors='replace')}")
        return response.headers, content


def _trailer(body: bytes, name: str) -> str:
    """A trailer of a gRPC-Web answer; empty where the answer ends before its trailers."""
    place = 0
    while place + 5 <= len(body):
        length = int.from_bytes(body[place + 1 : place + 5], "big")
        if body[place] & 0x80:
            lines = body[place + 5 : place + 5 + length].decode().split("\r\n")
            return next((line.partition(":")[2].strip() for line in lines if line.lower().startswith(f"{name}:")), "")
        place += 5 + length
    return ""
