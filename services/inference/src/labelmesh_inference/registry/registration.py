"""Registering: a version is looked at from its manifest to a prediction, then written down, and aliases come to point at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from labelmesh_chassis.answers import Request, find_answer, fingerprint, reserve, store_answer
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument, Unavailable
from sqlalchemy import Connection

from labelmesh_inference.access import Caller
from labelmesh_inference.manifest import ModelManifest
from labelmesh_inference.registry import trainings
from labelmesh_inference.registry.checks import AskedServer, Check, Checked, Outcome, check_model
from labelmesh_inference.registry.registry import Registry
from labelmesh_inference.registry.revisions import find_current, point
from labelmesh_inference.registry.routing import STABLE
from labelmesh_inference.registry.trainings import Training, TrainingState
from labelmesh_inference.registry.versions import NewVersion, RegisteredVersion, check_unchanged, find_version, lock_model, put_version
from labelmesh_inference.serving.batching import ModelCalls
from labelmesh_inference.serving.values import VersionState
from labelmesh_inference.transactions import carry_out

# A trainer need not report while what it made is being checked, for so many seconds at most.
_CHECKING_S = 150.0
_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What shall be registered: version 0 is the newest that can answer. `sample` is a JPEG or PNG to try it with, or empty."""

    request_id: UUID
    manifest: ModelManifest
    version: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    sample: bytes = field(default=b"", repr=False)
    validate_only: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The same for the same wish."""
        return fingerprint(self.manifest, self.version, sorted(self.metrics.items()), self.aliases)


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of it: no version where a check failed or only checking was asked for."""

    version: RegisteredVersion | None
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether all checks were passed."""
        return all(check.outcome is Outcome.PASSED for check in self.checks)


@dataclass(frozen=True, slots=True)
class Finish:
    """How a training ended: with a manifest it succeeded, else `problem` says why it failed."""

    training_id: UUID
    lease: str = field(repr=False)
    manifest: ModelManifest | None
    metrics: Mapping[str, float]
    aliases: tuple[str, ...]
    problem: str


class Registrar:
    """Registers versions, by hand and at the end of trainings. The model server is asked between transactions, never within."""

    def __init__(self, database: Database, server: AskedServer, calls: ModelCalls, registry: Registry, *, lease_s: float) -> None:
        self._database = database
        self._server = server
        self._calls = calls
        self._registry = registry
        self._lease_s = lease_s

    def register(self, caller: Caller, wish: Wish) -> Registration:
        """Checks a version and registers it when all is well. Failed checks are an answer.

        AlreadyExists (VERSION_REGISTERED), FailedPrecondition (VERSION_RESERVED) for the version of a training that goes on.
        """
        caller.require_manager()
        model = wish.manifest.model
        request = Request(wish.request_id, caller.user_id, "register_model", wish.fingerprint)
        with self._database.connection() as connection:
            answer = None if wish.validate_only else find_answer(connection, request)
            if answer is not None:
                return _answered(connection, model, answer)
            check_unchanged(find_version(connection, model, wish.version), wish.manifest)
            training = trainings.running_of(connection, model)
        checked = self._checked(wish.manifest, wish.version, wish.sample, passed_over=training[1] if training is not None else 0)
        if wish.validate_only or not checked.passed:
            return Registration(None, checked.checks)
        new = _new_version(checked, wish.manifest, caller.user_id, wish.metrics)

        def write(connection: Connection) -> Registration:
            before = reserve(connection, request)
            if before is not None:
                return _answered(connection, model, before)
            registered = register(connection, new, wish.aliases)
            checks = [[check.name, int(check.outcome), check.message] for check in checked.checks]
            store_answer(connection, wish.request_id, {"version": registered.version, "checks": checks})
            return Registration(registered, checked.checks)

        try:
            return carry_out(self._database, write)
        finally:
            self._registry.forget(model)

    def finish(self, caller: Caller, finish: Finish) -> tuple[Training, RegisteredVersion | None]:
        """Ends a training; done again, the same answer comes.

        Unavailable (VERSION_NOT_AVAILABLE) while the model server has not loaded its version; FailedPrecondition (CHECKS_FAILED), which
        ends it as failed, (TRAINING_ENDED) where it ended otherwise; Aborted (TRAINING_LOST).
        """
        caller.require_manager()
        if finish.manifest is None:
            return carry_out(self._database, lambda connection: _fail(connection, finish)), None
        # At each step it may turn out that the same call, sent before, has ended the training meanwhile.
        training = self._hold(finish, self._lease_s)
        if finish.manifest.model != training.model:
            problem = f"the training is of {training.model}, and the manifest is of {finish.manifest.model}"
            raise InvalidArgument("MANIFEST_INVALID", problem, field="manifest.model")
        if training.is_running:
            self._require_available(training)
            training = self._hold(finish, _CHECKING_S)
        if training.is_running:
            self._conclude(caller, finish, finish.manifest, training)
        with self._database.connection() as connection:
            return _concluded(connection, trainings.find(connection, training.id))

    def _hold(self, finish: Finish, lease_s: float) -> Training:
        """The trainer's own training, its lease renewed if it goes on."""
        return carry_out(self._database, lambda connection: trainings.held(connection, finish.training_id, finish.lease, renew_s=lease_s))

    def _conclude(self, caller: Caller, finish: Finish, manifest: ModelManifest, training: Training) -> None:
        """Checks what a training made, and ends it in one transaction with the registration."""
        checked = self._checked(manifest, training.version)

        def write(connection: Connection) -> None:
            lock_model(connection, training.model)
            if not trainings.held(connection, training.id, finish.lease).is_running:
                return
            if checked.passed:
                new = _new_version(checked, manifest, caller.user_id, finish.metrics, training_id=training.id)
                register(connection, new, finish.aliases)
            state = TrainingState.SUCCEEDED if checked.passed else TrainingState.FAILED
            trainings.end(connection, training.id, state, checked.problem)

        try:
            carry_out(self._database, write)
        finally:
            self._registry.forget(training.model)

    def _require_available(self, training: Training) -> None:
        states = {served.version: served.state for served in self._server.versions(training.model)}
        if states.get(training.version) is not VersionState.AVAILABLE:
            raise Unavailable(
                "VERSION_NOT_AVAILABLE",
                f"the model server has not loaded version {training.version} of {training.model} yet; try again in a moment",
                metadata={"model": training.model, "version": str(training.version)},
                retry_after=_RETRY_AFTER_S,
            )

    def _checked(self, manifest: ModelManifest, version: int, sample: bytes = b"", *, passed_over: int = 0) -> Checked:
        return check_model(self._server, self._calls, manifest, version, sample, passed_over=passed_over)


