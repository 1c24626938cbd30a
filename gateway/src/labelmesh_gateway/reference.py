"""The page that shows the OpenAPI document: plain HTML made once, so that it needs nothing from elsewhere and no script to be read."""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jinja2
import markupsafe

_REFERENCE = "#/components/schemas/"
_CODE = re.compile("`([^`]+)`")


@dataclass(frozen=True)
class Row:
    """One property or parameter as a row of a table."""

    name: str
    place: str
    required: bool
    type: markupsafe.Markup
    limits: str
    text: str


@dataclass(frozen=True)
class Entry:
    """One operation."""

    verb: str
    path: str
    operation: dict[str, Any]
    parameters: tuple[Row, ...]
    body: tuple[Row, ...]
    body_name: str
    reply: str
    example: str

    @property
    def anchor(self) -> str:
        return str(self.operation["operationId"])


def page(document: dict[str, Any]) -> dict[str, str]:
    """The files of the page for a document of `openapi.document`, by name: index.html and what it loads."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labelmesh_gateway", "site"), undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True
    )
    environment.filters["prose"] = prose
    entries = [_entry(verb, path, operation, document) for path, verbs in document["paths"].items() for verb, operation in verbs.items()]
    groups = [(tag, [entry for entry in entries if tag["name"] in entry.operation["tags"]]) for tag in document["tags"]]
    schemas = {name: tuple(_rows(schema)) for name, schema in document["components"]["schemas"].items()}
    html = environment.get_template("index.html.j2").render(document=document, groups=groups, schemas=schemas)
    folder = importlib.resources.files("labelmesh_gateway").joinpath("site")
    return {"index.html": html, **{name: folder.joinpath(name).read_text(encoding="utf-8") for name in ("reference.css", "reference.js")}}


def prose(text: str) -> markupsafe.Markup:
    """Text of the document as HTML: paragraphs, and what stands between backticks as code."""
    paragraphs = (_CODE.sub(r"<code>\1</code>", str(markupsafe.escape(part.strip()))) for part in text.split("\n\n") if part.strip())
    return markupsafe.Markup("".join(f"<p>{paragraph}</p>" for paragraph in paragraphs))


def _entry(verb: str, path: str, operation: dict[str, Any], document: dict[str, Any]) -> Entry:
    parameters = tuple(
        Row(each["name"], each["in"], each["required"], _type(each["schema"]), _limits(each["schema"]), each.get("description", ""))
        for each in operation.get("parameters", ())
    )
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    resolved = _resolved(body, document) if body else {}
    reply = operation["responses"]["200"]["content"].get("application/json")
    return Entry(
        verb=verb,
        path=path,
        operation=operation,
        parameters=parameters,
        body=tuple(_rows(resolved)),
        body_name=_target(body) if body else "",
        reply=_target(reply["schema"]) if reply else "",
        example=_example(verb, path, operation, resolved),
    )


def _example(verb: str, path: str, operation: dict[str, Any], body: dict[str, Any]) -> str:
    lines = [f"curl -X {verb.upper()} http://127.0.0.1:8080{path}"]
    if operation["security"]:
        lines.append('-H "authorization: Bearer $TOKEN"')
    if "requestBody" in operation:
        fields = {name: _sample(schema) for name, schema in body.get("properties", {}).items() if name in body.get("required", ())}
        lines += ["-H 'content-type: application/json'", f"-d '{json.dumps(fields)}'"]
    return " \\\n  ".join(lines)


def _sample(schema: dict[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "array":
        return []
    if kind == "string":
        return "00000000-0000-4000-8000-000000000000" if schema.get("format") == "uuid" else "..."
    return {"integer": 1, "number": 1.0, "boolean": True}.get(str(kind), {})


def _rows(schema: dict[str, Any]) -> Iterator[Row]:
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        yield Row(name, "", name in required, _type(each), _limits(each), each.get("description", ""))


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    name = _target(schema)
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


def _target(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).removeprefix(_REFERENCE)


def _type(schema: dict[str, Any]) -> markupsafe.Markup:
    name = _target(schema)
    if name:
        return markupsafe.Markup('<a href="#{name}">{short}</a>').format(name=name, short=name.rpartition(".")[2])
    if schema.get("type") == "array":
        return markupsafe.Markup("{} []").format(_type(schema["items"]))
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        return markupsafe.Markup("map of {}").format(_type(schema["additionalProperties"]))
    return markupsafe.escape(" ".join(filter(None, [str(schema.get("type", "any")), schema.get("format", "")])))


def _limits(schema: dict[str, Any]) -> str:
    items = schema.get("items", {})
    return ", ".join([*_own_limits(schema), *(f"each {limit}" for limit in _own_limits(items))])


def _own_limits(schema: dict[str, Any]) -> Iterator[str]:
    names = {
        "minLength": "at least {} characters",
        "maxLength": "at most {:,} characters",
        "minimum": "≥ {}",
        "maximum": "≤ {}",
        "exclusiveMinimum": "> {}",
        "exclusiveMaximum": "< {}",
        "minItems": "at least {}",
        "maxItems": "at most {:,}",
    }
    for name, text in names.items():
        if name == "minLength" and schema.get(name) == 1:
            yield "not empty"
        elif name in schema:
            yield text.format(schema[name])
    if schema.get("uniqueItems"):
        yield "no two alike"
    if "enum" in schema:
        yield "one of " + ", ".join(map(str, schema["enum"]))
    if "pattern" in schema and schema.get("format") not in ("uuid", "int64") and schema.get("type") == "string":
        yield f"matches {schema['pattern']}"
