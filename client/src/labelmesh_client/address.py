"""Where a labelmesh gateway is."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from labelmesh_client.errors import ConfigurationError

#: Where `./mesh up` listens.
LOCAL_ADDRESS = "http://localhost:8080"


@dataclass(frozen=True)
class Address:
    """A gateway: `secure` means TLS; `host` is a name or an IP address, without the brackets of IPv6."""

    host: str
    port: int
    secure: bool

    @property
    def target(self) -> str:
        """The form that gRPC takes, e.g. `dns:///labels.example.org:443`."""
        return f"dns:///{self._authority}"

    @property
    def origin(self) -> str:
        """The form that HTTP takes, e.g. `https://labels.example.org:443`."""
        return f"{'https' if self.secure else 'http'}://{self._authority}"

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(self.host)

    @property
    def _authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def resolve(self, url: str) -> str:
        """The absolute form of an image's URL: those that begin with a slash are on this gateway."""
        return urljoin(self.origin + "/", url)

    def owns(self, url: str) -> bool:
        """Whether an absolute URL is on this very gateway."""
        return url.startswith(self.origin + "/")


def parse_address(text: str) -> Address:
    """Reads `http://host:port`, `https://host[:port]` or `host[:port]`.

    Without a scheme the connection is encrypted, unless the host is this very machine: plain text to others must be asked for with
    `http://`. Default ports are 443 with TLS, 80 after `http://`, and 8080 for a bare loopback host (what `./mesh up` uses).
    Raises ConfigurationError for anything else.
    """
    text = text.strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    if scheme.lower() not in ("", "http", "https"):
        raise ConfigurationError(f"The address “{text}” begins with “{scheme}://”; use http://host:port or https://host:port.")
    try:
        parts = urlsplit("//" + rest)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigurationError(f"“{text}” is no address ({error}); use http://host:port, https://host:port or host:port.") from None
    if not host or any(character.isspace() for character in host):
        raise ConfigurationError(f"“{text}” is no address; use http://host:port, https://host:port or host:port.")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("An address holds no user or password; give them by themselves.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigurationError(f"The address “{text}” goes on after the port; gRPC needs the host and port only.")
    loopback = _is_loopback(host)
    secure = scheme.lower() == "https" or (not scheme and not loopback)
    if port is None:
        port = 443 if secure else 80 if scheme else 8080
    if port == 0:
        raise ConfigurationError(f"The address “{text}” has port 0; a port is 1 to 65535.")
    return Address(host=host, port=port, secure=secure)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
