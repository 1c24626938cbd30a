"""The OpenAPI 3.1 document of the JSON interface, made from the contract: no path, limit or sentence is written twice.

Source: https://spec.openapis.org/oas/v3.1.0 and google/api/http.proto.
"""

from __future__ import annotations

import importlib.metadata
import re
from typing import Any

from google.protobuf import descriptor_pb2

from labelmesh_gateway.contract import HttpRule, Method, Service, contract_files, services_of
from labelmesh_gateway.schemas import Field, Schemas, is_required
from labelmesh_gateway.settings import SESSION_COOKIE

_INTRODUCTION = """\
Everything that labelmesh does, as JSON over HTTP. The same methods are there as gRPC and gRPC-Web, on the same address.

Sign in with `POST /v1/sessions` and send the token as `authorization: Bearer <token>`, or make an API key and send it as `x-api-key`.
Every error is a `google.rpc.Status`: a code, a sentence, and details, among them an `ErrorInfo` with a reason that programs can rely on.
Whole numbers of 64 bits are strings, as in all JSON made from protobuf.
"""
_STATUS = "google.rpc.Status"
_ERRORS = {
    "400": "The request breaks a rule of the contract (INVALID_ARGUMENT), or things are not as it needs them (FAILED_PRECONDITION).",
    "401": "No session or key, or one that has ended (UNAUTHENTICATED).",
    "403": "The caller may not do this (PERMISSION_DENIED).",
    "404": "There is no such thing, or the caller may not see it (NOT_FOUND).",
    "409": "There is one already (ALREADY_EXISTS), or somebody else was faster (ABORTED).",
    "429": "Too many calls; `RetryInfo` says how long to wait (RESOURCE_EXHAUSTED).",
    "503": "A part is away; `RetryInfo` says when to try again (UNAVAILABLE).",
}


def document(files: descriptor_pb2.FileDescriptorSet | None = None) -> dict[str, Any]:
    """The document as a value that `json.dumps` takes. Raises ValueError for a rule that OpenAPI cannot say."""
    files = files or contract_files()
    schemas = Schemas(files)
    services = [service for service in services_of(files) if any(method.rules for method in service.methods)]
    paths: dict[str, dict[str, Any]] = {}
    for service in services:
        for method in service.methods:
            for number, rule in enumerate(method.rules, start=1):
                path, operation = _operation(service, method, rule, schemas)
                if number > 1:  # another path to the same method: ids are unique
                    operation["operationId"] += f"_{number}"
                if paths.setdefault(path, {}).setdefault(rule.verb, operation) is not operation:
                    raise ValueError(f"{rule.verb.upper()} {path} belongs to two methods")
    schemas.components[_STATUS] = _status(schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "labelmesh",
            "version": importlib.metadata.version("labelmesh-protos"),
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": _tag(service), "description": service.comment} for service in services],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "securitySchemes": {
                "session": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The token that SignIn gives."},
                "cookie": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE, "description": "What SignIn gives with useCookie."},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "What CreateApiKey gives, once."},
            },
            "responses": {
                status: {"description": text, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{_STATUS}"}}}}
                for status, text in _ERRORS.items()
            },
        },
    }


def _status(schemas: Schemas) -> dict[str, Any]:
    """google.rpc.Status, whose own file is not part of the contract, with the kinds of details that are sent."""
    kinds = [
        {
            "allOf": [
                {"type": "object", "properties": {"@type": {"const": f"type.googleapis.com/{name}"}}, "required": ["@type"]},
                schemas.reference(name),
            ]
        }
        for name in ("google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo")
    ]
    return {
        "type": "object",
        "description": "An error.",
        "properties": {
            "code": {"type": "integer", "format": "int32", "description": "A google.rpc.Code, e.g. 3 for INVALID_ARGUMENT."},
            "message": {"type": "string", "description": "For people, in English."},
            "details": {
                "type": "array",
                "items": {"anyOf": [*kinds, {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]}]},
            },
        },
        "required": ["code", "message"],
    }


def _tag(service: Service) -> str:
    name = service.name.rpartition(".")[2].removesuffix("Service")
    return f"{name} {service.part}" if name == "Classic" else name


def _operation(service: Service, method: Method, rule: HttpRule, schemas: Schemas) -> tuple[str, dict[str, Any]]:
    if "=" in rule.template or any("." in name for name in rule.path_fields):
        raise ValueError(f"{method.path}: only whole fields of the request as single segments of the path can be told, not {rule.template}")
    fields = {field.name: (field, comment) for field, comment in schemas.fields(method.input_type)}
    path = re.sub(r"\{([a-z_]+)\}", lambda match: "{" + fields[match[1]][0].json_name + "}", rule.template)
    parameters = [_parameter(*fields[name], "path", schemas) for name in rule.path_fields]
    if rule.body != "*":
        parameters += [_parameter(*fields[name], "query", schemas) for name in fields if name not in (*rule.path_fields, rule.body)]
    operation: dict[str, Any] = {
        "operationId": f"{service.name.rpartition('.')[2]}_{method.name}",
        "summary": _words(method.name),
        "description": "\n\n".join(filter(None, [method.comment, _who(method)])),
        "tags": [_tag(service)],
        "security": _security(method),
        "responses": {
            "200": {"description": "Done.", "content": _answer(method, schemas)},
            **{status: {"$ref": f"#/components/responses/{status}"} for status in _ERRORS},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if rule.body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _body(method, rule, schemas, fields)}}}
    return path, operation


def _answer(method: Method, schemas: Schemas) -> dict[str, Any]:
    if method.answers_file:
        return {"text/html": {"schema": {"type": "string"}}, "image/*": {}}
    return {"application/json": {"schema": schemas.reference(method.output_type)}}


def _parameter(field: Field, comment: str, place: str, schemas: Schemas) -> dict[str, Any]:
    schema = schemas.field(field)
    schema.pop("description", None)
    parameter: dict[str, Any] = {"name": field.json_name, "in": place, "required": place == "path" or is_required(field), "schema": schema}
    if comment:
        parameter["description"] = comment
    return parameter


def _body(method: Method, rule: HttpRule, schemas: Schemas, fields: dict[str, tuple[Field, str]]) -> dict[str, Any]:
    if rule.body != "*":
        return schemas.field(*fields[rule.body])
    if not rule.path_fields:
        return schemas.reference(method.input_type)
    return schemas.message(method.input_type, without=frozenset(rule.path_fields))


def _security(method: Method) -> list[dict[str, list[str]]]:
    if method.open:
        return []
    names = ("session", "cookie", "key") if method.scope else ("session", "cookie")
    return [{name: []} for name in names]


def _who(method: Method) -> str:
    if method.open:
        return "Needs no session."
    if method.scope:
        return f"Needs a session, or an API key with the scope `{method.scope}`."
    return "Needs a session; not for API keys."


def _words(name: str) -> str:
    words = re.findall(r"[A-Z][a-z0-9]*", name)
    return " ".join([words[0], *(word.lower() for word in words[1:])])
