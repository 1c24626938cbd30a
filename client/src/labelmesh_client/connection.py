"""One gRPC channel to the gateway: credentials, deadlines, retries and typed errors on every call."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from labelmesh.auth.v1 import sessions_pb2, sessions_pb2_grpc

from labelmesh_client.address import Address
from labelmesh_client.contract import UNKNOWN_METHOD, MethodFacts, read_contract
from labelmesh_client.credentials import ApiKey, Credentials, Password, SessionToken
from labelmesh_client.errors import Cancelled, LabelmeshError, ResourceExhausted, Unauthenticated, Unavailable, error_of

T = TypeVar("T")
Metadata = tuple[tuple[str, str], ...]

_FIRST_BACKOFF_S = 0.1
_MAX_BACKOFF_S = 5.0
#: The gateway's reason when one address calls too often; it lets more through within seconds.
_RATE_LIMITED = "RATE_LIMITED"
_RATE_LIMIT_PATIENCE_S = 30.0
#: The largest answer: a page of 500 projects with long lists of classes.
_MAX_RECEIVE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class _Details(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any = None
    wait_for_ready: bool | None = None
    compression: Any = None


class Connection:
    """A channel that may be shared by threads.

    Every attempt of a call has a deadline: the caller's, else the one the contract names for the method, else 10 s. Reads and methods
    that the contract calls repeatable are sent again on UNAVAILABLE, with growing pauses (0.1 s to 5 s, with jitter, longer when the
    server asks for it), until `patience_s` seconds have passed since the first attempt. A call that the gateway turned away because of its
    rate limit is made again when the gateway says so. With a password, a session that ended is
    opened again, once. Failures are raised as LabelmeshError.
    """

    def __init__(
        self, address: Address, credentials: Credentials, *, patience_s: float = 30.0, ca_certificates: bytes | None = None
    ) -> None:
        self.address = address
        self._closed = threading.Event()
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", _MAX_RECEIVE_BYTES),
            ("grpc.max_send_message_length", _MAX_RECEIVE_BYTES),
            ("grpc.enable_http_proxy", 0 if address.is_loopback else 1),
            ("grpc.max_reconnect_backoff_ms", int(_MAX_BACKOFF_S * 1000)),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.keepalive_time_ms", 60_000),
        ]
        if address.secure:
            self._channel = grpc.secure_channel(address.target, grpc.ssl_channel_credentials(ca_certificates), options)
        else:
            self._channel = grpc.insecure_channel(address.target, options)
        self._caller = _Caller(credentials, self._sign_in, patience_s, self._closed)
        #: Hand this to the generated stubs.
        self.channel = grpc.intercept_channel(self._channel, self._caller)

    def _sign_in(self, credentials: Password) -> str:
        stub = sessions_pb2_grpc.SessionServiceStub(self.channel)
        return stub.SignIn(sessions_pb2.SignInRequest(name=credentials.user, password=credentials.password)).token

    @property
    def patience_s(self) -> float:
        """How long a call is tried again while the server is away, in seconds. May be changed at any time."""
        return self._caller.patience_s

    @patience_s.setter
    def patience_s(self, seconds: float) -> None:
        self._caller.patience_s = seconds

    def pause(self, seconds: float) -> None:
        """Waits, but no longer than until the connection is closed; then raises Cancelled."""
        if self._closed.wait(seconds):
            raise Cancelled("The client was closed.")

    def close(self) -> None:
        """Ends every call in flight and refuses new ones."""
        self._closed.set()
        self._channel.close()


class _Caller(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds credentials and a deadline to each attempt, repeats where that is allowed, and raises typed errors."""

    def __init__(self, credentials: Credentials, sign_in: Callable[[Password], str], patience_s: float, closed: threading.Event) -> None:
        self._credentials = credentials
        self._sign_in = sign_in
        self.patience_s = patience_s
        self._closed = closed
        self._contract = read_contract()
        self._lock = threading.Lock()
        self._session_token = ""

    def intercept_unary_unary(self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any) -> Any:
        facts = self._contract.get(client_call_details.method, UNKNOWN_METHOD)
        return self._persist(facts, client_call_details, lambda details: _settled(continuation(details, request)))

    def intercept_stream_unary(self, continuation: Any, client_call_details: grpc.ClientCallDetails, request_iterator: Any) -> Any:
        # A stream of requests is consumed by its first attempt: whoever made it sends it again.
        facts = self._contract.get(client_call_details.method, UNKNOWN_METHOD)
        return _settled(continuation(self._details(facts, client_call_details, self._metadata(facts)), request_iterator))

    def intercept_stream_stream(self, continuation: Any, client_call_details: grpc.ClientCallDetails, request_iterator: Any) -> Any:
        facts = self._contract.get(client_call_details.method, UNKNOWN_METHOD)
        return _read(continuation(self._details(facts, client_call_details, self._metadata(facts)), request_iterator))

    def intercept_unary_stream(self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any) -> Any:
        # Whoever reads a stream knows where to go on; only they can send it again.
        facts = self._contract.get(client_call_details.method, UNKNOWN_METHOD)
        return _read(continuation(self._details(facts, client_call_details, self._metadata(facts)), request))

    def _persist(self, facts: MethodFacts, details: grpc.ClientCallDetails, attempt: Callable[[_Details], T]) -> T:
        give_up = time.monotonic() + self.patience_s
        rate_limited_until = time.monotonic() + max(self.patience_s, _RATE_LIMIT_PATIENCE_S)
        backoff, signed_in_again = _FIRST_BACKOFF_S, False
        while True:
            metadata = self._metadata(facts)
            try:
                return attempt(self._details(facts, details, metadata))
            except Unavailable as error:
                pause = max(backoff * random.uniform(0.5, 1.0), error.retry_after or 0.0)
                if not facts.repeatable or time.monotonic() + pause > give_up:
                    raise
                if self._closed.wait(pause):
                    raise Cancelled("The client was closed.") from None
                backoff = min(backoff * 2, _MAX_BACKOFF_S)
            except ResourceExhausted as error:
                # Turned away by the gateway before anything was done, so any call may be made again.
                if error.reason != _RATE_LIMITED or error.retry_after is None or time.monotonic() + error.retry_after > rate_limited_until:
                    raise
                if self._closed.wait(error.retry_after * random.uniform(1.0, 1.2)):
                    raise Cancelled("The client was closed.") from None
            except Unauthenticated:
                if facts.open or signed_in_again or not self._forget_session(metadata):
                    raise
                signed_in_again = True

    def _details(self, facts: MethodFacts, details: grpc.ClientCallDetails, metadata: Metadata) -> _Details:
        timeout = facts.deadline_s if details.timeout is None else details.timeout
        return _Details(details.method, timeout, [*(details.metadata or ()), *metadata])

    def _metadata(self, facts: MethodFacts) -> Metadata:
        if self._closed.is_set():
            raise Cancelled("The client was closed.")
        if facts.open:
            return ()
        match self._credentials:
            case ApiKey(secret):
                return (("x-api-key", secret),)
            case SessionToken(token):
                return (("authorization", f"Bearer {token}"),)
            case Password() as password:
                with self._lock:
                    if not self._session_token:
                        self._session_token = self._sign_in(password)
                    return (("authorization", f"Bearer {self._session_token}"),)
        return ()

    def _forget_session(self, metadata: Metadata) -> bool:
        """Drops the session that a call was refused with; False when there is no password to open another."""
        if not isinstance(self._credentials, Password):
            return False
        with self._lock:
            if metadata == (("authorization", f"Bearer {self._session_token}"),):
                self._session_token = ""
        return True


def _settled(call: Any) -> Any:
    error = call.exception()
    if error is None:
        return call
    if isinstance(error, grpc.RpcError):
        raise error_of(error) from None
    if isinstance(error, LabelmeshError):
        raise error
    if isinstance(error, ValueError):  # what grpc says of a channel that was closed
        raise Cancelled("The client was closed.") from error
    raise error


def _read(call: Any) -> Iterator[Any]:
    try:
        yield from call
    except grpc.RpcError as error:
        raise error_of(error) from None
    finally:
        call.cancel()
