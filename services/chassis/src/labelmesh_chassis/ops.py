"""The plain HTTP port for those who operate a service: /metrics, /healthz, and what a service adds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from labelmesh_chassis.certificates import CertificateFiles

_log = logging.getLogger(__name__)
_PATIENCE_S = 10


@dataclass(frozen=True)
class OpsReply:
    """A whole HTTP answer."""

    status: int
    media_type: str
    body: bytes
    cache_control: str = "no-store"


class OpsServer:
    """Serves fixed paths by GET in a thread of its own, over HTTPS where there are certificates; callers need none."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        is_ready: Callable[[], bool],
        *,
        certificates: CertificateFiles | None = None,
    ) -> None:
        self._routes: dict[str, Callable[[], OpsReply]] = {
            "/metrics": lambda: OpsReply(200, CONTENT_TYPE_LATEST, generate_latest(registry)),
            "/healthz": lambda: OpsReply(200, "text/plain", b"ready\n") if is_ready() else OpsReply(503, "text/plain", b"not ready\n"),
        }
        self._server = _Server((host, port), _handler(self._routes), certificates)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="ops", daemon=True)

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self._server.server_address[1])

    def add(self, path: str, answer: Callable[[], OpsReply]) -> None:
        """Serves one more path."""
        self._routes[path] = answer

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], certificates: CertificateFiles | None) -> None:
        self._certificates = certificates
        super().__init__(address, handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread, so that a caller who is slow to shake hands keeps nobody waiting."""
        if self._certificates is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(_PATIENCE_S)
        with self._certificates.https_context().wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away or does not trust us is worth a line for those who look for it, without its address."""
        _log.debug("a caller of the ops port was lost", exc_info=True)


def _handler(routes: dict[str, Callable[[], OpsReply]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _PATIENCE_S

        def do_GET(self) -> None:
            answer = routes.get(self.path.partition("?")[0])
            reply = answer() if answer is not None else OpsReply(404, "text/plain", b"not found\n")
            self.send_response(reply.status)
            self.send_header("content-type", reply.media_type)
            self.send_header("content-length", str(len(reply.body)))
            self.send_header("cache-control", reply.cache_control)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not worth a line."""

    return Handler
