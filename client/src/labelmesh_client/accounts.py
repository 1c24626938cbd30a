"""Accounts and API keys: administration for admins and managers, by people only (no API key may do it)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from google.protobuf.field_mask_pb2 import FieldMask
from labelmesh.auth.v1 import api_keys_pb2, users_pb2

from labelmesh_client.errors import NotFound
from labelmesh_client.services import Services
from labelmesh_client.timestamps import moment, timestamp

_PAGE = 500

#: What an API key may be allowed to do.
SCOPES = (
    "labeling.read",
    "labeling.annotate",
    "labeling.import",
    "labeling.prioritize",
    "labeling.manage",
    "inference.read",
    "inference.predict",
    "inference.manage",
    "augment.read",
    "augment.apply",
    "augment.manage",
)


class Role(StrEnum):
    """What a person may do; each role includes the ones before it."""

    ANNOTATOR = "annotator"
    MANAGER = "manager"
    ADMIN = "admin"


_ROLES = {Role.ANNOTATOR: users_pb2.ROLE_ANNOTATOR, Role.MANAGER: users_pb2.ROLE_MANAGER, Role.ADMIN: users_pb2.ROLE_ADMIN}
_ROLES_BACK = {value: role for role, value in _ROLES.items()}


@dataclass(frozen=True)
class User:
    """An account of a person. `last_sign_in_time` is None when it never signed in."""

    id: str
    name: str
    display_name: str
    role: Role | None
    disabled: bool
    project_ids: tuple[str, ...]
    create_time: datetime | None
    last_sign_in_time: datetime | None

    @staticmethod
    def from_wire(message: users_pb2.User) -> User:
        return User(
            id=message.id,
            name=message.name,
            display_name=message.display_name,
            role=_ROLES_BACK.get(message.role),
            disabled=message.disabled,
            project_ids=tuple(message.project_ids),
            create_time=moment(message, "create_time"),
            last_sign_in_time=moment(message, "last_sign_in_time"),
        )


@dataclass(frozen=True)
class ApiKeyFacts:
    """An API key without its secret. `prefix` is how the secret begins; no `project_ids` means all that the owner may see."""

    id: str
    display_name: str
    prefix: str
    scopes: tuple[str, ...]
    project_ids: tuple[str, ...]
    owner_user_id: str
    create_time: datetime | None
    expire_time: datetime | None
    revoke_time: datetime | None
    last_use_time: datetime | None

    @staticmethod
    def from_wire(message: api_keys_pb2.ApiKey) -> ApiKeyFacts:
        return ApiKeyFacts(
            id=message.id,
            display_name=message.display_name,
            prefix=message.prefix,
            scopes=tuple(message.scopes),
            project_ids=tuple(message.project_ids),
            owner_user_id=message.owner_user_id,
            create_time=moment(message, "create_time"),
            expire_time=moment(message, "expire_time"),
            revoke_time=moment(message, "revoke_time"),
            last_use_time=moment(message, "last_use_time"),
        )


class Users:
    """Administration of accounts, for admins."""

    def __init__(self, services: Services) -> None:
        self._stub = services.users

    def list(self, query: str = "") -> Iterator[User]:
        """Accounts by name; with `query` those whose name or display name contains it."""
        token = ""
        while True:
            page = self._stub.ListUsers(users_pb2.ListUsersRequest(page_size=_PAGE, page_token=token, query=query))
            yield from map(User.from_wire, page.users)
            token = page.next_page_token
            if not token:
                return

    def by_name(self, name: str) -> User:
        """The account of exactly this name, without regard to case. Raises NotFound."""
        for user in self.list(name):
            if user.name.casefold() == name.casefold():
                return user
        raise NotFound(f"There is no account named “{name}”.", reason="USER_NOT_FOUND")

    def create(self, name: str, password: str, role: Role, *, display_name: str = "", project_ids: Sequence[str] = ()) -> User:
        """Makes an account. Raises AlreadyExists for a taken name, InvalidArgument when the policy refuses the password."""
        request = users_pb2.CreateUserRequest(
            request_id=str(uuid.uuid4()),
            name=name,
            display_name=display_name,
            password=password,
            role=_ROLES[role],
            project_ids=project_ids,
        )
        return User.from_wire(self._stub.CreateUser(request).user)

    def set_role(self, user_id: str, role: Role) -> User:
        return self._update(users_pb2.UpdateUserRequest(user_id=user_id, role=_ROLES[role], update_mask=FieldMask(paths=["role"])))

    def set_disabled(self, user_id: str, disabled: bool) -> User:
        """Disabling ends all sessions of the account and makes its API keys unusable."""
        return self._update(users_pb2.UpdateUserRequest(user_id=user_id, disabled=disabled, update_mask=FieldMask(paths=["disabled"])))

    def set_projects(self, user_id: str, project_ids: Sequence[str]) -> User:
        """Which projects with restricted access the account may see."""
        request = users_pb2.UpdateUserRequest(user_id=user_id, project_ids=project_ids, update_mask=FieldMask(paths=["project_ids"]))
        return self._update(request)

    def set_password(self, user_id: str, password: str) -> None:
        """Ends all sessions of the account as well."""
        self._stub.SetPassword(users_pb2.SetPasswordRequest(user_id=user_id, password=password))

    def _update(self, request: users_pb2.UpdateUserRequest) -> User:
        return User.from_wire(self._stub.UpdateUser(request).user)


class ApiKeys:
    """Keys for programs: managers manage their own, admins everybody's."""

    def __init__(self, services: Services) -> None:
        self._stub = services.api_keys

    def list(self) -> Iterator[ApiKeyFacts]:
        """Keys, newest first."""
        token = ""
        while True:
            page = self._stub.ListApiKeys(api_keys_pb2.ListApiKeysRequest(page_size=_PAGE, page_token=token))
            yield from map(ApiKeyFacts.from_wire, page.api_keys)
            token = page.next_page_token
            if not token:
                return

    def create(
        self, display_name: str, scopes: Sequence[str], *, project_ids: Sequence[str] = (), expire_time: datetime | None = None
    ) -> tuple[ApiKeyFacts, str]:
        """Makes a key and returns it with its secret, which cannot be had again. Without `expire_time` it does not expire."""
        request = api_keys_pb2.CreateApiKeyRequest(
            request_id=str(uuid.uuid4()),
            display_name=display_name,
            scopes=scopes,
            project_ids=project_ids,
            expire_time=timestamp(expire_time) if expire_time else None,
        )
        reply = self._stub.CreateApiKey(request)
        return ApiKeyFacts.from_wire(reply.api_key), reply.secret

    def revoke(self, api_key_id: str) -> ApiKeyFacts:
        """Ends a key at once and for good."""
        return ApiKeyFacts.from_wire(self._stub.RevokeApiKey(api_keys_pb2.RevokeApiKeyRequest(api_key_id=api_key_id)).api_key)
