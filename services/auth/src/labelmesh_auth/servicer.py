"""The services of labelmesh.auth.v1: each method reads the request, calls the domain, builds the reply."""

from __future__ import annotations

import uuid

import grpc
from labelmesh.auth.v1 import (
    api_keys_pb2,
    api_keys_pb2_grpc,
    security_pb2,
    security_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
)
from labelmesh_chassis.calls import call_of
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import PermissionDenied
from labelmesh_chassis.identity import Identity, Role, identity_of

from labelmesh_auth import accounts, api_keys, audit, sessions, signing_keys, wire
from labelmesh_auth.addresses import client_address
from labelmesh_auth.audit import Actor
from labelmesh_auth.clock import Clock
from labelmesh_auth.cookies import SessionCookie
from labelmesh_auth.credentials import Credentials
from labelmesh_auth.keyring import KeyRing
from labelmesh_auth.sessions import SessionLimits
from labelmesh_auth.signing_keys import KeyVault, RotationTimes
from labelmesh_auth.tokens import SessionTokens


class SessionServicer(sessions_pb2_grpc.SessionServiceServicer):
    """Sign-in and the life of one's own session."""

    def __init__(
        self,
        database: Database,
        credentials: Credentials,
        tokens: SessionTokens,
        cookie: SessionCookie,
        limits: SessionLimits,
        clock: Clock,
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._tokens = tokens
        self._cookie = cookie
        self._limits = limits
        self._clock = clock

    def SignIn(self, request: sessions_pb2.SignInRequest, context: grpc.ServicerContext) -> sessions_pb2.SignInResponse:
        address = client_address(call_of(context).metadata, context.peer())
        signed_in = self._credentials.sign_in(request.name, request.password, address)
        token = self._tokens.issue(signed_in.session)
        if request.use_cookie:
            lifetime_s = int(self._limits.absolute.total_seconds())
            context.send_initial_metadata((("set-cookie", self._cookie.set(token, lifetime_s)),))
        session = wire.session_message(signed_in.session, signed_in.user, self._limits.idle)
        return sessions_pb2.SignInResponse(session=session, token="" if request.use_cookie else token)

    def SignOut(self, request: sessions_pb2.SignOutRequest, context: grpc.ServicerContext) -> sessions_pb2.SignOutResponse:
        identity = identity_of(context)
        with self._database.transaction() as db:
            sessions.sign_out(db, _session_of(identity), Actor.of(identity), self._clock())
        context.send_initial_metadata((("set-cookie", self._cookie.clear()),))
        return sessions_pb2.SignOutResponse()

    def SignOutEverywhere(
        self, request: sessions_pb2.SignOutEverywhereRequest, context: grpc.ServicerContext
    ) -> sessions_pb2.SignOutEverywhereResponse:
        identity = identity_of(context)
        _session_of(identity)
        with self._database.transaction() as db:
            accounts.require_own(db, uuid.UUID(identity.user_id))
            ended = sessions.sign_out_everywhere(db, uuid.UUID(identity.user_id), self._limits, Actor.of(identity), self._clock())
        context.send_initial_metadata((("set-cookie", self._cookie.clear()),))
        return sessions_pb2.SignOutEverywhereResponse(ended_count=ended)

    def GetSession(self, request: sessions_pb2.GetSessionRequest, context: grpc.ServicerContext) -> sessions_pb2.GetSessionResponse:
        return sessions_pb2.GetSessionResponse(session=self._session(identity_of(context)))

    def ReportActivity(
        self, request: sessions_pb2.ReportActivityRequest, context: grpc.ServicerContext
    ) -> sessions_pb2.ReportActivityResponse:
        # The edge's check of this very call was the activity.
        return sessions_pb2.ReportActivityResponse(session=self._session(identity_of(context)))

    def _session(self, identity: Identity) -> sessions_pb2.Session:
        with self._database.transaction() as db:
            session = sessions.get(db, _session_of(identity))
            return wire.session_message(session, accounts.get(db, session.user_id), self._limits.idle)


class UserServicer(users_pb2_grpc.UserServiceServicer):
    """Administration of accounts."""

    def __init__(self, database: Database, credentials: Credentials, clock: Clock) -> None:
        self._database = database
        self._credentials = credentials
        self._clock = clock

    def CreateUser(self, request: users_pb2.CreateUserRequest, context: grpc.ServicerContext) -> users_pb2.CreateUserResponse:
        admin = _admin(context)
        user = self._credentials.create_user(wire.new_user(request), request.password, Actor.of(admin))
        return users_pb2.CreateUserResponse(user=wire.user_message(user))

    def GetUser(self, request: users_pb2.GetUserRequest, context: grpc.ServicerContext) -> users_pb2.GetUserResponse:
        _admin(context)
        with self._database.transaction() as db:
            return users_pb2.GetUserResponse(user=wire.user_message(accounts.get(db, uuid.UUID(request.user_id))))

    def ListUsers(self, request: users_pb2.ListUsersRequest, context: grpc.ServicerContext) -> users_pb2.ListUsersResponse:
        _admin(context)
        with self._database.transaction() as db:
            page = accounts.list_users(db, size=request.page_size, token=request.page_token, query=request.query)
        return users_pb2.ListUsersResponse(users=map(wire.user_message, page.items), next_page_token=page.next_token)

    def UpdateUser(self, request: users_pb2.UpdateUserRequest, context: grpc.ServicerContext) -> users_pb2.UpdateUserResponse:
        admin = _admin(context)
        change = wire.user_change(request)
        with self._database.transaction() as db:
            user = accounts.change(db, uuid.UUID(request.user_id), change, Actor.of(admin), self._clock())
        return users_pb2.UpdateUserResponse(user=wire.user_message(user))

    def SetPassword(self, request: users_pb2.SetPasswordRequest, context: grpc.ServicerContext) -> users_pb2.SetPasswordResponse:
        admin = _admin(context)
        self._credentials.set_password(uuid.UUID(request.user_id), request.password, Actor.of(admin))
        return users_pb2.SetPasswordResponse()

    def ChangePassword(self, request: users_pb2.ChangePasswordRequest, context: grpc.ServicerContext) -> users_pb2.ChangePasswordResponse:
        identity = identity_of(context)
        session_id, user_id = _session_of(identity), uuid.UUID(identity.user_id)
        self._credentials.change_password(user_id, session_id, request.old_password, request.new_password, Actor.of(identity))
        return users_pb2.ChangePasswordResponse()


class ApiKeyServicer(api_keys_pb2_grpc.ApiKeyServiceServicer):
    """API keys of machine clients: managers their own, admins everybody's."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def CreateApiKey(self, request: api_keys_pb2.CreateApiKeyRequest, context: grpc.ServicerContext) -> api_keys_pb2.CreateApiKeyResponse:
        manager = _person(context, Role.MANAGER)
        new = wire.new_api_key(request)
        with self._database.transaction() as db:
            key, secret = api_keys.create(db, new, uuid.UUID(manager.user_id), Actor.of(manager), self._clock())
        return api_keys_pb2.CreateApiKeyResponse(api_key=wire.api_key_message(key), secret=secret)

    def ListApiKeys(self, request: api_keys_pb2.ListApiKeysRequest, context: grpc.ServicerContext) -> api_keys_pb2.ListApiKeysResponse:
        owner = _owner_seen_by(_person(context, Role.MANAGER))
        with self._database.transaction() as db:
            page = api_keys.list_keys(db, size=request.page_size, token=request.page_token, owner_user_id=owner)
        return api_keys_pb2.ListApiKeysResponse(api_keys=map(wire.api_key_message, page.items), next_page_token=page.next_token)

    def RevokeApiKey(self, request: api_keys_pb2.RevokeApiKeyRequest, context: grpc.ServicerContext) -> api_keys_pb2.RevokeApiKeyResponse:
        manager = _person(context, Role.MANAGER)
        with self._database.transaction() as db:
            owner = _owner_seen_by(manager)
            key = api_keys.revoke(db, uuid.UUID(request.api_key_id), Actor.of(manager), self._clock(), owner_user_id=owner)
        return api_keys_pb2.RevokeApiKeyResponse(api_key=wire.api_key_message(key))


class SecurityServicer(security_pb2_grpc.SecurityServiceServicer):
    """The audit log and the signing keys, for admins."""

    def __init__(self, database: Database, keys: KeyRing, vault: KeyVault, times: RotationTimes, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._vault = vault
        self._times = times
        self._clock = clock

    def ListAuditEvents(
        self, request: security_pb2.ListAuditEventsRequest, context: grpc.ServicerContext
    ) -> security_pb2.ListAuditEventsResponse:
        _admin(context)
        with self._database.transaction() as db:
            page = audit.list_events(
                db, size=request.page_size, token=request.page_token, actor=request.actor, action_prefix=request.action_prefix
            )
        return security_pb2.ListAuditEventsResponse(events=map(wire.audit_event_message, page.items), next_page_token=page.next_token)

    def ListSigningKeys(
        self, request: security_pb2.ListSigningKeysRequest, context: grpc.ServicerContext
    ) -> security_pb2.ListSigningKeysResponse:
        _admin(context)
        with self._database.transaction() as db:
            keys = signing_keys.list_keys(db, self._clock())
        return security_pb2.ListSigningKeysResponse(signing_keys=map(wire.signing_key_message, keys))

    def RotateSigningKey(
        self, request: security_pb2.RotateSigningKeyRequest, context: grpc.ServicerContext
    ) -> security_pb2.RotateSigningKeyResponse:
        admin = _admin(context)
        with self._database.transaction() as db:
            key = signing_keys.rotate(db, self._vault, self._times, uuid.UUID(request.request_id), Actor.of(admin), self._clock())
        self._keys.refresh()
        return security_pb2.RotateSigningKeyResponse(signing_key=wire.signing_key_message(key))


def _person(context: grpc.ServicerContext, role: Role) -> Identity:
    """The caller, a person of at least this role; PermissionDenied. No API key may do what is done here, whatever the edge let through."""
    identity = identity_of(context)
    _session_of(identity)
    identity.require(role)
    return identity


def _admin(context: grpc.ServicerContext) -> Identity:
    return _person(context, Role.ADMIN)


def _session_of(identity: Identity) -> uuid.UUID:
    if identity.session_id is None:
        raise PermissionDenied("SESSION_REQUIRED", "this is for people who signed in, not for API keys")
    return uuid.UUID(identity.session_id)


def _owner_seen_by(identity: Identity) -> uuid.UUID | None:
    """Whose keys a caller may see and end: everybody's (None) for admins, else their own."""
    return None if identity.role.includes(Role.ADMIN) else uuid.UUID(identity.user_id)
