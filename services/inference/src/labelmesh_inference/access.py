"""Who is calling, as far as inference cares, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from labelmesh_chassis.errors import PermissionDenied
from labelmesh_chassis.identity import Identity, Role

MANAGE = "inference.manage"


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, or a program with a key. `user_id` is the account or the key's owner, `actor_id` the account or the key itself.

    `bound_to` are the projects that a key is bound to, and of projects it sees those alone; None for whoever is not bound.
    """

    user_id: UUID
    actor_id: UUID
    is_machine: bool
    is_manager: bool
    scopes: frozenset[str]
    bound_to: frozenset[UUID] | None = None

    @classmethod
    def of(cls, identity: Identity) -> Caller:
        """Inference's view of an identity."""
        bound = identity.is_machine and bool(identity.project_ids) and not identity.all_projects
        return cls(
            user_id=UUID(identity.user_id),
            actor_id=UUID(identity.subject.partition(":")[2]),
            is_machine=identity.is_machine,
            is_manager=identity.role.includes(Role.MANAGER),
            scopes=identity.scopes,
            bound_to=frozenset(map(UUID, identity.project_ids)) if bound else None,
        )

    def require_manager(self) -> None:
        """Raises PermissionDenied (ROLE_MISSING) for annotators, (SCOPE_MISSING) for keys without the scope inference.manage."""
        if self.is_machine:
            self.require_scope(MANAGE)
        elif not self.is_manager:
            raise PermissionDenied("ROLE_MISSING", "this is for the role manager and above", metadata={"role": "manager"})

    def require_scope(self, scope: str) -> None:
        """Raises PermissionDenied (SCOPE_MISSING) for a key without it. People need none."""
        if self.is_machine and scope not in self.scopes:
            raise PermissionDenied("SCOPE_MISSING", f"the API key lacks the scope {scope}", metadata={"scope": scope})
