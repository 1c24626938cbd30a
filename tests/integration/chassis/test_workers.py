"""Worker processes are fed fairly, replaced when they die or hang, and end with whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest
from labelmesh_chassis.errors import DeadlineExceeded, InternalError, InvalidArgument, ResourceExhausted, Unavailable
from labelmesh_chassis.workers import PoolSettings, Reply, Ticket, WorkerPool
from prometheus_client import CollectorRegistry

JOBS = "tests.integration.chassis.jobs"
ROOT = Path(__file__).parents[3]

StartPool = Callable[..., WorkerPool]


@pytest.fixture
def start_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[StartPool]:
    """Starts pools of the test's jobs, and returns when all workers are up."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pools: list[WorkerPool] = []

    def start(
        processes: int = 1, *, target: str = "make", wait: bool = True, registry: CollectorRegistry | None = None, **more: Any
    ) -> WorkerPool:
        values: dict[str, Any] = {"most_weight": 10_000, "most_of_caller": 10_000, **more}
        pool = WorkerPool(PoolSettings(f"{JOBS}:{target}", processes, **values), registry=registry)
        pools.append(pool)
        pool.start()
        if wait:
            until(lambda: len(pool.pids) == processes)
        return pool

    yield start
    for pool in pools:
        pool.close()


def until(is_so: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.01)


def ticket(pool: WorkerPool, caller: str = "ada", seconds: float = 60) -> Ticket:
    return pool.ticket(caller, time.monotonic() + seconds)


def ask(pool: WorkerPool, order: str, *parts: bytes, on: Ticket | None = None, weight: int = 1) -> Future[Reply]:
    return pool.submit(on or ticket(pool), [order.encode(), *parts], weight)


