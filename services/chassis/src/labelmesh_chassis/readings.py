"""Figures that have to be looked up, e.g. in the database, for scrapes that must not wait for that.

They are looked up in a thread of its own; a scrape gets what was found last. While they cannot be looked up they are left out, and
`NAME_up` is 0: a figure is never older than a few intervals.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from labelmesh_chassis.errors import MeshError
from labelmesh_chassis.tracing import kind_of

if TYPE_CHECKING:
    from labelmesh_chassis.database import Database

_log = logging.getLogger(__name__)
INTERVAL_S = 10.0
# After so many intervals without a new one, a figure is no longer told.
_KEPT_INTERVALS = 4
_LIMIT = text("SELECT set_config('statement_timeout', :ms, true)")


@dataclass(frozen=True, slots=True)
class Figure:
    """A gauge: its whole name, what it says, and the names of its labels."""

    name: str
    says: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a gauge is, for one combination of label values."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


class Readings(Collector):
    """Figures that `look` finds, every `interval_s` seconds between `start` and `stop`. `NAME_up` says whether they can be looked up."""

    def __init__(
        self,
        name: str,
        figures: Sequence[Figure],
        look: Callable[[], Iterable[Reading]],
        *,
        registry: CollectorRegistry,
        interval_s: float = INTERVAL_S,
        says: str = "Whether the figures that are looked up can be.",
    ) -> None:
        self._name = name
        self._says = says
        self._figures = tuple(figures)
        self._look = look
        self._interval_s = interval_s
        self._found: tuple[Reading, ...] = ()
        self._found_at: float | None = None
        self._failed = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="readings", daemon=True)
        registry.register(self)

    def start(self) -> None:
        """Looks for the first time at once."""
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def collect(self) -> Iterable[Metric]:
        found, found_at, failed = self._found, self._found_at, self._failed
        fresh = not failed and found_at is not None and time.monotonic() - found_at < _KEPT_INTERVALS * self._interval_s
        families = [GaugeMetricFamily(f"{self._name}_up", self._says, value=float(fresh))]
        if fresh:
            for figure in self._figures:
                family = GaugeMetricFamily(figure.name, figure.says, labels=figure.labels)
                for reading in found:
                    if reading.name == figure.name:
                        family.add_metric(reading.labels, reading.value)
                families.append(family)
        return families

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(name, "") for name in (f"{self._name}_up", *(figure.name for figure in self._figures))]

    def look(self) -> None:
        """Looks once."""
        try:
            found = tuple(self._look())
        except (MeshError, SQLAlchemyError) as failure:
            if not self._failed:
                _log.warning("figures cannot be looked up", extra={"fields": {"figures": self._name, "error": kind_of(failure)}})
            self._failed = True
            return
        self._found, self._found_at, self._failed = found, time.monotonic(), False

    def _run(self) -> None:
        self.look()
        while not self._stopping.wait(self._interval_s):
            self.look()


@contextmanager
def brief(database: Database, *, seconds: float = 1.0) -> Iterator[Connection]:
    """A connection for looking things up: a statement that takes longer is ended."""
    with database.connection() as connection:
        connection.execute(_LIMIT, {"ms": str(int(seconds * 1000))})
        yield connection
