"""Trainings: one at a time for each model, kept by a lease that its trainer renews by reporting.

A training whose lease has run out is lost, whether or not that was written down yet: every read and every change goes by the clock of
the database.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from typing import Any
from uuid import UUID, uuid4

from labelmesh_chassis.answers import Request, find_answer, fingerprint, reserve, store_answer
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from labelmesh_chassis.pages import Page, number_position, page_of, page_size
from sqlalchemy import Connection, Row, text
from sqlalchemy.dialects.postgresql import insert

from labelmesh_inference.access import Caller
from labelmesh_inference.registry.registry import ServedVersions
from labelmesh_inference.registry.tables import EPOCHS
from labelmesh_inference.registry.versions import has_versions, last_number, lock_model
from labelmesh_inference.transactions import carry_out

# A training's history goes back so many epochs.
MOST_EPOCHS = 1000
_HIGHEST_EPOCH = 1_000_000
_LOST = "its trainer fell silent for longer than its lease"

_COLUMNS = """
id, number, model, version, lease, progress, changes, started_by, started_at,
CASE WHEN state = 1 AND lease_expires_at <= clock_timestamp() THEN 4 ELSE state END AS state,
CASE WHEN state = 1 AND lease_expires_at <= clock_timestamp() THEN lease_expires_at ELSE ended_at END AS ended_at, problem
"""
_FIND = text(f"SELECT {_COLUMNS} FROM trainings WHERE id = :id")
_FIND_LOCKED = text(f"SELECT {_COLUMNS} FROM trainings WHERE id = :id FOR NO KEY UPDATE")
_LIST = text(f"""
SELECT {_COLUMNS} FROM trainings WHERE (:model = '' OR model = :model) AND number < :before ORDER BY number DESC LIMIT :limit
""")
_RUNNING = text("SELECT id, version FROM trainings WHERE model = :model AND state = 1 AND lease_expires_at > clock_timestamp()")
_LOSE = text("""
UPDATE trainings SET state = 4, ended_at = lease_expires_at, changes = changes + 1
WHERE id IN (
    SELECT id FROM trainings WHERE state = 1 AND lease_expires_at <= clock_timestamp() AND (:model = '' OR model = :model)
    ORDER BY number LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED)
""")
_START = text("""
INSERT INTO trainings (id, model, version, state, lease, lease_expires_at, progress, started_by)
VALUES (:id, :model, :version, 1, :lease, clock_timestamp() + make_interval(secs => :seconds), '{}', :started_by)
""")
_RENEW = text("""
UPDATE trainings SET lease_expires_at = greatest(lease_expires_at, clock_timestamp() + make_interval(secs => :seconds)) WHERE id = :id
""")
_REPORT = text("UPDATE trainings SET progress = CAST(:progress AS jsonb), changes = changes + 1 WHERE id = :id")
_END = text("UPDATE trainings SET state = :state, problem = :problem, ended_at = clock_timestamp(), changes = changes + 1 WHERE id = :id")
_HISTORY = text("SELECT progress FROM training_epochs WHERE training_id = :id ORDER BY epoch DESC LIMIT :limit")


class TrainingState(IntEnum):
    """How a training is; the numbers of the contract."""

    RUNNING = 1
    SUCCEEDED = 2
    FAILED = 3
    LOST = 4


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is: `epoch` from 1, `done` 0 to 1, metrics as of now by name."""

    stage: str = ""
    epoch: int = 0
    epochs: int = 0
    done: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Training:
    """A training. `changes` grows with everything that becomes of it; `history` is the last report of each epoch."""

    id: UUID
    number: int
    model: str
    state: TrainingState
    version: int
    progress: Progress
    problem: str
    started_by: UUID
    started_at: datetime
    ended_at: datetime | None
    changes: int
    lease: str = field(repr=False)
    history: tuple[Progress, ...] = ()

    @property
    def is_running(self) -> bool:
        """Whether its trainer goes on."""
        return self.state is TrainingState.RUNNING


class Starter:
    """Begins trainings. The model server is asked before a transaction, never within."""

    def __init__(self, database: Database, server: ServedVersions, *, lease_s: float) -> None:
        self._database = database
        self._server = server
        self.lease_s = lease_s

    def start(self, caller: Caller, request_id: UUID, model: str, *, only_first: bool) -> Training:
        """Begins a training with the next number that no version has or was promised; sent again, the one that was begun.

        FailedPrecondition (TRAINING_RUNNING, metadata: training_id), (MODEL_EXISTS); Unavailable while the model server cannot say which
        numbers it has.
        """
        caller.require_manager()
        request = Request(request_id, caller.user_id, "start_training", fingerprint(model, only_first))
        with self._database.connection() as connection:
            try:
                _require_startable(connection, model, only_first=only_first)
            except FailedPrecondition:
                # Looked for afterwards, because it is this very call's training that may have begun a moment ago.
                answer = find_answer(connection, request)
                if answer is None:
                    raise
                return find(connection, UUID(answer["training_id"]))
        served = max((one.version for one in self._server.versions(model)), default=0)
        return carry_out(self._database, lambda connection: self._begin(connection, request, model, served, only_first=only_first))

    def _begin(self, connection: Connection, request: Request, model: str, served: int, *, only_first: bool) -> Training:
        answer = reserve(connection, request)
        if answer is not None:
            return find(connection, UUID(answer["training_id"]))
        lock_model(connection, model)
        _require_startable(connection, model, only_first=only_first)
        connection.execute(_LOSE, {"model": model, "limit": 10})
        training_id = uuid4()
        values = {
            "id": training_id,
            "model": model,
            "version": max(last_number(connection, model), served) + 1,
            "lease": secrets.token_urlsafe(24),
            "seconds": self.lease_s,
            "started_by": request.caller_id,
        }
        connection.execute(_START, values)
        store_answer(connection, request.request_id, {"training_id": str(training_id)})
        return find(connection, training_id)


