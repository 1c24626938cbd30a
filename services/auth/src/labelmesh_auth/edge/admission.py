"""Decides on one call at the edge: whose credential it carries, whether that is alive, and whether it may call this method."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from labelmesh_chassis.errors import PermissionDenied, Unauthenticated
from labelmesh_chassis.identity import Identity, Role, issue_identity
from labelmesh_chassis.methods import MethodOptions

from labelmesh_auth import api_keys, cookies
from labelmesh_auth.callers import Callers, KeyCaller
from labelmesh_auth.clock import Clock
from labelmesh_auth.keyring import KeyRing
from labelmesh_auth.remembered import Remembered
from labelmesh_auth.tokens import SessionTokens

AUTHORIZATION = "authorization"
COOKIE = "cookie"
API_KEY = "x-api-key"
# The edge's transcoder keeps the path of a JSON call here; from outside the edge lets no such header in.
_JSON_PATH = "x-envoy-original-path"
_BEARER = "bearer "
BROWSER_SPANS = "/telemetry/v1/traces"
"""The one path that the edge asks about and that is no method: where a signed-in page leaves the spans of its calls."""
# A statement lives 60 s; what is left after this is more than any call that is no stream takes.
_STATEMENT_REUSE = timedelta(seconds=15)
_NO_PROJECT = frozenset({str(uuid.UUID(int=0))})


class CredentialKind(StrEnum):
    """How a caller shows who they are."""

    NONE = "none"
    API_KEY = "api_key"
    BEARER = "bearer"
    COOKIE = "cookie"


@dataclass(frozen=True)
class EdgeCall:
    """What the edge asks about: the method's path, the headers with lower-case names, and the client's address."""

    path: str
    headers: Mapping[str, str]
    address: str

    @property
    def came_as_json(self) -> bool:
        """Whether the caller reads JSON; by now the call itself looks like gRPC."""
        return _JSON_PATH in self.headers or self.path == BROWSER_SPANS

    @property
    def credential_kind(self) -> CredentialKind:
        """The credential that counts; a key before a token before a cookie, which a browser sends without being asked."""
        if self.headers.get(API_KEY):
            return CredentialKind.API_KEY
        if self.headers.get(AUTHORIZATION):
            return CredentialKind.BEARER
        if cookies.token_of(self.headers.get(COOKIE, "")):
            return CredentialKind.COOKIE
        return CredentialKind.NONE


@dataclass(frozen=True)
class _Statement:
    """A signed identity and when it was made."""

    token: str
    time: datetime


class Admission:
    """Lets calls in."""

    def __init__(self, methods: Mapping[str, MethodOptions], tokens: SessionTokens, callers: Callers, keys: KeyRing, clock: Clock) -> None:
        self._methods = {**methods, BROWSER_SPANS: MethodOptions(full_name="telemetry.v1.traces", passive=True)}
        self._tokens = tokens
        self._callers = callers
        self._keys = keys
        self._clock = clock
        self._statements: Remembered[tuple[str, Identity], _Statement] = Remembered()

    def admit(self, call: EdgeCall) -> str | None:
        """The signed identity to hand on, None for an open method.

        PermissionDenied: METHOD_UNKNOWN, SCOPE_MISSING, API_KEY_NOT_ALLOWED. Unauthenticated: CREDENTIAL_MISSING, TOKEN_INVALID,
        SESSION_ENDED, SESSION_REVOKED, API_KEY_INVALID, API_KEY_REVOKED, API_KEY_EXPIRED, ACCOUNT_DISABLED. Unavailable while the
        database is away.
        """
        method = self._methods.get(call.path.partition("?")[0])
        if method is None:
            raise PermissionDenied("METHOD_UNKNOWN", "there is no such method")
        if method.open:
            return None
        now = self._clock()
        kind = call.credential_kind
        if kind is CredentialKind.API_KEY:
            identity = self._key_identity(call, method, now)
        elif kind is CredentialKind.NONE:
            raise Unauthenticated("CREDENTIAL_MISSING", "sign in first")
        else:
            identity = self._session_identity(call, kind, method, now)
        return self._statement(identity, now)

    def _statement(self, identity: Identity, now: datetime) -> str:
        """The signed identity; the same one for calls of the same caller shortly after each other, so that services verify it once."""
        key_id, private_key = self._keys.signing_key()
        known = self._statements.get((key_id, identity))
        if known is not None and timedelta(0) <= now - known.time < _STATEMENT_REUSE:
            return known.token
        made = _Statement(issue_identity(identity, key_id=key_id, private_key=private_key, now=now.timestamp()), now)
        self._statements.put((key_id, identity), made)
        return made.token

    def _session_identity(self, call: EdgeCall, kind: CredentialKind, method: MethodOptions, now: datetime) -> Identity:
        claims = self._tokens.read(_token_of(call, kind))
        caller = self._callers.of_session(claims.session_id, claims.user_id, now, touch=not method.passive)
        return Identity(
            subject=f"user:{claims.user_id}",
            user_id=claims.user_id,
            role=caller.role,
            session_id=claims.session_id,
            project_ids=caller.project_ids,
            all_projects=caller.role.includes(Role.MANAGER),
            address=call.address,
        )

    def _key_identity(self, call: EdgeCall, method: MethodOptions, now: datetime) -> Identity:
        secret = call.headers[API_KEY].strip()
        if not api_keys.looks_like_key(secret):
            raise Unauthenticated("API_KEY_INVALID", "there is no such API key")
        caller = self._callers.of_key(api_keys.secret_hash(secret), now)
        if not method.scope:
            raise PermissionDenied("API_KEY_NOT_ALLOWED", "no API key may call this method; sign in instead")
        if method.scope not in caller.scopes:
            raise PermissionDenied("SCOPE_MISSING", f"the API key lacks the scope {method.scope}", metadata={"scope": method.scope})
        project_ids, all_projects = _projects_of(caller)
        return Identity(
            subject=f"key:{caller.key_id}",
            user_id=caller.user_id,
            role=caller.role,
            scopes=caller.scopes,
            project_ids=project_ids,
            all_projects=all_projects,
            address=call.address,
        )


def _token_of(call: EdgeCall, kind: CredentialKind) -> str:
    if kind is CredentialKind.COOKIE:
        return cookies.token_of(call.headers[COOKIE])
    value = call.headers[AUTHORIZATION]
    if not value.lower().startswith(_BEARER):
        raise Unauthenticated("TOKEN_INVALID", "the authorization header must be: Bearer <token>")
    return value[len(_BEARER) :].strip()


def _projects_of(caller: KeyCaller) -> tuple[frozenset[str], bool]:
    """Which projects a key may see: its own list, and never more than its owner."""
    unrestricted = caller.role.includes(Role.MANAGER)
    if not caller.project_ids:
        return caller.owner_project_ids, unrestricted
    if unrestricted:
        return caller.project_ids, False
    # A key bound to projects stays bound when its owner may see none of them: an empty list would mean all that are open to everyone.
    return caller.project_ids & caller.owner_project_ids or _NO_PROJECT, False
