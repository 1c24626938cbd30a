"""Fills a project with images by SQL, because a million of them through the front door would take the time that the benchmark wants."""

from __future__ import annotations

from pathlib import Path

import psycopg2
from labelmesh_local.home import Home, Secrets

# The digests are real ones of nothing in particular: nobody looks at the pictures here.
_FILL = """
INSERT INTO blobs (sha256, media_type, size_bytes, stored, touched_at)
  SELECT sha256(convert_to(%(project)s || n, 'UTF8')), 'image/png', 150, true, now() FROM generate_series(1, %(count)s) AS n;
INSERT INTO images (id, project_id, number, sha256, name, width, height, media_type, size_bytes, added_by)
  SELECT gen_random_uuid(), %(project)s::uuid, n, sha256(convert_to(%(project)s || n, 'UTF8')), 'benchmark-' || n, 8, 8, 'image/png', 150,
         gen_random_uuid()
  FROM generate_series(1, %(count)s) AS n;
INSERT INTO queue (image_id, project_id, priority, number, free_slots, wanted)
  SELECT id, project_id, 0, number, 1, 1 FROM images WHERE project_id = %(project)s::uuid;
INSERT INTO counters (project_id, author_id, images_added) VALUES (%(project)s::uuid, gen_random_uuid(), %(count)s);
"""


def labeling_dsn(home: Path, port: int) -> str:
    """libpq's address of labeling's own database in a mesh under `home`, whose PostgreSQL listens on `port`."""
    password = Secrets.load_or_make(Home(home).secrets).labeling_database
    return f"host=127.0.0.1 port={port} dbname=labeling user=labeling password={password}"


def fill(dsn: str, project_id: str, count: int) -> None:
    """Adds `count` images to a project that has none."""
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(_FILL, {"project": project_id, "count": count})
        connection.autocommit = True
        with connection.cursor() as cursor:
            for table in ("blobs", "images", "queue"):
                cursor.execute(f"VACUUM ANALYZE {table}")
    finally:
        connection.close()
