"""What a pool of workers is told, and what it answers; `workers` has the pool."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How many workers, what they do and how much of it.

    `target` is "package.module:function", which takes nothing and makes the `worker.Handler`. Weights are in whatever the user of the pool
    measures work in; `most_weight` may wait and be in work at once, `most_of_caller` of one caller. `job_s` is how long one job may take.
    """

    target: str
    processes: int
    most_weight: int
    most_of_caller: int
    job_s: float = 20.0
    # Of data, for each worker; 0 for any amount.
    memory_bytes: int = 0
    service: str = "worker"
    log_level: str = "info"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a job gave, how long it waited for a worker, and how long that took, in seconds."""

    parts: tuple[bytes, ...]
    waiting_s: float
    work_s: float
