"""Pages of images that meet a condition which no index knows: bounded looks along the project, oldest first.

An index for the condition would be written with every label; this costs nothing until somebody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelmesh_chassis.statements import PreparedStatement
from sqlalchemy import Row
from sqlalchemy.orm import Session

from labelmesh_labeling.parameters import TYPES

# Images looked at in one statement: one that finds few among many still ends after some 50 ms.
MOST_LOOKED_AT = 20_000

_COLUMNS = {
    **{name: f"i.{name}" for name in ("id", "number", "name", "sha256", "width", "height", "media_type", "size_bytes", "created_at")},
    "priority": "q.priority",
    "completed": "q.labels >= q.wanted",
}


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of images, oldest first. `reached` is the number to go on after, `is_last` that nothing is behind it."""

    rows: tuple[Row[Any], ...]
    reached: int
    is_last: bool


class ImageScan:
    """Images of a project for which an SQL condition on their queue row `q` holds; `more` are columns besides an image's own, by name."""

    def __init__(self, condition: str, more: Mapping[str, str] | None = None) -> None:
        columns = {**_COLUMNS, **(more or {})}
        chosen = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
        no_image = ", ".join("number" if name == "number" else "NULL" for name in columns)
        # The last row, which is no image, says how far it looked. In one statement, because an image that is added between two would be
        # passed over. It is looked for only where the images do not fill the limit.
        self._statement = PreparedStatement(
            f"""
SELECT * FROM ((
    SELECT {chosen}
    FROM (SELECT * FROM images WHERE project_id = :project_id AND number > :after ORDER BY number LIMIT :looked_at) i
        JOIN queue q ON q.image_id = i.id
    WHERE {condition} ORDER BY i.number LIMIT :most
) UNION ALL (
    SELECT {no_image} FROM images WHERE project_id = :project_id AND number > :after ORDER BY number OFFSET :looked_at - 1 LIMIT 1
)) found LIMIT :most
""",
            TYPES,
        )

    def after(self, session: Session, project_id: UUID, number: int, *, most: int, looked_at: int = MOST_LOOKED_AT) -> Found:
        """Up to `most` images that came after the one of this number, among the next `looked_at`; there may be none and yet more behind."""
        parameters = {"project_id": project_id, "after": number, "most": most, "looked_at": looked_at}
        rows = self._statement.run(session, parameters).all()
        images = tuple(row for row in rows if row.id is not None)
        if len(images) == most:
            return Found(images, images[-1].number, is_last=False)
        ends = [row.number for row in rows if row.id is None]
        return Found(images, ends[0] if ends else (images[-1].number if images else number), is_last=not ends)
