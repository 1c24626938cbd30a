"""Messages of the contract to values, and back."""

from __future__ import annotations

import importlib.resources
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf import descriptor_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from labelmesh.auth.v1 import api_keys_pb2, security_pb2, sessions_pb2, users_pb2
from labelmesh.options.v1 import options_pb2
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_chassis.identity import Role
from labelmesh_chassis.methods import MethodOptions

from labelmesh_auth.accounts import NewUser, User, UserChange
from labelmesh_auth.api_keys import ApiKey, NewApiKey
from labelmesh_auth.audit import AuditEvent
from labelmesh_auth.sessions import Session
from labelmesh_auth.signing_keys import SigningKey

_ROLES = {users_pb2.ROLE_ANNOTATOR: Role.ANNOTATOR, users_pb2.ROLE_MANAGER: Role.MANAGER, users_pb2.ROLE_ADMIN: Role.ADMIN}
_ROLE_NUMBERS = {role: number for number, role in _ROLES.items()}
_CHANGEABLE = ("display_name", "role", "disabled", "project_ids")


def contract_methods() -> Mapping[str, MethodOptions]:
    """What the contract says of each method of every service of the mesh, by path as in `/labelmesh.auth.v1.SessionService/SignIn`."""
    document = importlib.resources.files("labelmesh.contract").joinpath("descriptors.binpb").read_bytes()
    methods: dict[str, MethodOptions] = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(document).file:
        if not file.package.startswith("labelmesh."):
            continue
        for service in file.service:
            for method in service.method:
                path = f"/{file.package}.{service.name}/{method.name}"
                methods[path] = _method_options(path, method.options)
    return methods


def _method_options(path: str, options: descriptor_pb2.MethodOptions) -> MethodOptions:
    reads_only = options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    return MethodOptions(
        full_name=path[1:].replace("/", "."),
        passive=reads_only or options.Extensions[options_pb2.passive],
        open=options.Extensions[options_pb2.open],
        scope=options.Extensions[options_pb2.scope],
        default_deadline_s=options.Extensions[options_pb2.default_deadline_s],
        repeatable=reads_only or options.Extensions[options_pb2.repeatable],
    )


def new_user(request: users_pb2.CreateUserRequest) -> NewUser:
    """The account that is asked for, without a password."""
    return NewUser(
        name=request.name,
        display_name=request.display_name,
        role=_ROLES[request.role],
        password_hash="",
        project_ids=_project_ids(request.project_ids),
        request_id=uuid.UUID(request.request_id),
    )


def user_change(request: users_pb2.UpdateUserRequest) -> UserChange:
    """The change that is asked for; InvalidArgument on `update_mask` for a field that cannot be changed, on `role` for none."""
    paths = set(request.update_mask.paths)
    if "*" in paths:
        paths = set(_CHANGEABLE)
    foreign = sorted(paths.difference(_CHANGEABLE))
    if foreign or not paths:
        message = f"can name {', '.join(_CHANGEABLE)}" + (f", not {', '.join(foreign)[:100]}" if foreign else "; it is empty")
        raise InvalidArgument("UPDATE_MASK_INVALID", message, field="update_mask")
    if "role" in paths and request.role not in _ROLES:
        raise InvalidArgument("ROLE_MISSING_VALUE", "a role must be given", field="role")
    return UserChange(
        display_name=request.display_name if "display_name" in paths else None,
        role=_ROLES[request.role] if "role" in paths else None,
        disabled=request.disabled if "disabled" in paths else None,
        project_ids=_project_ids(request.project_ids) if "project_ids" in paths else None,
        etag=request.etag,
    )


def new_api_key(request: api_keys_pb2.CreateApiKeyRequest) -> NewApiKey:
    """The key that is asked for; InvalidArgument on `expire_time` for a time that does not exist."""
    return NewApiKey(
        request_id=uuid.UUID(request.request_id),
        display_name=request.display_name,
        scopes=tuple(request.scopes),
        project_ids=_project_ids(request.project_ids),
        expire_time=_datetime(request.expire_time, "expire_time") if request.HasField("expire_time") else None,
    )


def user_message(user: User) -> users_pb2.User:
    return users_pb2.User(
        id=str(user.id),
        name=user.name,
        display_name=user.display_name,
        role=_ROLE_NUMBERS[user.role],
        disabled=user.disabled,
        project_ids=map(str, user.project_ids),
        create_time=_timestamp(user.create_time),
        last_sign_in_time=_optional(user.last_sign_in_time),
        etag=user.etag,
    )


def session_message(session: Session, user: User, idle: timedelta) -> sessions_pb2.Session:
    idle_timeout = Duration()
    idle_timeout.FromTimedelta(idle)
    return sessions_pb2.Session(
        id=str(session.id),
        user=user_message(user),
        create_time=_timestamp(session.create_time),
        last_activity_time=_timestamp(session.last_seen_time),
        idle_timeout=idle_timeout,
        end_time=_timestamp(session.end_time),
    )


def api_key_message(key: ApiKey) -> api_keys_pb2.ApiKey:
    return api_keys_pb2.ApiKey(
        id=str(key.id),
        display_name=key.display_name,
        prefix=key.prefix,
        scopes=key.scopes,
        project_ids=map(str, key.project_ids),
        owner_user_id=str(key.owner_user_id),
        owner_role=_ROLE_NUMBERS[key.owner_role],
        create_time=_timestamp(key.create_time),
        expire_time=_optional(key.expire_time),
        revoke_time=_optional(key.revoke_time),
        last_use_time=_optional(key.last_use_time),
    )


def signing_key_message(key: SigningKey) -> security_pb2.SigningKey:
    return security_pb2.SigningKey(
        key_id=key.key_id,
        create_time=_timestamp(key.create_time),
        activate_time=_timestamp(key.activate_time),
        retire_time=_optional(key.retire_time),
        expire_time=_optional(key.expire_time),
    )


def audit_event_message(event: AuditEvent) -> security_pb2.AuditEvent:
    return security_pb2.AuditEvent(
        id=event.id,
        time=_timestamp(event.time),
        actor=event.actor,
        action=event.action,
        target=event.target,
        address=event.address,
        details=event.details,
    )


def _project_ids(ids: Sequence[str]) -> tuple[uuid.UUID, ...]:
    return tuple(uuid.UUID(project_id) for project_id in ids)


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time.astimezone(UTC))
    return message


def _optional(time: datetime | None) -> Timestamp | None:
    return _timestamp(time) if time is not None else None


def _datetime(message: Timestamp, field: str) -> datetime:
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as problem:
        raise InvalidArgument("TIME_INVALID", "this is no time between the years 1 and 9999", field=field) from problem
