"""Who is calling: an API key, the token of a session, or a name and a password to sign in with."""

from __future__ import annotations

from dataclasses import dataclass

from labelmesh_client.errors import ConfigurationError


@dataclass(frozen=True)
class ApiKey:
    """A key for programs. It has no idle time-out; what it may do is fixed by its scopes."""

    secret: str

    def __repr__(self) -> str:
        return "ApiKey(...)"


@dataclass(frozen=True)
class SessionToken:
    """The token of a session that is open already. The session ends by itself after some time without activity (120 s by default)."""

    token: str

    def __repr__(self) -> str:
        return "SessionToken(...)"


@dataclass(frozen=True)
class Password:
    """A name and a password. The client signs in when it first needs to, and again when its session has ended."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Password(user={self.user!r}, ...)"


@dataclass(frozen=True)
class Anonymous:
    """Nobody: enough to sign in, and for nothing else."""


Credentials = ApiKey | SessionToken | Password | Anonymous


def choose_credentials(*, api_key: str | None, token: str | None, user: str | None, password: str | None) -> Credentials:
    """The one kind of credentials that is given. Raises ConfigurationError for several kinds, half a pair, or what no header can carry."""
    given = [name for name, value in (("api_key", api_key), ("token", token), ("user", user)) if value is not None]
    if len(given) > 1:
        raise ConfigurationError(f"Give one of api_key, token, or user and password; these were given: {', '.join(given)}.")
    if (user is None) != (password is None):
        raise ConfigurationError("A user needs a password and a password needs a user; only one of them was given.")
    if api_key is not None:
        return ApiKey(_header_value(api_key, "API key"))
    if token is not None:
        return SessionToken(_header_value(token, "token"))
    if user is not None and password is not None:
        return Password(user, password)
    return Anonymous()


def _header_value(text: str, what: str) -> str:
    value = text.strip()
    if not value:
        raise ConfigurationError(f"The {what} is empty.")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigurationError(f"The {what} has characters that no {what} has: it must be one word of plain letters, digits and signs.")
    return value
