"""What is measured of labeling: how much waits, how old it is, and what is written.

With ten million images these figures cost what they cost with ten thousand: sums over counters, one look at each end of an open project's
queue, and the leases that are held, of which there are a few for each annotator. All are looked up in the background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from labelmesh_chassis.database import Database
from labelmesh_chassis.readings import Figure, Reading, Readings, brief
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import text

_PREFIX = "labelmesh_labeling"
FIGURES = (
    Figure(f"{_PREFIX}_projects_open", "Projects that images are given out of."),
    Figure(f"{_PREFIX}_images", "Images of open projects that want labels, by state: waiting, leased.", ("state",)),
    Figure(f"{_PREFIX}_oldest_waiting_seconds", "Age of the oldest image at either end of an open project's queue; 0 where none waits."),
    Figure(f"{_PREFIX}_leases", "Leases that are held, by state: live, overdue (out of time, and nobody has asked since).", ("state",)),
    Figure(f"{_PREFIX}_oldest_lease_seconds", "How long the lease that is held for the longest is held; 0 where none is."),
    Figure(
        f"{_PREFIX}_unreturned_lease_seconds",
        "How long a lease has been out of time in a project whose annotators were given images since; 0 where none is.",
    ),
)
# More than this many open projects, or leases, and the figures are about the first of them.
MOST_PROJECTS = 1000
MOST_LEASES = 10_000

# Who asked for images in a project after a lease of it ran out should have been given that image: it is to be returned at the next ask.
_LEASES = text("""
WITH held AS MATERIALIZED (
    SELECT project_id, image_id, acquired_at, expires_at FROM leases WHERE NOT returned LIMIT :most
), by_project AS (
    SELECT max(acquired_at) AS asked_at, min(expires_at) AS first_end FROM held GROUP BY project_id
)
SELECT count(*) FILTER (WHERE expires_at > statement_timestamp()) AS live,
    count(*) FILTER (WHERE expires_at <= statement_timestamp()) AS overdue,
    count(DISTINCT image_id) AS images,
    coalesce(extract(epoch FROM statement_timestamp() - min(acquired_at)), 0) AS oldest,
    coalesce((SELECT extract(epoch FROM max(asked_at - first_end)) FROM by_project WHERE asked_at > first_end), 0) AS unreturned
FROM held
""")
# The next image and the one with the least priority: where nobody sets priorities, the oldest of all.
_QUEUE = text("""
WITH open AS MATERIALIZED (
    SELECT id FROM projects WHERE state = 1 ORDER BY number LIMIT :most
), ends AS (
    SELECT first.image_id FROM open, LATERAL (
        SELECT image_id FROM queue WHERE project_id = open.id AND free_slots > 0 ORDER BY priority DESC, number LIMIT 1
    ) first
    UNION ALL
    SELECT last.image_id FROM open, LATERAL (
        SELECT priority FROM queue WHERE project_id = open.id AND free_slots > 0 ORDER BY priority, number DESC LIMIT 1
    ) lowest, LATERAL (
        SELECT image_id FROM queue WHERE project_id = open.id AND free_slots > 0 AND priority = lowest.priority ORDER BY number LIMIT 1
    ) last
)
SELECT (SELECT count(*) FROM open) AS projects,
    coalesce((SELECT sum(c.images_added - c.images_completed) FROM open JOIN counters c ON c.project_id = open.id), 0) AS wanted,
    coalesce((SELECT extract(epoch FROM statement_timestamp() - min(i.created_at)) FROM ends JOIN images i ON i.id = ends.image_id), 0)
        AS oldest
""")


class LabelingMeasures:
    """The figures, and a counter of what is written."""

    def __init__(self, database: Database, registry: CollectorRegistry) -> None:
        self.readings = Readings(f"{_PREFIX}_figures", FIGURES, lambda: look(database), registry=registry)
        self._written = Counter(f"{_PREFIX}_annotations_total", "Annotations that were written, by author.", ["author"], registry=registry)
        for author in ("person", "machine"):
            self._written.labels(author)

    @property
    def count(self) -> Callable[[str, int], None]:
        """Told who wrote how many."""
        return lambda author, number: self._written.labels(author).inc(number)


def look(database: Database) -> Iterable[Reading]:
    """All figures as of now."""
    with brief(database) as connection:
        leases = connection.execute(_LEASES, {"most": MOST_LEASES}).one()
    with brief(database) as connection:
        queue = connection.execute(_QUEUE, {"most": MOST_PROJECTS}).one()
    return (
        Reading(f"{_PREFIX}_projects_open", queue.projects),
        Reading(f"{_PREFIX}_images", max(0.0, float(queue.wanted - leases.images)), ("waiting",)),
        Reading(f"{_PREFIX}_images", leases.images, ("leased",)),
        Reading(f"{_PREFIX}_oldest_waiting_seconds", float(queue.oldest)),
        Reading(f"{_PREFIX}_leases", leases.live, ("live",)),
        Reading(f"{_PREFIX}_leases", leases.overdue, ("overdue",)),
        Reading(f"{_PREFIX}_oldest_lease_seconds", float(leases.oldest)),
        Reading(f"{_PREFIX}_unreturned_lease_seconds", float(leases.unreturned)),
    )
