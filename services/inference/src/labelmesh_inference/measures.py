"""What is measured of inference: where the time of predictions goes, trainings, and whether the model server answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Unavailable
from labelmesh_chassis.measures import CALL_SECONDS
from labelmesh_chassis.readings import Figure, Reading, Readings, brief
from prometheus_client import CollectorRegistry, Counter, Histogram
from sqlalchemy import text

from labelmesh_inference.serving.client import ModelServer

FIGURES = (
    Figure("labelmesh_trainings", "The last trainings (1,000 at most), by state: running, succeeded, failed, lost.", ("state",)),
    Figure("labelmesh_training_oldest_running_seconds", "How long the training that has gone on for the longest has; 0 where none does."),
)
MOST_TRAININGS = 1000
_STATES = {1: "running", 2: "succeeded", 3: "failed", 4: "lost"}
_TRAININGS = text("""
SELECT CASE WHEN state = 1 AND lease_expires_at <= clock_timestamp() THEN 4 ELSE state END AS state, count(*) AS found,
    extract(epoch FROM clock_timestamp() - min(started_at)) AS oldest
FROM (SELECT state, lease_expires_at, started_at FROM trainings ORDER BY number DESC LIMIT :most) last GROUP BY 1
""")
STAGES = ("fetch", "preparation", "waiting", "model", "store", "total")


class PredictionMeasures:
    """Of predictions: seconds by stage, and outcomes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        seconds = Histogram(
            "labelmesh_prediction_seconds",
            "Where the time of predictions goes, by stage: fetch, preparation, waiting (for a call to the model), model, store, total.",
            ["stage"],
            buckets=CALL_SECONDS,
            registry=registry,
        )
        outcomes = Counter(
            "labelmesh_predictions_total",
            "Inputs that were predicted on, by outcome: ok, failed (but for refusals by a busy model).",
            ["outcome"],
            registry=registry,
        )
        self._seconds = {stage: seconds.labels(stage) for stage in STAGES}
        self._ok, self._failed = outcomes.labels("ok"), outcomes.labels("failed")

    def answered(self, fetch_s: float, preparation_s: float, waiting_s: float, model_s: float) -> None:
        """An input has its answer."""
        self._ok.inc()
        for stage, seconds in zip(STAGES, (fetch_s, preparation_s, waiting_s, model_s), strict=False):
            self._seconds[stage].observe(seconds)

    def failed(self, inputs: int) -> None:
        """So many inputs have none."""
        self._failed.inc(inputs)

    def total(self, seconds: float) -> None:
        """A call is over but for its answer."""
        self._seconds["total"].observe(seconds)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Around what inputs of one call have in common."""
        began = perf_counter()
        try:
            yield
        finally:
            self._seconds[stage].observe(perf_counter() - began)


def training_readings(database: Database, registry: CollectorRegistry) -> Readings:
    """Trainings, looked up in the background."""
    return Readings("labelmesh_inference_figures", FIGURES, lambda: look(database), registry=registry)


def look(database: Database) -> Iterable[Reading]:
    """All figures as of now."""
    with brief(database) as connection:
        rows = {row.state: row for row in connection.execute(_TRAININGS, {"most": MOST_TRAININGS})}
    readings = [Reading("labelmesh_trainings", rows[state].found if state in rows else 0, (name,)) for state, name in _STATES.items()]
    oldest = float(rows[1].oldest) if 1 in rows else 0.0
    return [*readings, Reading("labelmesh_training_oldest_running_seconds", oldest)]


def model_server_readings(server: ModelServer, registry: CollectorRegistry) -> Readings:
    """`labelmesh_model_server_up`: whether the model server answers, asked in the background."""

    def asked() -> Iterable[Reading]:
        if not server.is_up():
            raise Unavailable("MODEL_SERVER_UNAVAILABLE", "the model server does not answer")
        return ()

    return Readings("labelmesh_model_server", (), asked, registry=registry, says="Whether the model server answers.")
