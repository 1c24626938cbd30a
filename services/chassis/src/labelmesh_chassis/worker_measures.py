"""What is measured of a pool of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from labelmesh_chassis.measures import CALL_SECONDS

if TYPE_CHECKING:
    from labelmesh_chassis.workers import WorkerPool


class WorkerMeasures:
    """On a registry, of one pool."""

    def __init__(self, registry: CollectorRegistry, pool: WorkerPool, most_weight: int) -> None:
        self.jobs = Counter("worker_jobs_total", "Jobs for worker processes, by outcome.", ["outcome"], registry=registry)
        self.lost = Counter("workers_lost_total", "Workers that died or were killed over a job.", registry=registry)
        waited = "How long jobs waited for a worker."
        self.waiting = Histogram("worker_waiting_seconds", waited, buckets=CALL_SECONDS, registry=registry)
        self.work = Histogram("worker_work_seconds", "How long workers took.", buckets=CALL_SECONDS, registry=registry)
        gauges = {
            "workers": ("Workers that there should be.", lambda: float(pool.size)),
            "workers_up": ("Workers that can work.", lambda: float(len(pool.pids))),
            "workers_busy": ("Workers that are at a job.", lambda: float(pool.busy)),
            "worker_jobs_waiting": ("Jobs that wait for a worker.", lambda: float(pool.waiting)),
            "worker_oldest_waiting_seconds": ("How long the job that waits for the longest has waited.", lambda: pool.oldest_s),
            "worker_longest_work_seconds": ("How long the job that is in work for the longest has been.", lambda: pool.longest_s),
            "worker_weight": ("Weight of all jobs that wait or are in work.", lambda: float(pool.weight)),
            "worker_weight_limit": ("What they may weigh together.", lambda: float(most_weight)),
        }
        for name, (says, value) in gauges.items():
            Gauge(name, says, registry=registry).set_function(value)
