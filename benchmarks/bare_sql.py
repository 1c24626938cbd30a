"""The SQL of the labeling loop alone: what labeling sends for a submit that brings the next image, sent by pgbench instead.

The statements are labeling's own, taken from its modules; so is what each passes on to the next. There is no Python, no gRPC, no
gateway and no session check in the way: this is what the database itself can do.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import uuid
from pathlib import Path

import psycopg2
from labelmesh_labeling import labeling, queue
from labelmesh_labeling.__main__ import PLANNING
from labelmesh_labeling.parameters import TYPES
from labelmesh_local.postgres import postgres_binaries

from benchmarks.images import fill

CLIENTS = 8
# What pgbench fills in; the rest are its variables: those of the client, and what an earlier statement returned.
_FIXED = {
    "client_id": "'benchmark'",
    "session_id": "'benchmark'",
    "request_id": "gen_random_uuid()",
    "lease_seconds": "120",
    "ending": "CAST(:held_lease_id AS uuid)",
    "asker_key": ":client_id",
    "ontology_key": "1",
    "class_id": "'7'",
    "repeat": "0",
    "consistent": "0",
    "completed": "1",
    "repeat_of": "NULL",
    "lead_seconds": "1.0",
    "fingerprint": "'benchmark'",
    "next": "'{}'",
    "user_id": "md5('annotator' || :client_id)",
    "image_id": ":held_image_id",
    "slot": ":held_slot",
}
# A new id from a function would be another for each row that is looked at, and no index could be used.
NEVER_USED = "'00000000-0000-4000-8000-000000000000'"
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


class BareSql:
    """pgbench over a project of `count` images in labeling's own database."""

    def __init__(self, dsn: str, project_id: str, count: int) -> None:
        self._dsn = dsn
        self._project_id = project_id
        fill(dsn, project_id, count)

    def run(self, seconds: int) -> float:
        """Labels per second of eight connections over this time."""
        with tempfile.TemporaryDirectory(prefix="labelmesh-pgbench-") as folder:
            script = Path(folder) / "labels.sql"
            script.write_text(self._script())
            before = self._labels()
            command = [
                str(postgres_binaries() / "pgbench"),
                "-n",
                "-D",
                "started=0",
                "-M",
                "prepared",
                "-c",
                str(CLIENTS),
                "-j",
                "2",
                "-T",
                str(seconds),
            ]
            # The same settings as labeling's own connections have.
            settings = " ".join(f"-c {name}={value}" for name, value in {"jit": "off", **PLANNING}.items())
            environment = {**os.environ, "PGOPTIONS": settings}
            done = subprocess.run([*command, "-f", str(script), self._dsn], env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise SystemExit(f"pgbench failed:\n{done.stderr[-3000:]}")
            return (self._labels() - before) / seconds

    def _labels(self) -> int:
        connection = psycopg2.connect(self._dsn)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT coalesce(sum(labels), 0) FROM counters WHERE project_id = %s", (self._project_id,))
                row = cursor.fetchone()
                return int(row[0]) if row is not None else 0
        finally:
            connection.close()

    def _script(self) -> str:
        claim = queue.CLAIM[False, False].sql
        first = self._filled(claim, lease_id="gen_random_uuid()", ending="NULL")
        # pgbench can keep what a statement returned for the next turn only under the same name: the claim's lease is the next one held.
        held = labeling.HELD_AND_STANDING.sql.replace("SELECT l.image_id", "SELECT l.id AS lease_id, l.image_id", 1)
        return "\n".join(
            [
                "\\if :started = 0",
                f"{first} \\gset next_",
                "\\set started 1",
                "\\endif",
                "BEGIN;",
                f"{self._filled(held, lease_id=':next_id', request_id=NEVER_USED)} \\gset held_",
                f"{self._filled(claim, lease_id='gen_random_uuid()')} \\gset next_",
                f"{self._filled(labeling.RECORD.sql, lease_id=':held_lease_id')};",
                "COMMIT;",
                "",
            ]
        )

    def _filled(self, sql: str, **own: str) -> str:
        values = {**_FIXED, "project_id": f"'{uuid.UUID(self._project_id)}'", **own}
        # A line of its own for each would end the statement: \gset closes it, and pgbench reads until a semicolon or a backslash.
        return _PARAMETER.sub(lambda found: f"CAST({values[found[1]]} AS {TYPES[found[1]]})", sql).strip()
