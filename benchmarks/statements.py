"""How many SQL statements "next" and "submit" send, counted at the driver of a real database."""

from __future__ import annotations

import random
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from labelmesh_chassis.database import Database, migrate
from labelmesh_labeling.access import Caller
from labelmesh_labeling.labeling import Submission, Submitted, lease_image, submit
from labelmesh_labeling.leases import Lease
from labelmesh_labeling.queue import Asker
from labelmesh_local.postgres import Postgres
from sqlalchemy import event, text

from benchmarks.figures import table
from benchmarks.images import fill

CALLS = 400


def main() -> str:
    """Runs it and returns Markdown."""
    with tempfile.TemporaryDirectory(prefix="labelmesh-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", durable=False)
        server.start()
        try:
            url = server.create_database("labeling", "labeling", "labeling")
            migrate(url, "labelmesh_labeling.migrations", lock_key=1)
            return _count(url, f"host=127.0.0.1 port={server.port} dbname=labeling user=labeling password=labeling")
        finally:
            server.stop()


def _count(url: str, dsn: str) -> str:
    database = Database(url, application_name="benchmark", pool_size=2)
    project_id, user_id = uuid.uuid4(), uuid.uuid4()
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO projects (id, display_name, description, state, access, repeat_rate, lease_seconds, created_by) "
                "VALUES (:id, 'Benchmark', '', 1, 1, 0.2, 120, :id)"
            ),
            {"id": project_id},
        )
        session.execute(
            text("INSERT INTO label_classes VALUES (:id, 1, '7', 0, '7', '7', '')"),
            {"id": project_id},
        )
    fill(dsn, str(project_id), 2_000)
    sent: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *arguments: sent.append(arguments[2]))
    caller = Caller(user_id, user_id, False, False, "session", frozenset(), True)
    chance = random.Random(1)

    def run(call: Callable[[], object], counts: Counter[int]) -> None:
        sent.clear()
        call()
        counts[sum(not statement.startswith("PREPARE") for statement in sent)] += 1

    counts: dict[str, Counter[int]] = {"next": Counter(), "submit": Counter(), "submit that brings the next": Counter()}
    leases: list[Lease] = []

    def ask() -> None:
        with database.transaction() as session:
            found = lease_image(session, caller, Asker(project_id, user_id, request_id=uuid.uuid4()), chance)
        if not isinstance(found, Lease):
            raise SystemExit(f"There was nothing to label: {found}")
        leases.append(found)

    def give(*, lease_next: bool) -> None:
        submission = Submission(uuid.uuid4(), leases.pop().id, "7", None, lease_next)
        with database.transaction() as session:
            done: Submitted = submit(session, caller, Asker(project_id, user_id), submission, chance)
        if isinstance(done.next, Lease):
            leases.append(done.next)

    for _ in range(CALLS):
        run(ask, counts["next"])
        run(lambda: give(lease_next=True), counts["submit that brings the next"])
        run(lambda: give(lease_next=False), counts["submit"])
    database.close()
    rows: list[list[object]] = [
        [name, min(found), max(found), " and ".join(f"{number} in {times} calls" for number, times in sorted(found.items())), "at most 6"]
        for name, found in counts.items()
    ]
    return table(["call", "fewest", "most", "how often", "goal"], rows)


if __name__ == "__main__":
    print(main())
