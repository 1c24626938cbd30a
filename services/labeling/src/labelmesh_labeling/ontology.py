"""A project's ontology: the classes that images are labeled with, kept for every version that annotations name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from labelmesh_chassis.errors import FailedPrecondition, FieldViolation, InvalidArgument
from sqlalchemy import insert, select, tuple_
from sqlalchemy.orm import Session

from labelmesh_labeling.tables import ClassUseRow, LabelClassRow

MOST_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class LabelClass:
    """A class: a stable id, what people read, the key that chooses it (or empty), and its colour #rrggbb (or empty)."""

    id: str
    display_name: str
    hotkey: str
    color: str


def check_classes(classes: Sequence[LabelClass]) -> None:
    """InvalidArgument naming each field unless there are 1 to 1,000 classes with ids and hotkeys of their own."""
    if not 1 <= len(classes) <= MOST_CLASSES:
        raise InvalidArgument("CLASSES_COUNT", "a project has 1 to 1,000 classes", field="classes")
    violations: list[FieldViolation] = []
    ids: set[str] = set()
    hotkeys: set[str] = set()
    for index, label_class in enumerate(classes):
        if label_class.id in ids:
            violations.append(FieldViolation(f"classes[{index}].id", "another class has this id", "DUPLICATE"))
        if label_class.hotkey and label_class.hotkey in hotkeys:
            violations.append(FieldViolation(f"classes[{index}].hotkey", "another class has this key", "DUPLICATE"))
        ids.add(label_class.id)
        hotkeys.add(label_class.hotkey)
    if violations:
        raise InvalidArgument("CLASSES_INVALID", "classes need ids and keys of their own", violations=violations[:100])


def write_classes(session: Session, project_id: UUID, schema_version: int, classes: Sequence[LabelClass]) -> None:
    """Writes a version of the ontology."""
    session.execute(
        insert(LabelClassRow),
        [
            {
                "project_id": project_id,
                "schema_version": schema_version,
                "class_id": label_class.id,
                "position": position,
                "display_name": label_class.display_name,
                "hotkey": label_class.hotkey,
                "color": label_class.color,
            }
            for position, label_class in enumerate(classes)
        ],
    )


def read_classes(session: Session, versions: Collection[tuple[UUID, int]]) -> dict[UUID, tuple[LabelClass, ...]]:
    """The classes of projects, each at the version asked for, in the order they are shown."""
    table = LabelClassRow.__table__.c
    statement = (
        select(table.project_id, table.class_id, table.display_name, table.hotkey, table.color)
        .where(tuple_(table.project_id, table.schema_version).in_(list(versions)))
        .order_by(table.project_id, table.position)
    )
    found: dict[UUID, list[LabelClass]] = {project_id: [] for project_id, _ in versions}
    for row in session.execute(statement) if versions else ():
        found[row.project_id].append(LabelClass(row.class_id, row.display_name, row.hotkey, row.color))
    return {project_id: tuple(classes) for project_id, classes in found.items()}


def check_removal(session: Session, project_id: UUID, before: Sequence[LabelClass], after: Sequence[LabelClass]) -> None:
    """FailedPrecondition (CLASS_IN_USE) if a class that some annotation was ever made with would go, undone ones included."""
    kept = {label_class.id for label_class in after}
    removed = [label_class.id for label_class in before if label_class.id not in kept]
    table = ClassUseRow.__table__.c
    used = sorted(session.scalars(select(table.class_id).where(table.project_id == project_id, table.class_id.in_(removed))))
    if used:
        names = ", ".join(used[:10])
        raise FailedPrecondition(
            "CLASS_IN_USE", f"annotations use the class {names}: it cannot be removed", field="classes", metadata={"class_ids": names}
        )
