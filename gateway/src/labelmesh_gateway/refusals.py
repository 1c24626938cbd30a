"""How the edge words its own refusals: the same google.rpc details that services give."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass

from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "labelmesh"
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>labelmesh</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/api/reference.css">
</head>
<body class="plain">
<main>
<h1>{message}</h1>
<p><a href="/">To the page of labelmesh</a>, where one signs in; then open this address again.</p>
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Refusal:
    """One kind of refusal: when (a CEL expression over Envoy's attributes), its code, reason and wording.

    `status` is the HTTP status to answer with where it is not the one that Envoy chose.
    """

    expression: str
    code: int
    reason: str
    message: str
    status: int | None = None
    retry_after_s: int | None = None
    grpc: bool = True
    """Whether it is for callers of gRPC and gRPC-Web: Envoy derives their code from the HTTP status, and it must be `code`."""
    json: bool = True

    @property
    def _details(self) -> list[any_pb2.Any]:
        details = [any_pb2.Any()]
        details[0].Pack(error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN))
        if self.retry_after_s is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromSeconds(self.retry_after_s)
            details.append(any_pb2.Any())
            details[1].Pack(retry)
        return details

    @property
    def encoded(self) -> str:
        """The google.rpc.Status as the trailer grpc-status-details-bin carries it: base64 without padding."""
        status = status_pb2.Status(code=self.code, message=self.message, details=self._details)
        return base64.b64encode(status.SerializeToString()).decode().rstrip("=")

    @property
    def encoded_json(self) -> str:
        """The google.rpc.Status as JSON, for a format string of Envoy (no percent sign in it)."""
        details: list[dict[str, str]] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": self.reason, "domain": DOMAIN}]
        if self.retry_after_s is not None:
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{self.retry_after_s}s"})
        return json.dumps({"code": self.code, "message": self.message, "details": details})

    @property
    def page(self) -> str:
        """The same for a person, for a format string of Envoy (no percent sign in it). Its links work wherever the gateway is."""
        return _PAGE.format(message=html.escape(f"{self.message[0].upper()}{self.message[1:]}."))


def _details(text: str) -> str:
    return f"response.code_details.contains('{text}')"


REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        _details("jwt_authn_access_denied{Jwt_is_missing"),
        code_pb2.UNAUTHENTICATED,
        "CREDENTIAL_MISSING",
        "sign in first: the call carries neither a session token nor an API key",
        status=401,
    ),
    Refusal(
        _details("jwt_authn_access_denied{Jwt_is_expired"),
        code_pb2.UNAUTHENTICATED,
        "SESSION_ENDED",
        "the session has ended; sign in again",
        status=401,
    ),
    Refusal(
        _details("jwt_authn_access_denied{Jwks_remote_fetch_is_failed"),
        code_pb2.UNAVAILABLE,
        "AUTH_UNAVAILABLE",
        "sessions cannot be checked right now",
        status=503,
        retry_after_s=1,
    ),
    Refusal(
        _details("jwt_authn_access_denied"),
        code_pb2.UNAUTHENTICATED,
        "TOKEN_INVALID",
        "the session token is not valid; sign in again",
        status=401,
    ),
    Refusal(_details("ext_authz_error"), code_pb2.UNAVAILABLE, "AUTH_UNAVAILABLE", "sessions cannot be checked right now", retry_after_s=1),
    Refusal(
        _details("csrf_origin_mismatch"),
        code_pb2.PERMISSION_DENIED,
        "FOREIGN_ORIGIN",
        "a page of another origin may not do this",
    ),
    Refusal(
        _details("local_rate_limited"),
        code_pb2.RESOURCE_EXHAUSTED,
        "RATE_LIMITED",
        "too many calls from this address; wait a little",
        retry_after_s=5,
    ),
    Refusal("response.code == 415", code_pb2.INVALID_ARGUMENT, "UNSUPPORTED_MEDIA_TYPE", "spans come as OTLP, uncompressed", grpc=False),
    Refusal("response.code == 413", code_pb2.INVALID_ARGUMENT, "BODY_TOO_LARGE", "the body is larger than the gateway takes", grpc=False),
    Refusal(
        "response.code == 503 && !response.code_details.contains('ext_authz_denied')",
        code_pb2.UNAVAILABLE,
        "SERVICE_UNAVAILABLE",
        "the service is away right now; try again",
        retry_after_s=1,
    ),
    Refusal("response.code == 404", code_pb2.UNIMPLEMENTED, "NO_SUCH_METHOD", "the gateway knows no such method", json=False),
    Refusal("response.code == 404", code_pb2.NOT_FOUND, "NO_SUCH_PATH", "nothing is served at this path", grpc=False),
)
"""In order: the first whose expression holds words the reply. ext_authz's own denials are auth's words and pass unchanged."""

DENIAL = Refusal("", code_pb2.UNAUTHENTICATED, "", "the session has ended, or may not do this: sign in again")
"""What a page says where auth denied a call; programs get auth's own words."""
