"""Pictures of predictions in object storage: each content once, for as long as a prediction refers to it.

A picture is announced in the database, put into object storage, and marked as stored in the transaction that writes the prediction. Once no
prediction refers to it the mark is taken away again; what has stood unmarked for an hour is deleted, under the lock of its row, so that
somebody who announces it meanwhile waits and puts it anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Aborted, ResourceExhausted
from sqlalchemy import Connection, text

from labelmesh_inference.predictions.inputs import Objects
from labelmesh_inference.predictions.pictures import object_key

_ABANDONED_AFTER_S = 3600.0
_PATIENCE_S = 1.0

_ANNOUNCE = text("""
INSERT INTO pictures AS p (sha256, media_type, size_bytes, stored, touched_at)
SELECT n.sha256, n.media_type, n.size_bytes, false, clock_timestamp()
FROM unnest(CAST(:hashes AS bytea[]), CAST(:media_types AS text[]), CAST(:sizes AS integer[])) AS n (sha256, media_type, size_bytes)
ORDER BY n.sha256
ON CONFLICT (sha256) DO UPDATE SET touched_at = excluded.touched_at
RETURNING sha256, stored
""")
_MARK = text("""
WITH mine AS (SELECT sha256 FROM pictures WHERE sha256 = ANY(CAST(:hashes AS bytea[])) ORDER BY sha256 FOR UPDATE)
UPDATE pictures p SET stored = true, touched_at = clock_timestamp() FROM mine WHERE p.sha256 = mine.sha256
""")
_LOCK = text("SELECT sha256 FROM pictures WHERE sha256 = ANY(CAST(:hashes AS bytea[])) ORDER BY sha256 FOR UPDATE")
_UNMARK = text("""
UPDATE pictures SET stored = false, touched_at = clock_timestamp()
WHERE sha256 = ANY(CAST(:hashes AS bytea[])) AND NOT EXISTS (SELECT 1 FROM predictions r WHERE r.picture AND r.sha256 = pictures.sha256)
""")
_ABANDONED = text("""
SELECT sha256, media_type FROM pictures WHERE NOT stored AND touched_at < clock_timestamp() - make_interval(secs => :age_s)
ORDER BY touched_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_REFERRED = text("SELECT sha256 FROM predictions WHERE picture AND sha256 = ANY(CAST(:hashes AS bytea[]))")
_FORGET = text("DELETE FROM pictures WHERE sha256 = ANY(CAST(:hashes AS bytea[]))")


class Album:
    """Keeps pictures. `put` before the prediction's transaction, `mark` in it.

    At most `most_uploads` calls put pictures at once, so that object storage that hangs does not hold up those that need none of it.
    """

    def __init__(self, database: Database, objects: Objects, *, most_uploads: int = 8) -> None:
        self._database = database
        self._objects = objects
        self._places = threading.BoundedSemaphore(most_uploads)

    def put(self, pictures: Mapping[bytes, tuple[bytes, str]]) -> None:
        """Makes sure that files lie in object storage: content and media type by SHA-256.

        ResourceExhausted (OBJECT_STORE_BUSY) where there is no place for a second.
        """
        if not pictures:
            return
        hashes = sorted(pictures)
        values = {
            "hashes": hashes,
            "media_types": [pictures[sha256][1] for sha256 in hashes],
            "sizes": [len(pictures[sha256][0]) for sha256 in hashes],
        }
        with self._database.connection() as connection:
            missing = [bytes(row.sha256) for row in connection.execute(_ANNOUNCE, values) if not row.stored]
        if missing:
            with self._place():
                for sha256 in missing:
                    content, media_type = pictures[sha256]
                    self._objects.put(object_key(sha256.hex(), media_type), content, media_type)

    def mark(self, connection: Connection, hashes: Sequence[bytes]) -> None:
        """In the transaction that refers to them; Aborted (CONCURRENT_CHANGE) where one was given up since it was put."""
        if hashes and connection.execute(_MARK, {"hashes": list(hashes)}).rowcount != len(set(hashes)):
            raise Aborted("CONCURRENT_CHANGE", "the picture was given up meanwhile; try again", retry_after=0.05)

    def unmark(self, connection: Connection, hashes: Sequence[bytes]) -> None:
        """After predictions that referred to them were deleted in this transaction: those that nobody refers to any more lose the mark."""
        if hashes:
            values = {"hashes": sorted(set(hashes))}
            # What others wrote before these locks were had is seen only by a statement that begins after them.
            connection.execute(_LOCK, values)
            connection.execute(_UNMARK, values)

    def sweep(self, connection: Connection, *, limit: int, age_s: float = _ABANDONED_AFTER_S) -> int:
        """Deletes up to `limit` files that have had no mark for `age_s` seconds; returns how many. Repeating it does no harm."""
        found = {bytes(row.sha256): row.media_type for row in connection.execute(_ABANDONED, {"age_s": age_s, "limit": limit})}
        if not found:
            return 0
        referred = {bytes(row.sha256) for row in connection.execute(_REFERRED, {"hashes": sorted(found)})}
        self.mark(connection, sorted(referred))
        gone = sorted(set(found) - referred)
        for sha256 in gone:
            self._objects.delete(object_key(sha256.hex(), found[sha256]))
        connection.execute(_FORGET, {"hashes": gone})
        return len(gone)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=_PATIENCE_S):
            raise ResourceExhausted(
                "OBJECT_STORE_BUSY", "too many pictures wait for the object storage; try again in a moment", retry_after=1
            )
        try:
            yield
        finally:
            self._places.release()
