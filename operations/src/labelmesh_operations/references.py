"""Which objects the databases refer to. The only tables of the services that are known here by name, beside auth's signing keys."""

from __future__ import annotations

from collections.abc import Iterator

from labelmesh_operations.postgres import Snapshot

_ENDING = "CASE media_type WHEN 'image/jpeg' THEN 'jpg' WHEN 'image/png' THEN 'png' END"
_HASH = "encode(sha256, 'hex')"
REFERENCES = {
    "labeling": ("blobs", f"SELECT 'images/' || left({_HASH}, 2) || '/' || {_HASH} || '.' || {_ENDING} FROM blobs WHERE stored"),
    "inference": ("pictures", f"SELECT 'predictions/' || {_HASH} || '.' || {_ENDING} FROM pictures WHERE stored"),
}
"""By service: the table, and a query for the keys of the objects that must be there."""


def referred_objects(service: str, snapshot: Snapshot) -> Iterator[str]:
    """Keys of the objects that the snapshot needs; none for a service that keeps none."""
    if service in REFERENCES and snapshot.has(REFERENCES[service][0]):
        yield from snapshot.stream(REFERENCES[service][1])
