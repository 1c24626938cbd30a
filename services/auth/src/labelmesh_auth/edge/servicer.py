"""Envoy's external authorization service over Admission."""

from __future__ import annotations

import grpc
from labelmesh.extauthz.v1 import check_pb2
from labelmesh_chassis.errors import MeshError, PermissionDenied, Unauthenticated
from prometheus_client import CollectorRegistry, Counter, Histogram

from labelmesh_auth.cookies import SessionCookie
from labelmesh_auth.edge import wire
from labelmesh_auth.edge.admission import Admission, CredentialKind

# As Envoy calls it (envoy/service/auth/v3/external_auth.proto).
CHECK_SERVICE = "envoy.service.auth.v3.Authorization"
# Envoy gives up after 2 s.
_CHECK_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2)


class CheckServicer:
    """Answers for every call at the edge. Only a decision is an answer: when none can be made the check itself fails as UNAVAILABLE."""

    def __init__(self, admission: Admission, cookie: SessionCookie, registry: CollectorRegistry) -> None:
        self._admission = admission
        self._cookie = cookie
        self._checks = Counter(
            "labelmesh_auth_checks_total", "Checks at the edge, by outcome.", ["credential", "outcome"], registry=registry
        )
        self._seconds = Histogram(
            "labelmesh_auth_check_seconds", "How long checks took.", ["credential"], buckets=_CHECK_SECONDS, registry=registry
        )

    def register(self, server: grpc.Server) -> None:
        """Serves the method under Envoy's name for it."""
        check = grpc.unary_unary_rpc_method_handler(
            self.Check,
            request_deserializer=check_pb2.CheckRequest.FromString,
            response_serializer=check_pb2.CheckResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(CHECK_SERVICE, {"Check": check}),))

    def Check(self, request: check_pb2.CheckRequest, context: grpc.ServicerContext) -> check_pb2.CheckResponse:
        call = wire.edge_call(request)
        kind = call.credential_kind
        try:
            with self._seconds.labels(kind).time():
                identity = self._admission.admit(call)
        except (Unauthenticated, PermissionDenied) as refusal:
            self._checks.labels(kind, refusal.reason).inc()
            dead_cookie = kind is CredentialKind.COOKIE and isinstance(refusal, Unauthenticated)
            clear_cookie = self._cookie.clear() if dead_cookie else None
            return wire.denied(refusal, as_json=call.came_as_json, clear_cookie=clear_cookie)
        except MeshError as failure:
            self._checks.labels(kind, failure.reason).inc()
            raise
        self._checks.labels(kind, "OPEN" if identity is None else "ALLOWED").inc()
        return wire.allowed(identity)
