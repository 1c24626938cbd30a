"""Registered versions: written once, with the manifest by which they are asked and the signature that they had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from labelmesh_chassis.errors import AlreadyExists
from sqlalchemy import Connection, Row, insert, select, text, update

from labelmesh_inference.manifest import ModelManifest
from labelmesh_inference.registry.documents import manifest_document, manifest_of, signature_document, signature_of
from labelmesh_inference.registry.tables import MODELS, VERSIONS
from labelmesh_inference.serving.values import Signature

# Held by whoever registers, changes routes or starts and ends trainings of a model, so that these come one after the other.
_LOCK = text("SELECT pg_advisory_xact_lock(1768842853, hashtext(:model))")
_LAST = text("""
SELECT greatest(
    (SELECT max(version) FROM model_versions WHERE model = :model),
    (SELECT max(version) FROM trainings WHERE model = :model), 0)
""")


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of a model as it was registered. Metrics by name; `training_id` where a training made it."""

    model: str
    version: int
    manifest: ModelManifest
    signature: Signature
    metrics: Mapping[str, float]
    registered_by: UUID
    registered_at: datetime
    training_id: UUID | None


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What is registered."""

    version: int
    manifest: ModelManifest
    signature: Signature
    registered_by: UUID
    metrics: Mapping[str, float] = field(default_factory=dict)
    training_id: UUID | None = None

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.manifest.model


def lock_model(connection: Connection, model: str) -> None:
    """Waits until nobody else changes the model, and keeps others from it until the transaction ends."""
    connection.execute(_LOCK, {"model": model})


def find_version(connection: Connection, model: str, version: int) -> RegisteredVersion | None:
    """A registered version, or None."""
    row = connection.execute(select(VERSIONS).where(VERSIONS.c.model == model, VERSIONS.c.version == version)).one_or_none()
    return None if row is None else _version_of(row)


def versions_of(connection: Connection, models: Iterable[str]) -> dict[str, list[RegisteredVersion]]:
    """The registered versions of models, newest first."""
    found: dict[str, list[RegisteredVersion]] = {model: [] for model in models}
    statement = select(VERSIONS).where(VERSIONS.c.model.in_(list(found))).order_by(VERSIONS.c.version.desc())
    for row in connection.execute(statement):
        found[row.model].append(_version_of(row))
    return found


def check_unchanged(before: RegisteredVersion | None, manifest: ModelManifest) -> None:
    """AlreadyExists (VERSION_REGISTERED) where the version was registered with another manifest."""
    if before is not None and before.manifest != manifest:
        raise AlreadyExists(
            "VERSION_REGISTERED",
            f"version {before.version} of {before.model} is registered with another manifest, and versions never change",
            metadata={"model": before.model, "version": str(before.version)},
        )


def put_version(connection: Connection, new: NewVersion) -> RegisteredVersion:
    """Registers a version of a locked model; one that is there keeps what it has, but for metrics where new ones are given."""
    before = find_version(connection, new.model, new.version)
    check_unchanged(before, new.manifest)
    if before is None:
        connection.execute(text("INSERT INTO models (name, revision) VALUES (:name, 0) ON CONFLICT (name) DO NOTHING"), {"name": new.model})
        connection.execute(
            insert(VERSIONS).values(
                model=new.model,
                version=new.version,
                manifest=manifest_document(new.manifest),
                signature=signature_document(new.signature),
                metrics=dict(new.metrics),
                registered_by=new.registered_by,
                training_id=new.training_id,
            )
        )
    elif new.metrics:
        matching = VERSIONS.c.model == new.model, VERSIONS.c.version == new.version
        connection.execute(update(VERSIONS).where(*matching).values(metrics=dict(new.metrics)))
    found = find_version(connection, new.model, new.version)
    assert found is not None
    return found


def last_number(connection: Connection, model: str) -> int:
    """The highest number that a version of the model has or was promised; 0 where there is none."""
    return int(connection.execute(_LAST, {"model": model}).scalar_one())


def has_versions(connection: Connection, model: str) -> bool:
    """Whether the model is there."""
    return connection.execute(select(MODELS.c.name).where(MODELS.c.name == model)).one_or_none() is not None


def _version_of(row: Row[Any]) -> RegisteredVersion:
    return RegisteredVersion(
        row.model,
        row.version,
        manifest_of(row.manifest),
        signature_of(row.signature),
        row.metrics,
        row.registered_by,
        row.registered_at,
        row.training_id,
    )
