"""The connection to the model server: every call has a deadline, all addresses are used, and a replica that is away is left out.

It is plaintext, also where the services prove to one another who they are: TensorFlow Serving reads its certificate once, at its start, and
would have to be restarted, with all its models, at every rotation. Who may reach it is for the network to say.

What comes back typed here is TensorFlow Serving's own status; `client` gives it the product's reasons.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.errors import DeadlineExceeded, error_of
from labelmesh_chassis.tracing import begin_call, end_call

MAX_MESSAGE_BYTES = 64 * 2**20
# A name's addresses are asked for again so often: gRPC itself asks only when a connection breaks, so it would never see new replicas.
RENEW_S = 10.0
_ATTEMPTS = 4
# Told the method, the code and the seconds of every call that has ended.
OnEnd = Callable[[str, str, float | None], None]


class ServingChannel:
    """Calls to the replicas behind `target`: host:port, dns:///name:port for all addresses of a headless service, or
    ipv4:host:port,host:port. Calls go round robin over the replicas that answer.

    A call that ends UNAVAILABLE, or that a stopping server gave up, is tried again, four times in all within its deadline: answers of
    models change nothing. A replica that takes calls and is silent for `silence_s` is given up, and its calls go to the others. Threads
    share it. `on_end` is told of every call that has ended.
    """

    def __init__(
        self,
        target: str,
        *,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        silence_s: float = 6,
        renew_s: float = RENEW_S,
        on_end: OnEnd | None = None,
    ) -> None:
        self._on_end = on_end
        self._target = target
        self._options = _options(max_message_bytes, silence_s)
        self._renew_s = renew_s if target.startswith("dns:") else float("inf")
        self._lock = threading.Lock()
        self._closed = False
        self._current = self._open()

    def call(self, method: str, request: bytes, *, timeout_s: float) -> bytes:
        """One call, serialized both ways, with `timeout_s` or what the call being served has left where that is less.

        Raises the MeshError that the status says.
        """
        left = time_left()
        timeout = timeout_s if left is None else min(timeout_s, left)
        if timeout <= 0:
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "no time was left to ask the model server")
        with self._used() as opened:
            began, code, span = time.perf_counter(), "OK", begin_call(method)
            try:
                reply: bytes = opened.method(method)(request, timeout=timeout, metadata=span.headers())
            except grpc.RpcError as failure:
                error = error_of(failure)
                code = error.code.name
                raise error from failure
            finally:
                end_call(span, code)
                if self._on_end is not None:
                    self._on_end(method, code, time.perf_counter() - began)
            return reply

    def close(self) -> None:
        """Ends calls in flight and refuses new ones."""
        with self._lock:
            self._closed = True
            self._current.close()

    def _open(self) -> _Opened:
        return _Opened(grpc.insecure_channel(self._target, options=self._options), time.monotonic() + self._renew_s)

    @contextmanager
    def _used(self) -> Iterator[_Opened]:
        with self._lock:
            if self._closed:
                raise RuntimeError("the channel is closed")
            if time.monotonic() >= self._current.renew_at:
                # Connections are shared within the process by address, so that a new channel costs a look-up of the name and no more.
                old, self._current = self._current, self._open()
                old.retired = True
                if not old.users:
                    old.close()
            used = self._current
            used.users += 1
        try:
            yield used
        finally:
            with self._lock:
                used.users -= 1
                if used.retired and not used.users:
                    used.close()


class _Opened:
    def __init__(self, channel: grpc.Channel, renew_at: float) -> None:
        self._channel = channel
        self._methods: dict[str, Callable[..., Any]] = {}
        self.renew_at = renew_at
        self.users = 0
        self.retired = False

    def method(self, path: str) -> Callable[..., Any]:
        found = self._methods.get(path)
        if found is None:
            found = self._methods[path] = self._channel.unary_unary(path)
        return found

    def close(self) -> None:
        self._channel.close()


def _options(max_message_bytes: int, silence_s: float) -> list[tuple[str, Any]]:
    retry = {
        "maxAttempts": _ATTEMPTS,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        # CANCELLED is what a server that is stopped says of the calls it was at; nobody here cancels calls that somebody waits for.
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
    }
    services = ["tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"]
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": [{"service": service} for service in services], "retryPolicy": retry}],
    }
    return [
        ("grpc.service_config", json.dumps(config)),
        # Nobody but this file says how calls are made.
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 1),
        # A request that does not fit is not kept, so it could not be sent again. gRPC's default is 256 KiB.
        ("grpc.per_rpc_retry_buffer_size", max_message_bytes + 2**16),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        # Only while calls are in flight: servers take offence at more.
        ("grpc.keepalive_time_ms", round(silence_s * 500)),
        ("grpc.keepalive_timeout_ms", round(silence_s * 500)),
        # A minute by default, and it is this one that counts while a ping of another kind is under way.
        ("grpc.http2.ping_timeout_ms", round(silence_s * 500)),
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        # Also how long a connection may take to be made.
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]
