"""The certificate of this service, read again when its files are replaced, so that rotation needs no restart.

Whoever rotates replaces the files, or a link to their folder as Kubernetes does, and keeps the old certificate valid for a while: new
connections take the new one within seconds, on either side. Connections that stand go on.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

if TYPE_CHECKING:
    from labelmesh_chassis.settings import ServiceSettings

_log = logging.getLogger(__name__)
# Files are looked at no more often than this.
LOOK_S = 1.0
# Between two lines about files that cannot be used.
_QUIET_S = 60.0


@dataclass(frozen=True)
class Certificates:
    """What was read at one time, PEM. `number` counts up from 1 with every change."""

    number: int
    chain: bytes
    private_key: bytes
    authorities: bytes


class CertificateFiles:
    """A certificate chain, its private key and the authorities that are trusted, in files that may be replaced at any time.

    While the files do not fit together (they are being replaced one after the other) what was read last goes on being used. ValueError
    where they cannot be used in the beginning.
    """

    def __init__(self, certificate: Path, private_key: Path, authorities: Path) -> None:
        self._paths = (certificate, private_key, authorities)
        self._lock = threading.Lock()
        self._said_at = float("-inf")
        self._context: tuple[int, ssl.SSLContext] | None = None
        try:
            self._mark = self._marks()
            self._current = _read(self._paths, 1)
        except (OSError, ValueError, TypeError) as failure:
            raise ValueError(f"the certificate in {certificate} with the key in {private_key} cannot be used: {failure}") from failure
        self._looked_at = time.monotonic()

    def current(self) -> Certificates:
        """What the files hold, at most `LOOK_S` seconds old."""
        with self._lock:
            if time.monotonic() - self._looked_at >= LOOK_S:
                self._look()
                self._looked_at = time.monotonic()
            return self._current

    def server_credentials(self) -> grpc.ServerCredentials:
        """For a gRPC server: TLS 1.2 or newer, with callers that have a certificate of the authorities; new with every connection."""
        served = self.current()
        number = served.number

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal number
            found = self.current()
            if found.number == number:
                return None
            number = found.number
            return _configuration(found)

        # None means that nothing has changed, which the types do not say.
        fetch: Any = renewed
        return grpc.dynamic_ssl_server_credentials(_configuration(served), fetch, require_client_authentication=True)

    def https_context(self) -> ssl.SSLContext:
        """For an HTTPS server that asks for no certificate of its callers."""
        found = self.current()
        with self._lock:
            if self._context is None or self._context[0] != found.number:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                try:
                    context.load_cert_chain(*self._paths[:2])
                except (OSError, ssl.SSLError):
                    # Replaced again at this very moment.
                    if self._context is None:
                        raise
                    return self._context[1]
                self._context = (found.number, context)
            return self._context[1]

    def _look(self) -> None:
        try:
            marks = self._marks()
            if marks == self._mark:
                return
            self._current = _read(self._paths, self._current.number + 1)
            self._mark = marks
            _log.info("the certificate was replaced", extra={"fields": {"expires": _expiry(self._current.chain)}})
        except (OSError, ValueError, TypeError) as failure:
            if time.monotonic() - self._said_at >= _QUIET_S:
                self._said_at = time.monotonic()
                fields = {"certificate": str(self._paths[0]), "error": type(failure).__name__}
                _log.warning("a replaced certificate cannot be used; the old one goes on", extra={"fields": fields})

    def _marks(self) -> tuple[tuple[int, int, int], ...]:
        found = [path.stat() for path in self._paths]
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found)


def certificate_files(settings: ServiceSettings) -> CertificateFiles | None:
    """The files that the settings name; None without TLS; SystemExit with a sentence where they cannot be used."""
    if settings.tls_certificate is None or settings.tls_private_key is None or settings.tls_ca is None:
        return None
    try:
        return CertificateFiles(settings.tls_certificate, settings.tls_private_key, settings.tls_ca)
    except ValueError as problem:
        raise SystemExit(f"LABELMESH_TLS_CERTIFICATE: {problem}") from problem


def channel_credentials(found: Certificates) -> grpc.ChannelCredentials:
    """For a channel: the other side must have a certificate of the authorities for the name that is called."""
    return grpc.ssl_channel_credentials(found.authorities, found.private_key, found.chain)


def _configuration(found: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(found.private_key, found.chain)], found.authorities)


def _read(paths: tuple[Path, Path, Path], number: int) -> Certificates:
    chain, private_key, authorities = (path.read_bytes() for path in paths)
    held = load_pem_private_key(private_key, None).public_key()
    certified = x509.load_pem_x509_certificates(chain)[0].public_key()
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if held.public_bytes(*form) != certified.public_bytes(*form):
        raise ValueError("the key is not the certificate's")
    x509.load_pem_x509_certificates(authorities)
    return Certificates(number, chain, private_key, authorities)


def _expiry(chain: bytes) -> str:
    return x509.load_pem_x509_certificates(chain)[0].not_valid_after_utc.isoformat()
