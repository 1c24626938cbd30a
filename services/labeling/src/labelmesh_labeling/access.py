"""Who is calling, as far as labeling cares, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from labelmesh_chassis.errors import NotFound, PermissionDenied
from sqlalchemy import text
from sqlalchemy.orm import Session

_OPEN_TO_EVERYONE = text("SELECT access = 1 FROM projects WHERE id = :project_id")


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, or a program with a key. `user_id` is the account or the key's owner, `actor_id` the account or the key itself."""

    user_id: UUID
    actor_id: UUID
    is_machine: bool
    is_manager: bool
    session_id: str
    project_ids: frozenset[UUID]
    all_projects: bool

    @property
    def sees_open_projects(self) -> bool:
        """Whether projects that are open to everyone are for this caller's eyes; a key bound to projects sees those alone."""
        return self.all_projects or not (self.is_machine and self.project_ids)

    def may_see(self, project_id: UUID, *, open_to_everyone: bool) -> bool:
        """Whether a project is for this caller's eyes."""
        return self.all_projects or project_id in self.project_ids or (open_to_everyone and self.sees_open_projects)

    def require_manager(self) -> None:
        """Raises PermissionDenied (ROLE_MISSING) for annotators and their keys."""
        if not self.is_manager:
            raise PermissionDenied("ROLE_MISSING", "this is for the role manager and above", metadata={"role": "manager"})

    def require_manager_or_key(self) -> None:
        """Raises PermissionDenied (ROLE_MISSING) for annotators in person: they see and change nothing but their own work."""
        if not self.is_machine:
            self.require_manager()


def require_visible(session: Session, caller: Caller, project_id: UUID) -> None:
    """NotFound unless the project is there and for the caller's eyes."""
    open_to_everyone = session.execute(_OPEN_TO_EVERYONE, {"project_id": project_id}).scalar_one_or_none()
    if open_to_everyone is None or not caller.may_see(project_id, open_to_everyone=open_to_everyone):
        raise no_such_project()


def no_such_project() -> NotFound:
    """One answer for a project that is not there and one that is not for the caller's eyes."""
    return NotFound("PROJECT_NOT_FOUND", "there is no such project", metadata={"field": "project_id"})
