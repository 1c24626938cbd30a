"""A whole mesh in a folder of its own, started by the command that people start it with, and people who label in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from labelmesh.auth.v1 import sessions_pb2, sessions_pb2_grpc, users_pb2, users_pb2_grpc
from labelmesh.labeling.v1 import annotations_pb2, annotations_pb2_grpc, projects_pb2, projects_pb2_grpc
from labelmesh_local.ports import free_port

HOUSE = Path(__file__).resolve().parent.parent
PASSWORD = "a long password for a benchmark"


@dataclass(frozen=True)
class Account:
    """A signed-in person: call metadata for every call of theirs."""

    name: str
    metadata: tuple[tuple[str, str | bytes], ...]


class Mesh:
    """The mesh of `./mesh up --no-demo`, detached, with its data under `home`."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.port = free_port()
        own = {"LABELMESH_HOME": str(home), "LABELMESH_HOUSE": str(HOUSE), "LABELMESH_LOG_LEVEL": "info"}
        self._environment = {**os.environ, **own, **(settings or {})}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def up(self, *, models: bool = False) -> float:
        """Starts it, with the model server where wanted; returns the seconds until the command said that it runs."""
        started = time.perf_counter()
        self._run("up", "--port", str(self.port), "--no-demo", "--detach", *(() if models else ("--no-models",)))
        return time.perf_counter() - started

    def labelmesh(self, *arguments: str) -> None:
        """The labelmesh command, signed in as the administrator."""
        self._run("client", *arguments)

    def down(self) -> None:
        self._run("down")

    def inner_ports(self) -> dict[str, dict[str, int]]:
        """The ports of each part, by the part's name."""
        state = json.loads((self.home / "data" / "state.json").read_text())
        return {part["name"]: part["ports"] for part in state["parts"]}

    def pids(self) -> dict[str, int]:
        state = json.loads((self.home / "data" / "state.json").read_text())
        return {part["name"]: part["pid"] for part in state["parts"]}

    def admin(self, channel: grpc.Channel) -> Account:
        return sign_in(channel, "admin", next(self.home.rglob("admin-password")).read_text().strip())

    def annotators(self, channel: grpc.Channel, count: int) -> list[Account]:
        """New accounts, signed in."""
        admin = self.admin(channel)
        users = users_pb2_grpc.UserServiceStub(channel)

        def make(number: int) -> Account:
            name = f"annotator-{uuid.uuid4().hex[:8]}-{number}"
            request = users_pb2.CreateUserRequest(
                request_id=str(uuid.uuid4()), name=name, password=PASSWORD, role=users_pb2.Role.ROLE_ANNOTATOR
            )
            users.CreateUser(request, metadata=admin.metadata)
            return sign_in(channel, name, PASSWORD)

        return [make(number) for number in range(count)]

    def project(self, channel: grpc.Channel, admin: Account) -> str:
        """A new project with the ten digits; returns its id."""
        classes = [projects_pb2.LabelClass(id=str(digit), hotkey=str(digit)) for digit in range(10)]
        request = projects_pb2.CreateProjectRequest(request_id=str(uuid.uuid4()), display_name="Benchmark", classes=classes)
        return projects_pb2_grpc.ProjectServiceStub(channel).CreateProject(request, metadata=admin.metadata).project.id

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "labelmesh_local", *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"labelmesh_local {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")


def sign_in(channel: grpc.Channel, name: str, password: str) -> Account:
    """Signs in and returns who that is."""
    reply = sessions_pb2_grpc.SessionServiceStub(channel).SignIn(sessions_pb2.SignInRequest(name=name, password=password))
    return Account(name, (("authorization", f"Bearer {reply.token}"),))


class Annotator:
    """Labels as the page does: one call a label, which brings the next image along."""

    def __init__(self, address: str, account: Account, project_id: str) -> None:
        # A channel of their own, as every browser has.
        self._channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self._stub = annotations_pb2_grpc.AnnotationServiceStub(self._channel)
        self._metadata = account.metadata
        self._project_id = project_id
        self.seconds: list[float] = []

    def label(self, labels: int) -> None:
        """Gives this many labels."""
        lease = self._lease()
        for number in range(labels):
            request = annotations_pb2.SubmitAnnotationRequest(
                request_id=str(uuid.uuid4()),
                project_id=self._project_id,
                lease_id=lease.id,
                class_id=str(number % 10),
                lease_next=True,
                client_id="benchmark",
            )
            started = time.perf_counter()
            reply = self._stub.SubmitAnnotation(request, metadata=self._metadata, timeout=30)
            self.seconds.append(time.perf_counter() - started)
            lease = self._taken(reply.next)
        release = annotations_pb2.ReleaseLeasesRequest(project_id=self._project_id, lease_ids=[lease.id])
        self._stub.ReleaseLeases(release, metadata=self._metadata, timeout=30)

    def close(self) -> None:
        self._channel.close()

    def _lease(self) -> annotations_pb2.Lease:
        request = annotations_pb2.LeaseImageRequest(request_id=str(uuid.uuid4()), project_id=self._project_id, client_id="benchmark")
        return self._taken(self._stub.LeaseImage(request, metadata=self._metadata, timeout=30).next)

    @staticmethod
    def _taken(given: annotations_pb2.Next) -> annotations_pb2.Lease:
        if not given.HasField("lease"):
            raise SystemExit(f"There was nothing to label: {given.nothing}")
        return given.lease


def label_together(annotators: list[Annotator], labels_each: int) -> float:
    """Has all of them label at once; returns labels per second."""
    started = time.perf_counter()
    with ThreadPoolExecutor(len(annotators)) as pool:
        list(pool.map(lambda annotator: annotator.label(labels_each), annotators))
    return labels_each * len(annotators) / (time.perf_counter() - started)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and the children it has now."""
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(_ticks(each) for each in family(pid)) / ticks


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    # Each of its threads has those that it started.
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in children.read_text().split()]
        except OSError:  # The thread has ended meanwhile.
            continue
    return [pid, *(descendant for child in found for descendant in family(child))]


def _ticks(pid: int) -> int:
    try:
        fields: list[Any] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return int(fields[11]) + int(fields[12])
