"""Who is calling, as far as augmentation cares, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from labelmesh_chassis.errors import PermissionDenied
from labelmesh_chassis.identity import Identity, Role

MANAGE = "augment.manage"
READ_IMAGES = "labeling.read"


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, or a program with a key. `user_id` is the account or the key's owner, `actor_id` the account or the key itself."""

    user_id: UUID
    actor_id: UUID
    is_machine: bool
    is_manager: bool
    scopes: frozenset[str]

    @classmethod
    def of(cls, identity: Identity) -> Caller:
        """Augmentation's view of an identity."""
        return cls(
            user_id=UUID(identity.user_id),
            actor_id=UUID(identity.subject.partition(":")[2]),
            is_machine=identity.is_machine,
            is_manager=identity.role.includes(Role.MANAGER),
            scopes=identity.scopes,
        )

    @property
    def account(self) -> str:
        """Whom work counts for: all keys of an account together have one share of the workers."""
        return str(self.user_id)

    def require_manager(self) -> None:
        """Raises PermissionDenied (ROLE_MISSING) for annotators and their keys, (SCOPE_MISSING) for keys without augment.manage."""
        if not self.is_manager:
            raise PermissionDenied("ROLE_MISSING", "this is for the role manager and above", metadata={"role": "manager"})
        self.require_scope(MANAGE)

    def require_scope(self, scope: str) -> None:
        """Raises PermissionDenied (SCOPE_MISSING) for a key without it. People need none."""
        if self.is_machine and scope not in self.scopes:
            raise PermissionDenied("SCOPE_MISSING", f"the API key lacks the scope {scope}", metadata={"scope": scope})