def runs(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_bytes_go_in_and_come_out_as_they_are(start_pool: StartPool) -> None:
    large = os.urandom(5_000_000)
    reply = ask(start_pool(), "echo", b"", large, b"x").result(20)
    assert reply.parts == (b"", large, b"x")
    assert reply.waiting_s >= 0
    assert reply.work_s > 0


def test_two_workers_work_at_the_same_time(start_pool: StartPool) -> None:
    pool = start_pool(2)
    started = time.monotonic()
    for job in [ask(pool, "sleep 0.4") for _ in range(4)]:
        job.result(20)
    assert 0.75 < time.monotonic() - started < 1.3


def test_errors_of_the_domain_come_out_as_they_were_raised(start_pool: StartPool) -> None:
    pool = start_pool()
    with pytest.raises(InvalidArgument) as refused:
        ask(pool, "refuse").result(20)
    assert refused.value.reason == "REFUSED"
    assert refused.value.violations[0].field == "part"
    assert refused.value.retry_after == 2
    assert ask(pool, "echo", b"x").result(20).parts == (b"x",)


def test_a_fault_says_nothing_of_the_inside_and_the_worker_goes_on(start_pool: StartPool, capfd: pytest.CaptureFixture[str]) -> None:
    pool = start_pool()
    before = pool.pids
    with pytest.raises(InternalError) as failed:
        ask(pool, "fail").result(20)
    assert "secret" not in str(failed.value)
    assert pool.pids == before
    # Nor does the log: it names the place and the kind alone.
    logged = capfd.readouterr().err
    assert "jobs.py:" in logged
    assert "secret" not in logged


def test_a_job_whose_worker_is_killed_is_done_by_another_one(start_pool: StartPool, tmp_path: Path) -> None:
    pool, marks = start_pool(2), tmp_path / "marks"
    job = ask(pool, f"mark {marks}")
    until(marks.exists)
    until(lambda: bool(marks.read_text().strip()))
    os.kill(int(marks.read_text()), signal.SIGKILL)
    assert job.result(20).parts == (b"done",)
    first, second = marks.read_text().split()
    assert first != second
    until(lambda: len(pool.pids) == 2)


def test_a_job_that_kills_two_workers_is_given_up_and_others_are_done(start_pool: StartPool) -> None:
    registry = CollectorRegistry()
    pool = start_pool(2, registry=registry)
    bad = ask(pool, "die")
    good = [ask(pool, "sleep 0.05", b"fine", on=ticket(pool, "bob")) for _ in range(20)]
    with pytest.raises(Unavailable) as lost:
        bad.result(20)
    assert lost.value.reason == "WORKER_LOST"
    assert {job.result(20).parts for job in good} == {(b"fine",)}
    until(lambda: len(pool.pids) == 2)
    assert registry.get_sample_value("workers_lost_total") == 2
    assert registry.get_sample_value("worker_jobs_total", {"outcome": "done"}) == 20
    assert registry.get_sample_value("workers_up") == 2


def test_a_job_that_hangs_is_killed_at_its_time_and_tried_once_more(start_pool: StartPool, tmp_path: Path) -> None:
    pool, marks = start_pool(job_s=1.0), tmp_path / "marks"
    started = time.monotonic()
    assert ask(pool, f"mark {marks}").result(20).parts == (b"done",)
    assert 0.9 < time.monotonic() - started < 5
    with pytest.raises(Unavailable, match="WORKER_LOST"):
        ask(pool, "sleep 30").result(20)
    assert ask(pool, "echo", b"x").result(20).parts == (b"x",)


def test_a_worker_that_dies_with_nothing_to_do_is_replaced(start_pool: StartPool) -> None:
    pool = start_pool()
    (before,) = pool.pids
    os.kill(before, signal.SIGKILL)
    until(lambda: len(pool.pids) == 1 and pool.pids != [before])
    assert ask(pool, "echo", b"x").result(20).parts == (b"x",)


def test_a_caller_with_a_thousand_jobs_makes_another_wait_for_one_round_at_most(start_pool: StartPool) -> None:
    pool = start_pool(2)
    many = ticket(pool, "many")
    started = [ask(pool, "sleep 0.01", on=many) for _ in range(1000)]
    until(lambda: started[10].done())
    few = [ask(pool, "sleep 0.01", on=ticket(pool, "few")) for _ in range(5)]
    at = sum(job.done() for job in started)
    for job in few:
        job.result(20)
    # Turn about: while one caller's five are done, as many of the other's, and those that were in work already.
    assert sum(job.done() for job in started) - at <= 5 + 2 * 2
    many.cancel()


def test_beyond_its_part_a_caller_is_refused_at_once_and_others_are_not(start_pool: StartPool) -> None:
    pool = start_pool(most_weight=100, most_of_caller=50)
    mine = ticket(pool, "ada")
    running = ask(pool, "sleep 0.5", on=mine, weight=40)
    began = time.monotonic()
    with pytest.raises(ResourceExhausted) as busy:
        ask(pool, "echo", on=mine, weight=20)
    assert time.monotonic() - began < 0.2
    assert busy.value.reason == "WORKERS_BUSY"
    assert busy.value.retry_after
    other = ask(pool, "echo", b"x", on=ticket(pool, "bob"), weight=50)
    assert other.result(20).parts == (b"x",)
    running.result(20)
    assert ask(pool, "echo", b"y", on=mine, weight=50).result(20).parts == (b"y",)
    until(lambda: pool.weight == 0)


def test_who_is_patient_waits_for_room_until_the_deadline(start_pool: StartPool) -> None:
    pool = start_pool(most_weight=100, most_of_caller=50)
    ask(pool, "sleep 0.5", weight=50)
    waited = pool.submit(ticket(pool), [b"echo", b"x"], 50, patient=True)
    assert waited.result(20).parts == (b"x",)
    ask(pool, "sleep 1", weight=50)
    began = time.monotonic()
    with pytest.raises(ResourceExhausted, match="WORKERS_BUSY"):
        pool.submit(ticket(pool, seconds=0.3), [b"echo"], 50, patient=True)
    assert 0.25 < time.monotonic() - began < 0.9


def test_what_a_caller_who_went_had_waiting_is_never_begun(start_pool: StartPool, tmp_path: Path) -> None:
    registry = CollectorRegistry()
    pool, marks = start_pool(registry=registry), tmp_path / "marks"
    gone = ticket(pool, "ada")
    busy = ask(pool, "sleep 0.4", b"mine", on=ticket(pool, "bob"))
    until(lambda: pool.waiting == 0)
    waiting = [ask(pool, f"mark {marks}", on=gone, weight=100) for _ in range(3)]
    gone.cancel()
    assert pool.waiting == 0
    assert pool.weight == 1
    for job in waiting:
        with pytest.raises(CancelledError):
            job.result(20)
    with pytest.raises(Unavailable, match="WORKERS_STOPPED"):
        ask(pool, "echo", on=gone)
    assert busy.result(20).parts == (b"mine",)
    assert not marks.exists()
    assert registry.get_sample_value("worker_jobs_total", {"outcome": "dropped"}) == 3


def test_a_patient_caller_who_goes_waits_no_longer(start_pool: StartPool) -> None:
    pool = start_pool(most_weight=10, most_of_caller=10)
    ask(pool, "sleep 1", weight=10)
    gone = ticket(pool)
    threading.Timer(0.2, gone.cancel).start()
    began = time.monotonic()
    with pytest.raises(Unavailable, match="WORKERS_STOPPED"):
        pool.submit(gone, [b"echo"], 10, patient=True)
    assert time.monotonic() - began < 0.8


def test_a_job_whose_turn_comes_after_its_deadline_is_not_begun(start_pool: StartPool, tmp_path: Path) -> None:
    pool, marks = start_pool(), tmp_path / "marks"
    ask(pool, "sleep 0.5")
    until(lambda: pool.waiting == 0)
    late = ask(pool, f"mark {marks}", on=ticket(pool, seconds=0.2))
    with pytest.raises(DeadlineExceeded):
        late.result(20)
    assert not marks.exists()


def test_a_job_is_told_how_long_its_caller_waits(start_pool: StartPool) -> None:
    pool = start_pool()
    assert 6 < float(ask(pool, "left", on=ticket(pool, seconds=7)).result(20).parts[0]) <= 7


def test_a_worker_cannot_take_the_memory_of_the_machine(start_pool: StartPool) -> None:
    pool = start_pool(memory_bytes=512 * 1024 * 1024)
    assert ask(pool, "take 300").result(20).parts == (str(300 * 1024 * 1024).encode(),)
    assert ask(pool, "take 600").result(20).parts == (b"no",)


def test_workers_do_not_see_the_secrets_of_their_service(start_pool: StartPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELMESH_DATABASE_URL", "postgresql+psycopg2://secret")
    names = ask(start_pool(), "environment").result(20).parts
    assert b"PATH" in names
    assert not [name for name in names if name.startswith(b"LABELMESH")]


def test_the_pool_is_up_with_its_first_worker_and_not_before(start_pool: StartPool) -> None:
    pool = start_pool(2, target="make_slowly", wait=False)
    assert not pool.is_up()
    job = ask(pool, "echo", b"x")
    until(pool.is_up)
    assert job.result(20).parts == (b"x",)


def test_workers_that_never_start_are_tried_again_with_pauses(start_pool: StartPool) -> None:
    pool = start_pool(target="make_nothing", wait=False)
    job = ask(pool, "echo", on=ticket(pool, seconds=1))
    time.sleep(1.5)
    assert not pool.is_up()
    assert not job.done()
    pool.close()
    with pytest.raises(Unavailable, match="WORKERS_STOPPED"):
        job.result(5)


def test_closing_lets_what_is_in_work_end_and_leaves_no_process(start_pool: StartPool) -> None:
    pool = start_pool(2)
    pids = pool.pids
    working = [ask(pool, "sleep 0.4", b"done") for _ in range(2)]
    until(lambda: pool.waiting == 0)
    waiting = ask(pool, "echo")
    pool.close()
    assert {job.result(0).parts for job in working} == {(b"done",)}
    with pytest.raises(Unavailable, match="WORKERS_STOPPED"):
        waiting.result(0)
    with pytest.raises(Unavailable, match="WORKERS_STOPPED"):
        ask(pool, "echo")
    assert not any(map(runs, pids))


def test_closing_does_not_wait_for_what_hangs(start_pool: StartPool) -> None:
    pool = start_pool()
    (pid,) = pool.pids
    hanging = ask(pool, "sleep 60")
    until(lambda: pool.waiting == 0)
    began = time.monotonic()
    pool.close(patience_s=0.3)
    assert time.monotonic() - began < 3
    assert not runs(pid)
    with pytest.raises(Unavailable):
        hanging.result(0)


def test_signals_to_the_group_are_the_parents_to_obey(start_pool: StartPool) -> None:
    pool = start_pool()
    (pid,) = pool.pids
    assert os.getpgid(pid) != os.getpgid(0)
    job = ask(pool, "sleep 0.3", b"done")
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    assert job.result(20).parts == (b"done",)
    assert pool.pids == [pid]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("busy", [True, False])
def test_the_death_of_the_parent_leaves_no_process(how: signal.Signals, busy: bool) -> None:
    parent = textwrap.dedent(f"""
        import time
        from labelmesh_chassis.workers import PoolSettings, WorkerPool
        pool = WorkerPool(PoolSettings("{JOBS}:make", 2, 100, 100))
        pool.start()
        while len(pool.pids) < 2:
            time.sleep(0.01)
        ticket = pool.ticket("ada", time.monotonic() + 60)
        for _ in range(2 * {busy}):
            pool.submit(ticket, [b"sleep 60"], 1)
        time.sleep(0.1)
        print(*pool.pids, flush=True)
        time.sleep(60)
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(runs, pids))
        process.send_signal(how)
        process.wait(timeout=10)
        until(lambda: not any(map(runs, pids)), timeout_s=5)
