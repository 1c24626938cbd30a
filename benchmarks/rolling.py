"""Calls while parts are rolled out, killed, hung or away, beside a quiet time in the same run.

There are two processes of every service and two gateways.

Everybody calls with a pause between calls and sends each call once: what counts is what becomes of the calls, not how many there are.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from labelmesh_gateway.tending import Admin, drain

from benchmarks.figures import percentile, ratio, spread, table
from tests.support.load import (
    Caller,
    Labels,
    Load,
    Record,
    pictures_by_grpc,
    reads_by_grpc,
    reads_by_grpc_web,
    reads_by_json,
    streams_by_grpc,
)
from tests.support.plant import Plant
from tests.support.replicas import SERVICES, picture

RUNS = 3
QUIET_S = 5.0
PAUSE_S = 0.05
IMAGES = 1500


def roll_out(plant: Plant) -> None:
    plant.mesh.roll(*SERVICES)


def roll_out_of_gateways(plant: Plant) -> None:
    for door in plant.mesh.doors:
        if not drain(Admin(door.admin_port), lead_s=1, limit_s=15):
            raise SystemExit("calls outlast the drain")
        door.gateway.stop()
        door.start()
        plant.mesh.wait_for(plant.mesh.replicas)


def kill(plant: Plant) -> None:
    victims = [plant.mesh.parts[part][0] for part in SERVICES]
    for victim in victims:
        victim.process.kill()
    time.sleep(3)
    for victim in victims:
        victim.process.start()
    plant.mesh.wait_for(victims, timeout=60)


def hang(plant: Plant) -> None:
    victims = [plant.mesh.parts[part][0] for part in ("auth", "labeling")]
    for number, pause_s in ((signal.SIGSTOP, 12), (signal.SIGCONT, 1)):
        for victim in victims:
            os.kill(victim.process.pid or 0, number)
        time.sleep(pause_s)
    plant.mesh.wait_for(victims)


def restart_of_postgres(plant: Plant) -> None:
    plant.postgres.kill()
    time.sleep(1)
    plant.postgres.start()
    time.sleep(4)


EVENTS: dict[str, Callable[[Plant], None]] = {
    "roll-out of all four services": roll_out,
    "roll-out of the gateway": roll_out_of_gateways,
    "one process of each service killed": kill,
    "one process of auth and labeling hangs for 12 s": hang,
    "PostgreSQL killed, back after a second": restart_of_postgres,
}


def main() -> str:
    """Runs it and returns Markdown."""
    with tempfile.TemporaryDirectory(prefix="labelmesh-bench-") as folder, Plant(Path(folder)) as plant:
        rows = [_row(plant, name, event) for name, event in EVENTS.items()]
    header = [
        "what happens",
        "calls",
        "lost",
        "calls a second",
        "of quiet",
        "p50 ms",
        "p99 ms",
        "p99 quiet",
        "longest time without an answer, s",
    ]
    return table(header, rows)


def _row(plant: Plant, name: str, event: Callable[[Plant], None]) -> list[object]:
    rates: list[float] = []
    quiet_rates: list[float] = []
    p50: list[float] = []
    p99: list[float] = []
    quiet_p99: list[float] = []
    gaps: list[float] = []
    calls, lost = 0, 0
    for _ in range(RUNS):
        before, during = _run(plant, event)
        rates.append(_rate(during))
        quiet_rates.append(_rate(before))
        p50.append(percentile(during.seconds(), 0.5) * 1000)
        p99.append(percentile(during.seconds(), 0.99) * 1000)
        quiet_p99.append(percentile(before.seconds(), 0.99) * 1000)
        gaps.append(during.longest_gap())
        calls += len(during.calls)
        lost += during.lost.total()
    share = ratio(rates, quiet_rates)
    return [name, f"{calls:,}", lost, spread(rates), share, spread(p50), spread(p99), spread(quiet_p99), spread(gaps)]


def _run(plant: Plant, event: Callable[[Plant], None]) -> tuple[Record, Record]:
    """The calls of a quiet time, and those while it happens."""
    token = plant.mesh.token()
    project_id = plant.mesh.project(token, IMAGES)
    callers: list[Caller] = [reads_by_grpc, reads_by_json, reads_by_grpc_web(project_id), streams_by_grpc(project_id)]
    callers += [pictures_by_grpc(picture(5)), Labels(project_id)]
    with Load(plant.entrance.port, token, callers, pause_s=PAUSE_S) as load:
        time.sleep(1)  # Not counted: connections, caches and plans.
        began = time.monotonic()
        time.sleep(QUIET_S)
        happens = time.monotonic()
        event(plant)
    calls = load.record.calls
    return Record([call for call in calls if began <= call.began < happens]), Record(
        [call for call in calls if call.began >= happens - 0.5]
    )


def _rate(record: Record) -> float:
    first, last = min(call.began for call in record.calls), max(call.began for call in record.calls)
    return len(record.seconds()) / (last - first)


if __name__ == "__main__":
    print(main())
