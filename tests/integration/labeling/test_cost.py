"""What a call costs: few statements, and each finds its rows by an index however long the queue is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

from tests.integration.labeling.people import Person
from tests.integration.labeling.service import Labeling, statements

MOST = 6


_Answer = TypeVar("_Answer")


def counted(call: Callable[..., _Answer], *given: object, **more: object) -> tuple[int, _Answer]:
    """How many statements a call runs, but for those that are sent once a connection or hand the call's deadline to the database."""
    with statements() as seen:
        answer = call(*given, **more)
    once = ("PREPARE ", "SELECT set_config('statement_timeout'", "select pg_catalog.version()")
    return len([statement for statement in seen if not statement.startswith(once)]), answer


def test_next_and_submit_run_at_most_six_statements_whatever_happens(labeling: Labeling, manager: Person, ada: Person, bob: Person) -> None:
    project = manager.create_project(repeat_rate=0.5).id
    labeling.seed(project, 100)
    leased, submitted, both = [], [], []
    lease = ada.lease(project)
    for turn in range(50):
        if turn % 3 == 0:  # Somebody's lease ran out, which the next call clears up.
            bob.next(project)
            labeling.sql("UPDATE leases SET expires_at = now() WHERE user_id = CAST(:id AS uuid)", id=bob.id)
        if turn % 2:
            cost, answer = counted(ada.submit, lease, lease_next=True)
            both.append(cost)
            lease = answer.next.lease
        else:
            cost, _ = counted(ada.submit, lease)
            submitted.append(cost)
            cost, lease = counted(ada.lease, project)
            leased.append(cost)
    assert set(submitted) == {2}
    assert (min(leased), min(both)) == (2, 3)
    assert max(leased) <= MOST
    assert max(both) <= MOST


def test_the_end_of_the_queue_costs_at_most_six_statements(labeling: Labeling, ada: Person, bob: Person, project: str) -> None:
    labeling.seed(project, 3)
    bob.lease(project)
    ada.skip(ada.lease(project))
    ada.lease(project)
    labeling.sql("UPDATE leases SET expires_at = now() - interval '1 s' WHERE user_id = CAST(:id AS uuid)", id=bob.id)
    assert counted(ada.lease, project)[0] <= MOST
    assert counted(ada.lease, project)[0] <= MOST  # Its own skip.
    assert counted(ada.reason, project)[0] <= MOST


def test_the_next_image_takes_as_long_from_a_long_queue_as_from_a_short_one(labeling: Labeling, manager: Person, ada: Person) -> None:
    short, long = manager.create_project(repeat_rate=0).id, manager.create_project(repeat_rate=0).id
    labeling.seed(short, 1_000)
    labeling.seed(long, 50_000)
    medians: dict[str, list[float]] = {short: [], long: []}
    for _ in range(3):
        for project, found in medians.items():
            times = []
            for _ in range(40):
                start = time.perf_counter()
                lease = ada.lease(project)
                times.append(time.perf_counter() - start)
                ada.release(lease)
            found.append(statistics.median(times))
    assert min(medians[long]) <= 2 * min(medians[short])


def test_a_plan_made_while_the_project_was_empty_serves_when_it_is_large(labeling: Labeling, ada: Person, project: str) -> None:
    for _ in range(20):  # Postgres keeps a plan after five.
        ada.reason(project)
    labeling.seed(project, 50_000)
    reads = "SELECT sum(idx_tup_read) AS read FROM pg_stat_user_indexes WHERE relname = 'queue'"
    time.sleep(1.1)  # Postgres's own counters come a second late.
    before = labeling.sql(reads)[0].read
    for _ in range(8):
        ada.release(ada.lease(project))
    time.sleep(1.1)
    labeling.sql("SELECT pg_stat_force_next_flush()")
    assert labeling.sql(reads)[0].read - before < 500
    assert labeling.sql("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'queue'")[0].seq_scan <= 4
