"""Connections of a pool as those who wait for them see it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import QueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeout

if TYPE_CHECKING:
    from sqlalchemy import PoolProxiedConnection


def _ignore(_seconds: float) -> None:
    """Nobody wants to know."""


class PoolUse:
    """How many wait for a connection now, and how many waited in vain. `observe` is told how long each waited, in seconds."""

    def __init__(self) -> None:
        self.waiting = 0
        self.timeouts = 0
        self.observe: Callable[[float], None] = _ignore
        self._lock = threading.Lock()

    def begin(self) -> None:
        with self._lock:
            self.waiting += 1

    def end(self, seconds: float, *, in_vain: bool) -> None:
        with self._lock:
            self.waiting -= 1
            self.timeouts += in_vain
        self.observe(seconds)


def measured_pool(use: PoolUse) -> type[QueuePool]:
    """SQLAlchemy's pool, which tells `use` about everybody who asks it for a connection."""

    class MeasuredPool(QueuePool):
        def connect(self) -> PoolProxiedConnection:
            use.begin()
            began = time.perf_counter()
            in_vain = False
            try:
                return super().connect()
            except PoolTimeout:
                in_vain = True
                raise
            finally:
                use.end(time.perf_counter() - began, in_vain=in_vain)

    return MeasuredPool
