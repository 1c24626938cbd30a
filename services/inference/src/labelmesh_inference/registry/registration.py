"""Registering: a version that passed its checks, and the aliases that come to point at it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from labelmesh_inference.registry.revisions import find_current, point
from labelmesh_inference.registry.routing import STABLE
from labelmesh_inference.registry.versions import NewVersion, RegisteredVersion, lock_model, put_version


def register(connection: Connection, new: NewVersion, aliases: Iterable[str] = ()) -> RegisteredVersion:
    """Registers a version and points aliases at it; a model's first version becomes stable.

    Registered again with the same manifest it is no error; AlreadyExists (VERSION_REGISTERED) with another one.
    """
    lock_model(connection, new.model)
    registered = put_version(connection, new)
    before = find_current(connection, new.model)
    wanted = dict.fromkeys(aliases, new.version)
    if before is None:
        wanted.setdefault(STABLE, new.version)
    if wanted:
        point(connection, new.model, before, wanted, new.registered_by)
    return registered
