"""Meshes without services: four databases and a bucket, with something in them."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from labelmesh_chassis.database import migrate
from labelmesh_operations.postgres import ServiceDatabase
from labelmesh_operations.settings import SERVICES
from labelmesh_operations.storage import Bucket
from minio import Minio

from tests.support.databases import FreshDatabases
from tests.support.stores import StoreAddress


@dataclass(frozen=True)
class Mesh:
    """What operations see of a mesh."""

    urls: dict[str, str]
    store: StoreAddress

    @property
    def environment(self) -> dict[str, str]:
        """The settings of `labelmesh-operations` for it."""
        urls = {f"LABELMESH_OPERATIONS_{service.upper()}_DATABASE_URL": url for service, url in self.urls.items()}
        return {**os.environ, **urls, **self.store.environment()}

    @property
    def databases(self) -> list[ServiceDatabase]:
        return [ServiceDatabase(service, self.dsn(service)) for service in SERVICES]

    @property
    def bucket(self) -> Bucket:
        store = self.store
        return Bucket(store.endpoint, store.access_key, store.secret_key, store.bucket, region=store.region, secure=False)

    @property
    def client(self) -> Minio:
        return Minio(self.store.endpoint, self.store.access_key, self.store.secret_key, secure=False)

    def dsn(self, service: str) -> str:
        return self.urls[service].replace("postgresql+psycopg2://", "postgresql://")

    def sql(self, service: str, statement: str, *values: object) -> list[tuple[object, ...]]:
        # Under the command's own name: a restore refuses to begin while anybody else is connected, and tests look while it does.
        connection = psycopg2.connect(self.dsn(service), application_name="labelmesh-operations")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(self.store.bucket, key, io.BytesIO(content), len(content))

    def get(self, key: str) -> bytes:
        with self.bucket.open(key) as stream:
            return stream.read()

    def objects(self) -> set[str]:
        return {key for key, _ in self.bucket.listed()}

    def add_picture(self, content: bytes) -> str:
        """An object that labeling's database refers to; returns its key."""
        digest = hashlib.sha256(content)
        key = f"images/{digest.hexdigest()[:2]}/{digest.hexdigest()}.png"
        self.put(key, content)
        self.sql(
            "labeling",
            "INSERT INTO blobs (sha256, media_type, size_bytes, stored, touched_at) VALUES (%s, 'image/png', %s, true, now())",
            digest.digest(),
            len(content),
        )
        return key

    def operate(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end; stdout and stderr come together."""
        return subprocess.run(
            command(*arguments),
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    def killed(self, when: Callable[[], bool], *arguments: str) -> None:
        """Starts the command and kills it as soon as `when` is true; fails where it ends before."""
        with subprocess.Popen(command(*arguments), env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            try:
                while not when():
                    assert process.poll() is None, f"it ended with status {process.poll()}"
                    assert time.monotonic() < deadline
                    time.sleep(0.002)
            finally:
                process.kill()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "labelmesh_operations", *arguments]


def migrated(fresh_database: FreshDatabases, store: StoreAddress) -> Mesh:
    """A mesh whose services have made their tables."""
    return Mesh({service: fresh_database(f"{service}_operated", _migrate(service)) for service in SERVICES}, store)


def _migrate(service: str) -> Callable[[str], None]:
    def run(url: str) -> None:
        migrate(url, f"labelmesh_{service}.migrations", lock_key=1)

    return run


def without_tables(fresh_database: FreshDatabases, store: StoreAddress) -> Mesh:
    """A mesh whose services were never started; its roles have other names."""
    return Mesh({service: fresh_database() for service in SERVICES}, store)


def fill(mesh: Mesh, pictures: int = 4) -> list[str]:
    """Accounts, pictures, labels' tables with texts of all kinds; returns the objects' keys."""
    mesh.sql(
        "auth",
        "INSERT INTO users (id, name, name_key, display_name, role, password_hash, create_time)"
        " SELECT gen_random_uuid(), 'user ' || n, 'user ' || n, E'Zoë \\n \\\\ \"' || n, 'annotator', md5(n::text), now()"
        " FROM generate_series(1, 500) n",
    )
    mesh.sql(
        "auth",
        "INSERT INTO signing_keys (key_id, public_der, create_time, activate_time) VALUES ('key-1', '\\x00ff', now(), now())",
    )
    mesh.sql(
        "labeling",
        "INSERT INTO projects (id, display_name, description, state, access, repeat_rate, lease_seconds, created_by)"
        " SELECT gen_random_uuid(), 'camera trap ' || n, '', 1, 1, random(), 0.1 * n, gen_random_uuid() FROM generate_series(1, 20) n",
    )
    mesh.sql(
        "augment",
        "INSERT INTO pipelines (project_id, name, newest, listed_from)"
        " SELECT gen_random_uuid(), 'p' || n, n, 1 FROM generate_series(1, 9) n",
    )
    keys = [mesh.add_picture(f"picture {number}".encode() * (number + 1)) for number in range(pictures)]
    digest = hashlib.sha256(b"a predicted picture")
    mesh.put(f"predictions/{digest.hexdigest()}.jpg", b"a predicted picture")
    mesh.sql(
        "inference",
        "INSERT INTO pictures (sha256, media_type, size_bytes, stored, touched_at) VALUES (%s, 'image/jpeg', 19, true, now())",
        digest.digest(),
    )
    mesh.put("models/models.config", b"not named by its content")
    return [*keys, f"predictions/{digest.hexdigest()}.jpg", "models/models.config"]


def make_models(root: Path, versions: Sequence[tuple[str, int]] = (("digits", 1), ("digits", 2))) -> Path:
    """A model repository."""
    config = ["# Written by labelmesh; changes by hand are lost.\nmodel_config_list {\n"]
    for model, version in versions:
        folder = root / model / str(version)
        (folder / "variables").mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(f"graph of {model} {version}".encode() * 1000)
        (folder / "variables" / "variables.index").write_bytes(b"the same in every version")
    for model in dict.fromkeys(model for model, _ in versions):
        config.append(f'  config {{\n    name: "{model}"\n    base_path: "/elsewhere/{model}"\n  }}\n')
    (root / "models.config").write_text("".join([*config, "}\n"]))
    return root
