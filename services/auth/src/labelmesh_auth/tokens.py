"""The token that a client holds: an ES256 JWT (RFC 7519, RFC 7518 section 3.4) that names a session and decides nothing by itself."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import jwt
from labelmesh_chassis.errors import Unauthenticated

from labelmesh_auth.clock import Clock
from labelmesh_auth.keyring import KeyRing
from labelmesh_auth.remembered import Remembered
from labelmesh_auth.sessions import Session

ISSUER = "labelmesh"
AUDIENCE = "labelmesh"
_REQUIRED = ["iss", "aud", "sub", "sid", "iat", "exp", "jti"]
_MAX_LENGTH = 4096


@dataclass(frozen=True)
class SessionClaims:
    """What a genuine token says: which session of which account."""

    session_id: str
    user_id: str


@dataclass(frozen=True)
class _Genuine:
    """A token whose signature was found right: by which key, and until when it holds."""

    claims: SessionClaims
    key_id: str
    end: datetime


class SessionTokens:
    """Makes and reads tokens.

    A token comes with every call of a session, and verifying ES256 costs as much as the rest of reading it ten times over, so genuine
    tokens are remembered, by their hash. Whether their key still verifies and their end is ahead is looked at every time.
    """

    def __init__(self, keys: KeyRing, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._genuine: Remembered[bytes, _Genuine] = Remembered()

    def issue(self, session: Session) -> str:
        """A token that ends with the session's absolute end."""
        key_id, private = self._keys.signing_key()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(session.user_id),
            "sid": str(session.id),
            "iat": int(session.create_time.timestamp()),
            "exp": int(session.end_time.timestamp()),
            "jti": uuid.uuid4().hex,
        }
        return jwt.encode(claims, private, algorithm="ES256", headers={"kid": key_id})

    def read(self, token: str) -> SessionClaims:
        """What a token says.

        Unauthenticated: TOKEN_INVALID for anything forged, foreign or unsigned, SESSION_ENDED for one past its end.
        """
        if len(token) > _MAX_LENGTH:
            raise _invalid()
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        genuine = self._genuine.get(digest)
        if genuine is None:
            genuine = self._verify(token)
            self._genuine.put(digest, genuine)
        if self._keys.public_key(genuine.key_id) is None:
            raise _invalid()
        if self._clock() >= genuine.end:
            raise Unauthenticated("SESSION_ENDED", "the session has ended; sign in again")
        return genuine.claims

    def _verify(self, token: str) -> _Genuine:
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
            public = self._keys.public_key(key_id)
            if public is None:
                raise _invalid()
            # The end is checked by `read` against the injected clock.
            options = {"require": _REQUIRED, "verify_exp": False, "verify_iat": False}
            claims = jwt.decode(token, public, algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER, options=options)  # type: ignore[arg-type]
            found = SessionClaims(session_id=str(uuid.UUID(claims["sid"])), user_id=str(uuid.UUID(claims["sub"])))
            return _Genuine(found, key_id, datetime.fromtimestamp(int(claims["exp"]), UTC))
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError, OSError) as problem:
            raise _invalid() from problem


def _invalid() -> Unauthenticated:
    return Unauthenticated("TOKEN_INVALID", "the token is not valid; sign in again")
