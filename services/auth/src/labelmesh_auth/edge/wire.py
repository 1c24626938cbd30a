"""Envoy's check messages to values, and back.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from google.protobuf import json_format
from google.rpc import status_pb2
from labelmesh.extauthz.v1 import check_pb2
from labelmesh_chassis.errors import MeshError, to_status
from labelmesh_chassis.identity import IDENTITY_HEADER

from labelmesh_auth.addresses import client_address
from labelmesh_auth.edge.admission import API_KEY, AUTHORIZATION, COOKIE, EdgeCall

_HTTP_STATUS = {16: 401, 7: 403}
_OVERWRITE = check_pb2.HeaderValueOption.HEADER_APPEND_ACTION_OVERWRITE_IF_EXISTS_OR_ADD
_APPEND = check_pb2.HeaderValueOption.HEADER_APPEND_ACTION_UNSPECIFIED


def edge_call(request: check_pb2.CheckRequest) -> EdgeCall:
    """What the edge asks about. The address is the one that Envoy trusts, whatever the request's headers say."""
    http = request.attributes.request.http
    headers: Mapping[str, str] = http.headers
    address = client_address({}, request.attributes.source.address.socket_address.address)
    return EdgeCall(path=http.path, headers=headers, address=address)


def allowed(identity: str | None) -> check_pb2.CheckResponse:
    """Lets a call through, with the signed identity in place of the client's credentials, which go no further."""
    response = check_pb2.CheckResponse()
    response.ok_response.headers_to_remove.extend((AUTHORIZATION, COOKIE, API_KEY))
    if identity is not None:
        _add(response.ok_response.headers, IDENTITY_HEADER, identity)
    return response


def denied(error: MeshError, *, as_json: bool, clear_cookie: str | None) -> check_pb2.CheckResponse:
    """Refuses a call.

    Envoy words its answer to a gRPC caller from the status (401 is UNAUTHENTICATED, 403 PERMISSION_DENIED) and takes the body for the
    message; the details go beside it as gRPC carries them. A caller of JSON gets the whole status as the body.
    """
    status = to_status(error)
    response = check_pb2.CheckResponse(status=status_pb2.Status(code=status.code, message=error.reason, details=status.details))
    answer = response.denied_response
    answer.status.code = _HTTP_STATUS[status.code]
    _add(answer.headers, "grpc-status-details-bin", base64.b64encode(status.SerializeToString()).decode().rstrip("="))
    if clear_cookie is not None:
        _add(answer.headers, "set-cookie", clear_cookie, _APPEND)
    if as_json:
        _add(answer.headers, "content-type", "application/json")
        answer.body = json.dumps(json_format.MessageToDict(status))
    else:
        answer.body = error.message
    return response


def _add(headers: object, name: str, value: str, action: check_pb2.HeaderValueOption.HeaderAppendAction.ValueType = _OVERWRITE) -> None:
    option = check_pb2.HeaderValueOption(header=check_pb2.HeaderValue(key=name, value=value), append_action=action)
    headers.append(option)  # type: ignore[attr-defined]
