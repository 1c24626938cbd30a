"""The plain HTTP port for those who operate a service: /metrics, /healthz, and what a service adds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


@dataclass(frozen=True)
class OpsReply:
    """A whole HTTP answer."""

    status: int
    media_type: str
    body: bytes
    cache_control: str = "no-store"


class OpsServer:
    """Serves fixed paths by GET in a thread of its own."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, is_ready: Callable[[], bool]) -> None:
        self._routes: dict[str, Callable[[], OpsReply]] = {
            "/metrics": lambda: OpsReply(200, CONTENT_TYPE_LATEST, generate_latest(registry)),
            "/healthz": lambda: OpsReply(200, "text/plain", b"ready\n") if is_ready() else OpsReply(503, "text/plain", b"not ready\n"),
        }
        self._server = ThreadingHTTPServer((host, port), _handler(self._routes))
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


def _handler(routes: dict[str, Callable[[], OpsReply]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

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
