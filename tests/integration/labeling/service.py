"""The labeling service under test: in this process, or in one of its own that can be killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import jwt
from labelmesh_chassis.database import Database
from labelmesh_chassis.identity import IdentityVerifier
from labelmesh_labeling.__main__ import compose, migrate_database
from labelmesh_labeling.settings import LabelingSettings
from labelmesh_local.ports import free_port
from sqlalchemy import Engine, event, text

from tests.integration.labeling.people import KEY_ID, Door, Signer
from tests.support.stores import StoreAddress

__all__ = ["Labeling", "ServiceProcess", "jwks_server", "migrate_database", "statements", "until"]


class Labeling:
    """The service in this process."""

    def __init__(
        self, database_url: str, store: StoreAddress, signer: Signer, *, chance: random.Random | None = None, **overrides: Any
    ) -> None:
        values: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "ops_listen": "127.0.0.1:0",
            "database_url": database_url,
            "identity_jwks_url": "http://127.0.0.1:1/unused",
            "s3_endpoint": store.endpoint,
            "s3_access_key": store.access_key,
            "s3_secret_key": store.secret_key,
            "s3_bucket": store.bucket,
            "drain_lead_s": 0,
            **overrides,
        }
        self.server = compose(LabelingSettings(**values), IdentityVerifier(signer), chance=chance)
        self.target = f"127.0.0.1:{self.server.start()}"
        self.door = Door(self.target, signer)
        self.database = Database(database_url, application_name="test", pool_size=4)

    def close(self) -> None:
        self.door.close()
        self.server.stop(lead_s=0, drain_s=2)
        self.database.close()

    # --- what a test does behind the service's back ---

    def sql(self, statement: str, **parameters: object) -> list[Any]:
        """Runs a statement in a transaction of its own and returns the rows, if it has any."""
        with self.database.transaction() as session:
            result: Any = session.execute(text(statement), parameters)
            return list(result.all()) if result.returns_rows else []

    def seed(self, project_id: str, count: int) -> list[str]:
        """Adds images as rows alone, without files; oldest first."""
        return seed_images(self.database, project_id, count)


def seed_images(database: Database, project_id: str, count: int) -> list[str]:
    """Adds images to a project as rows alone; returns their ids, oldest first."""
    with database.transaction() as session:
        rows = session.execute(
            text(
                """
            WITH new AS (
                SELECT gen_random_uuid() AS id, nextval('image_numbers') AS number FROM generate_series(1, :count)
            ), added AS (
                INSERT INTO images (id, project_id, number, sha256, name, width, height, media_type, size_bytes, added_by)
                SELECT id, :project, number, sha256(convert_to(id::text, 'UTF8')), 'seed ' || number, 8, 8, 'image/png', 100, :project
                FROM new
            ), queued AS (
                INSERT INTO queue (image_id, project_id, priority, number, free_slots, wanted)
                SELECT n.id, p.id, 0, n.number, (1 << p.overlap) - 1, p.overlap FROM new n JOIN projects p ON p.id = :project
            ), counted AS (
                INSERT INTO counters AS c (project_id, author_id, images_added) VALUES (:project, :project, :count)
                ON CONFLICT (project_id, author_id) DO UPDATE SET images_added = c.images_added + excluded.images_added
            )
            SELECT id FROM new ORDER BY number
            """.replace("id::text", "CAST(id AS text)")
            ),
            {"project": uuid.UUID(project_id), "count": count},
        )
        return [str(row.id) for row in rows]


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL statements that this process runs meanwhile, but for the health check's and those that look figures up."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.strip() != "SELECT 1" and threading.current_thread().name != "readings":
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def until(is_so: Callable[[], bool], *, timeout_s: float = 20, step_s: float = 0.02) -> None:
    """Waits for something to become so; fails after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(step_s)


@contextmanager
def jwks_server(signer: Signer) -> Iterator[str]:
    """Serves the signer's public key as auth does."""
    key = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).to_jwk(signer.private_key.public_key(), as_dict=True)
    document = json.dumps({"keys": [{**key, "kid": KEY_ID}]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/.well-known/jwks.json"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class ServiceProcess:
    """`python -m labelmesh_labeling` on a port of its own, the same after every start."""

    def __init__(self, database_url: str, store: StoreAddress, jwks_url: str, log: Path, **more: str) -> None:
        self.target = f"127.0.0.1:{free_port()}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LABELMESH_")}
        self.environment = {
            **kept,
            **store.environment(),
            "LABELMESH_LISTEN": self.target,
            "LABELMESH_OPS_LISTEN": f"127.0.0.1:{free_port()}",
            "LABELMESH_DATABASE_URL": database_url,
            "LABELMESH_IDENTITY_JWKS_URL": jwks_url,
            "LABELMESH_DRAIN_LEAD_S": "0",
            **more,
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "labelmesh_labeling"], env=self.environment, stderr=log, stdout=log)
        with grpc.insecure_channel(self.target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            ready = grpc.channel_ready_future(channel)
            deadline = time.monotonic() + 60
            while not ready.done():
                assert self._process.poll() is None, self._log.read_text()[-2000:]
                assert time.monotonic() < deadline, "the service does not answer"
                time.sleep(0.02)

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
