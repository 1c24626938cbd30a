"""Messages of the contract as JSON, and back, in words of this side where that cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2
from google.protobuf.message import Message

from labelmesh_client.errors import SourceError

_MAX_DEPTH = 20
#: Of steps and of recipes.
_MAPS = frozenset({"parameters", "versions"})


def as_json(message: Message) -> dict[str, Any]:
    """A message as the contract has it in JSON, the same text every time: the maps of a message come in any order."""
    name = "parameters" if isinstance(message, struct_pb2.Struct) else ""
    made: dict[str, Any] = _in_order(json_format.MessageToDict(message), name)
    return made


def _in_order(value: Any, name: str = "") -> Any:
    if isinstance(value, list):
        return [_in_order(one) for one in value]
    if isinstance(value, dict):
        keys = sorted(value) if name in _MAPS else value
        return {key: _in_order(value[key], key) for key in keys}
    return value


def whole(value: Any) -> Any:
    """JSON with whole numbers written as people write them: a message knows no others than 20.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(one) for one in value]
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    return value


def parsed(value: Any, message: Any) -> Any:
    """The message that JSON means, in words of this side where it does not. Raises SourceError (PIPELINE_INVALID)."""
    try:
        return json_format.ParseDict(value, message, max_recursion_depth=_MAX_DEPTH)
    except (json_format.ParseError, TypeError, ValueError, RecursionError) as error:
        raise SourceError(_in_words(str(error)), reason="PIPELINE_INVALID") from None


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Parameters as a message. Raises SourceError for what JSON has no form for."""
    made: struct_pb2.Struct = parsed(dict(values), struct_pb2.Struct())
    return made


def _in_words(said: str) -> str:
    unknown = re.search(r'has no field named "([^"]*)" at "(\w+)\.?([^"]*)"', said)
    if unknown:
        allowed = ", ".join(re.findall(r"'(\w+)'", said.partition("Available Fields")[2]))
        return f"{unknown[3] or 'the pipeline'} has no field “{unknown[1]}”; there are {allowed}."
    plain = re.sub(r"labelmesh\.augment\.v1\.|^Failed to parse \w+ field: ", "", said)
    return plain.strip().rstrip(".") + "."
