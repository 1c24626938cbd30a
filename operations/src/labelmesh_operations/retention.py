"""Which backups stay, and what of the shared objects nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterator

from labelmesh_operations.catalog import Entry, unpacked, working_catalog
from labelmesh_operations.errors import OperationError
from labelmesh_operations.hashing import hash_in_name
from labelmesh_operations.manifest import Collection, Manifest, read_manifest
from labelmesh_operations.progress import Progress, amount
from labelmesh_operations.target import Target


def keep_newest(target: Target, number: int, progress: Progress) -> None:
    """Removes all complete backups but the newest `number`, then the objects that no remaining backup names. Call it under the lock.

    Raises Damaged, before anything is removed, where the list of a backup that stays cannot be read.
    """
    if number < 1:
        raise OperationError(f"--keep {number} would remove the backup that was just made; it must be at least 1.")
    complete, _ = target.backups()
    leaving = complete[:-number]
    if not leaving:
        return
    removed = freed = 0
    with working_catalog() as needed:
        for backup in complete[-number:]:
            for entry in contents(target, read_manifest(target, backup)):
                needed.hold(entry.sha256, entry.size)
        for backup in leaving:
            target.remove_backup(backup)
        for name, size in target.files("objects/"):
            digest = hash_in_name(name)
            if digest is None or not needed.holds(digest):
                target.remove(name)
                removed += 1
                freed += size
    progress.say(f"  removed: {len(leaving)} older backups and {removed:,} objects ({amount(freed)})")


def contents(target: Target, manifest: Manifest) -> Iterator[Entry]:
    """Every file among the shared objects that a backup needs. Raises Damaged."""
    yield from listed(target, manifest, manifest.objects)
    if manifest.models is not None:
        yield from listed(target, manifest, manifest.models)


def listed(target: Target, manifest: Manifest, collection: Collection) -> Iterator[Entry]:
    """The files of one of a backup's lists. Raises Damaged."""
    name = f"backups/{manifest.id}/{collection.list.name}"
    with target.open(name) as stream:
        yield from unpacked(stream, collection.list.sha256, f"{name} in {target.where}")
