"""Who is calling: a signed statement of the edge, valid for at most 60 s, verified by every service.

The statement is a JWT (RFC 7519) signed with ES256 (RFC 7518, section 3.4). A bare header is never believed.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from jwt.algorithms import ECAlgorithm

from labelmesh_chassis.errors import PermissionDenied, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from labelmesh_chassis.calls import Call

IDENTITY_HEADER = "x-labelmesh-identity"
ISSUER = "labelmesh-auth"
AUDIENCE = "labelmesh-internal"
# The longest that a statement may be believed, in seconds.
MAX_LIFETIME_S = 60


class Role(StrEnum):
    """What a person may do; each role includes the ones before it."""

    ANNOTATOR = "annotator"
    MANAGER = "manager"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True)
class Identity:
    """Who is calling. `subject` is "user:<uuid>" or "key:<uuid>"; `user_id` is the account, or the owner of the key."""

    subject: str
    user_id: str
    role: Role
    session_id: str | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)
    project_ids: frozenset[str] = field(default_factory=frozenset)
    # May see every project; when false, those in `project_ids` and, unless it is a key bound to projects, those open to everyone.
    all_projects: bool = False
    address: str = ""
    # Seconds since the epoch; set by the verifier.
    expires_at: float = 0.0

    @property
    def is_machine(self) -> bool:
        """Whether an API key is calling."""
        return self.subject.startswith("key:")

    def require(self, role: Role) -> None:
        """Raises PermissionDenied (ROLE_MISSING) unless the caller has at least this role."""
        if not self.role.includes(role):
            raise PermissionDenied("ROLE_MISSING", f"this is for the role {role.value} and above", metadata={"role": role.value})

    def may_see(self, project_id: str, *, open_to_everyone: bool) -> bool:
        """Whether a project is for this caller's eyes. A key that is bound to projects sees those alone."""
        if self.all_projects or project_id in self.project_ids:
            return True
        return open_to_everyone and not (self.is_machine and self.project_ids)


class KeySource(Protocol):
    """Where public keys come from."""

    def public_key(self, key_id: str) -> EllipticCurvePublicKey | None:
        """The key of this id, or None when there is none; raises Unavailable when that cannot be found out now."""


def issue_identity(
    identity: Identity,
    *,
    key_id: str,
    private_key: EllipticCurvePrivateKey,
    now: float,
    lifetime_s: int = MAX_LIFETIME_S,
) -> str:
    """Signs who is calling, for at most 60 s from `now` (seconds since the epoch)."""
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": int(now),
        "exp": int(now) + min(lifetime_s, MAX_LIFETIME_S),
        "sub": identity.subject,
        "uid": identity.user_id,
        "role": identity.role.value,
        "scopes": sorted(identity.scopes),
        "projects": sorted(identity.project_ids),
        "all_projects": identity.all_projects,
        "addr": identity.address,
    }
    if identity.session_id is not None:
        claims["sid"] = identity.session_id
    return jwt.encode(claims, private_key, algorithm="ES256", headers={"kid": key_id})