def _require_startable(connection: Connection, model: str, *, only_first: bool) -> None:
    if only_first and has_versions(connection, model):
        raise FailedPrecondition("MODEL_EXISTS", f"{model} has a version already", metadata={"model": model})
    running = running_of(connection, model)
    if running is not None:
        raise FailedPrecondition(
            "TRAINING_RUNNING", f"{model} is being trained already; wait for it or watch it", metadata={"training_id": str(running[0])}
        )


def running_of(connection: Connection, model: str) -> tuple[UUID, int] | None:
    """The training of a model that goes on, and the version that it makes."""
    row = connection.execute(_RUNNING, {"model": model}).one_or_none()
    return None if row is None else (row.id, row.version)


def report(connection: Connection, caller: Caller, training_id: UUID, lease: str, progress: Progress | None, lease_s: float) -> Training:
    """Keeps how far a training is and renews its lease; Aborted (TRAINING_LOST) where it is not this trainer's to report on."""
    caller.require_manager()
    if not held(connection, training_id, lease, renew_s=lease_s).is_running:
        raise _lost()
    if progress is not None:
        if progress.epoch > _HIGHEST_EPOCH:
            raise InvalidArgument("TOO_MANY_EPOCHS", f"at most {_HIGHEST_EPOCH:,} epochs can be kept", field="progress.epoch")
        document = asdict(progress)
        connection.execute(_REPORT, {"progress": json.dumps(document), "id": training_id})
        if progress.epoch:
            values = {"training_id": training_id, "epoch": progress.epoch, "progress": document}
            kept = insert(EPOCHS).values(values)
            connection.execute(
                kept.on_conflict_do_update(index_elements=["training_id", "epoch"], set_={"progress": kept.excluded.progress})
            )
    return find(connection, training_id)


def held(connection: Connection, training_id: UUID, lease: str, *, renew_s: float = 0) -> Training:
    """A training that is or was this trainer's, locked; while it goes on, its lease becomes good for `renew_s` seconds at least.

    Aborted (TRAINING_LOST) where it is lost or somebody else's; NotFound (TRAINING_NOT_FOUND).
    """
    row = connection.execute(_FIND_LOCKED, {"id": training_id}).one_or_none()
    if row is None:
        raise _no_such_training()
    training = _training_of(row)
    if training.state is TrainingState.LOST or not secrets.compare_digest(training.lease.encode(), lease.encode()):
        raise _lost()
    if training.is_running and renew_s:
        connection.execute(_RENEW, {"id": training_id, "seconds": renew_s})
    return training


def end(connection: Connection, training_id: UUID, state: TrainingState, problem: str = "") -> Training:
    """Ends a training that is held."""
    connection.execute(_END, {"id": training_id, "state": int(state), "problem": problem})
    return find(connection, training_id)


def find(connection: Connection, training_id: UUID) -> Training:
    """A training with its history; NotFound (TRAINING_NOT_FOUND)."""
    row = connection.execute(_FIND, {"id": training_id}).one_or_none()
    if row is None:
        raise _no_such_training()
    rows = connection.execute(_HISTORY, {"id": training_id, "limit": MOST_EPOCHS}).all()
    return replace(_training_of(row), history=tuple(_progress_of(epoch.progress) for epoch in reversed(rows)))


def load_training(database: Database, training_id: UUID) -> Training:
    """The same in a transaction of its own."""
    with database.connection() as connection:
        return find(connection, training_id)


def list_trainings(connection: Connection, model: str, asked_size: int, token: str) -> Page[Training]:
    """Trainings without their histories, newest first; of one model where one is given."""
    size, scope = page_size(asked_size, default=50, most=200), f"trainings {model}"
    before = number_position(token, scope)
    values = {"model": model, "before": 2**63 - 1 if before is None else before, "limit": size + 1}
    rows: Sequence[Row[Any]] = connection.execute(_LIST, values).all()
    return page_of([_training_of(row) for row in rows], size, scope, lambda training: [training.number])


def sweep_lost(connection: Connection, *, limit: int) -> int:
    """Writes down up to `limit` trainings that were lost; returns how many."""
    return int(connection.execute(_LOSE, {"model": "", "limit": limit}).rowcount)


def _training_of(row: Row[Any]) -> Training:
    state = TrainingState(row.state)
    return Training(
        row.id,
        row.number,
        row.model,
        state,
        row.version,
        _progress_of(row.progress),
        _LOST if state is TrainingState.LOST else row.problem,
        row.started_by,
        row.started_at,
        row.ended_at,
        row.changes,
        row.lease,
    )


def _progress_of(document: Mapping[str, Any]) -> Progress:
    return Progress(**document)


def _no_such_training() -> NotFound:
    return NotFound("TRAINING_NOT_FOUND", "there is no such training", metadata={"field": "training_id"})


def _lost() -> Aborted:
    return Aborted("TRAINING_LOST", "this training is not yours any more: end without leaving a version, and start another one")
