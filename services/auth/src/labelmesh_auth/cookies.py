"""The cookie that keeps a browser's token out of reach of scripts (RFC 6265; SameSite of its successor draft)."""

from __future__ import annotations

from dataclasses import dataclass

NAME = "labelmesh_session"


@dataclass(frozen=True)
class SessionCookie:
    """Writes the cookie. `secure` keeps it to HTTPS."""

    secure: bool = True

    def set(self, token: str, lifetime_s: int) -> str:
        """The value of `set-cookie` that hands a token to the browser."""
        return f"{NAME}={token}; Max-Age={lifetime_s}{self._attributes()}"

    def clear(self) -> str:
        """The value of `set-cookie` that takes it away."""
        return f"{NAME}=; Max-Age=0{self._attributes()}"

    def _attributes(self) -> str:
        return "; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if self.secure else "")


def token_of(header: str) -> str:
    """The token in a request's `cookie` header, empty when there is none."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == NAME:
            return value.strip('"')
    return ""