def register(connection: Connection, new: NewVersion, aliases: Iterable[str] = ()) -> RegisteredVersion:
    """Registers a version and points aliases at it; a model's first version becomes stable.

    Registered again with the same manifest it is no error; AlreadyExists (VERSION_REGISTERED) with another one. FailedPrecondition
    (VERSION_RESERVED) where a training that goes on was promised the number.
    """
    lock_model(connection, new.model)
    running = trainings.running_of(connection, new.model)
    if running is not None and running[1] == new.version and running[0] != new.training_id:
        raise FailedPrecondition(
            "VERSION_RESERVED",
            f"version {new.version} of {new.model} belongs to a training that goes on",
            metadata={"training_id": str(running[0])},
        )
    registered = put_version(connection, new)
    before = find_current(connection, new.model)
    wanted = dict.fromkeys(aliases, new.version)
    if before is None:
        wanted.setdefault(STABLE, new.version)
    if wanted:
        point(connection, new.model, before, wanted, new.registered_by)
    return registered


def _fail(connection: Connection, finish: Finish) -> Training:
    training = trainings.held(connection, finish.training_id, finish.lease)
    if training.is_running:
        return trainings.end(connection, training.id, TrainingState.FAILED, finish.problem or "its trainer gave no reason")
    if training.state is not TrainingState.FAILED:
        raise _ended(training)
    return trainings.find(connection, training.id)


def _concluded(connection: Connection, training: Training) -> tuple[Training, RegisteredVersion | None]:
    if training.state is TrainingState.FAILED:
        raise FailedPrecondition("CHECKS_FAILED", f"the training failed: {training.problem}", metadata={"version": str(training.version)})
    if training.state is not TrainingState.SUCCEEDED:
        raise _ended(training)
    return training, find_version(connection, training.model, training.version)


def _ended(training: Training) -> FailedPrecondition:
    state = training.state.name.lower()
    return FailedPrecondition("TRAINING_ENDED", f"the training has ended already: {state}", metadata={"state": state})


def _new_version(
    checked: Checked, manifest: ModelManifest, registered_by: UUID, metrics: Mapping[str, float], *, training_id: UUID | None = None
) -> NewVersion:
    assert checked.signature is not None
    return NewVersion(checked.version, manifest, checked.signature, registered_by, metrics, training_id)


def _answered(connection: Connection, model: str, answer: Mapping[str, Any]) -> Registration:
    checks = tuple(Check(name, Outcome(outcome), message) for name, outcome, message in answer["checks"])
    return Registration(find_version(connection, model, answer["version"]), checks)