class IdentityVerifier:
    """Believes a signed identity and nothing else.

    The edge may send the same statement for several calls of a session within its life time, so statements whose signature was
    found right are remembered (the newest `MAX_REMEMBERED` of them); their time is checked at every call.
    """

    MAX_REMEMBERED = 4096

    def __init__(self, keys: KeySource, *, audience: str = AUDIENCE, clock: Callable[[], float] = time.time, leeway_s: float = 5) -> None:
        self._keys = keys
        self._audience = audience
        self._clock = clock
        self._leeway_s = leeway_s
        self._lock = threading.Lock()
        self._remembered: OrderedDict[str, Identity] = OrderedDict()

    def verify(self, token: str) -> Identity:
        """The identity that was signed; Unauthenticated (IDENTITY_INVALID) for anything forged, foreign, unsigned or too old."""
        known = self._remembered.get(token)
        if known is not None and self._clock() <= known.expires_at + self._leeway_s:
            return known
        identity = self._verify(token)
        with self._lock:
            self._remembered[token] = identity
            if len(self._remembered) > self.MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return identity

    def _verify(self, token: str) -> Identity:
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
            key = self._keys.public_key(key_id)
            if key is None:
                raise Unauthenticated("IDENTITY_INVALID", "the caller's identity is signed with an unknown key")
            claims = jwt.decode(
                token,
                key,
                algorithms=["ES256"],
                audience=self._audience,
                issuer=ISSUER,
                # Times are checked below against the injected clock.
                options={"require": ["exp", "iat", "aud", "iss", "sub"], "verify_exp": False, "verify_iat": False},
            )
            return self._identity(claims)
        except (jwt.PyJWTError, KeyError, ValueError, TypeError) as problem:
            raise Unauthenticated("IDENTITY_INVALID", "the caller's identity is not valid") from problem

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        now = self._clock()
        expires_at, issued_at = float(claims["exp"]), float(claims["iat"])
        too_old = now > expires_at + self._leeway_s
        if too_old or issued_at > now + self._leeway_s or expires_at - issued_at > MAX_LIFETIME_S:
            raise Unauthenticated("IDENTITY_INVALID", "the caller's identity is out of its time")
        return Identity(
            subject=str(claims["sub"]),
            user_id=str(claims["uid"]),
            role=Role(claims["role"]),
            session_id=str(claims["sid"]) if "sid" in claims else None,
            scopes=frozenset(map(str, claims["scopes"])),
            project_ids=frozenset(map(str, claims["projects"])),
            all_projects=claims["all_projects"] is True,
            address=str(claims["addr"]),
            expires_at=expires_at,
        )


class JwksKeySource:
    """Public keys from a JWKS address (RFC 7517), kept, and fetched again for a key that is not known, at most every `min_interval_s`.

    Keys that a fetch no longer lists are forgotten. While the address does not answer, known keys go on being believed. An https address
    must have a certificate of the authorities in `ca`, PEM, or of the system's.
    """

    def __init__(
        self, url: str, *, min_interval_s: float = 2.0, max_age_s: float = 300.0, timeout_s: float = 2.0, ca: Path | None = None
    ) -> None:
        self._url = url
        self._ca = ca
        self._min_interval_s = min_interval_s
        self._max_age_s = max_age_s
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._keys: dict[str, EllipticCurvePublicKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def public_key(self, key_id: str) -> EllipticCurvePublicKey | None:
        fresh = self._fetched_at is not None and time.monotonic() - self._fetched_at < self._max_age_s
        known = self._keys.get(key_id)
        if known is not None and fresh:
            return known
        with self._lock:
            due = self._tried_at is None or time.monotonic() - self._tried_at >= self._min_interval_s
            if due and (key_id not in self._keys or not fresh):
                self._fetch()
        if self._fetched_at is None:
            raise Unavailable("IDENTITY_KEYS_UNAVAILABLE", "the keys that identities are signed with cannot be fetched now", retry_after=1)
        return self._keys.get(key_id)

    def _fetch(self) -> None:
        self._tried_at = time.monotonic()
        try:
            # Read anew each time: the authority's certificate may have been replaced.
            trusted = ssl.create_default_context(cafile=self._ca) if self._url.startswith("https:") else None
            with urllib.request.urlopen(self._url, timeout=self._timeout_s, context=trusted) as reply:
                self._keys = parse_jwks(reply.read(1 << 20))
            self._fetched_at = time.monotonic()
        except (urllib.error.URLError, OSError, ValueError):
            return


def parse_jwks(document: bytes) -> dict[str, EllipticCurvePublicKey]:
    """The P-256 public keys of a JWKS document by key id; ValueError when it is none."""
    keys: dict[str, EllipticCurvePublicKey] = {}
    for entry in json.loads(document)["keys"]:
        if entry.get("kty") != "EC" or entry.get("crv") != "P-256":
            continue
        key = ECAlgorithm.from_jwk(entry)
        if isinstance(key, EllipticCurvePublicKey):
            keys[str(entry["kid"])] = key
    return keys


def identity_of(context: grpc.ServicerContext) -> Identity:
    """The verified caller of a servicer's method; Unauthenticated where the method is open and nobody is known."""
    from labelmesh_chassis.calls import call_of

    call: Call = call_of(context)
    if call.identity is None:
        raise Unauthenticated("IDENTITY_MISSING", "this needs a signed-in caller")
    return call.identity
