"""Two processes of every service and two gateways, with a PostgreSQL and an object storage that may be taken away."""

from __future__ import annotations

from pathlib import Path

from labelmesh_local.objects import S3Server
from labelmesh_local.ports import free_port, http_status
from labelmesh_local.postgres import Postgres

from tests.support.relay import Relay
from tests.support.replicas import ReplicatedMesh


class Plant:
    """The mesh and what it stands on.

    `database` is the stretch of network to PostgreSQL, `entrance` what spreads callers over the gateways.
    """

    def __init__(self, folder: Path) -> None:
        self.postgres = Postgres(folder / "postgres", free_port(), durable=False)
        self.s3 = S3Server(folder / "objects", free_port())
        self.database = Relay(free_port(), lambda: [self.postgres.port])
        self.postgres.start()
        self.s3.start()
        self.mesh = ReplicatedMesh(folder / "mesh", self.postgres, self.s3, doors=2, database_port=self.database.port)
        self.entrance = Relay(free_port(), lambda: [door.port for door in self.mesh.doors if http_status(door.admin_port, "/ready") == 200])

    def __enter__(self) -> Plant:
        self.database.__enter__()
        self.entrance.__enter__()
        self.mesh.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.mesh.stop()
        self.entrance.__exit__()
        self.database.__exit__()
        self.s3.kill()
        self.postgres.kill()
