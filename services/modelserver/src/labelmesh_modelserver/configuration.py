"""Which models to serve: TensorFlow Serving's ModelServerConfig, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from labelmesh_modelserver.statuses import Code, ServingError, invalid_argument, not_found
from labelmesh_modelserver.versions import All, Latest, Policy, Specific

PLATFORM = "tensorflow"


@dataclass(frozen=True)
class ModelConfig:
    """One model: where its versions are, which to serve, and names for versions."""

    name: str
    base_path: str
    policy: Policy = Latest()  # noqa: RUF009
    labels: Mapping[str, int] = field(default_factory=dict)


Models = Mapping[str, ModelConfig]


def read_config_file(path: str) -> Any:
    """The ModelServerConfig in a file of protobuf's text format.

    Raises:
        ServingError: NOT_FOUND where the file cannot be read, INVALID_ARGUMENT where it is none.
    """
    config = model_server_config_pb2.ModelServerConfig()
    read_text_proto(path, config)
    return config


def read_text_proto(path: str, message: Any) -> None:
    """Fills a message from a file of protobuf's text format.

    Raises:
        ServingError: NOT_FOUND where the file cannot be read, INVALID_ARGUMENT (with the line) where its text does not parse.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as problem:
        raise not_found(f"{path}; {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise invalid_argument(f"Invalid protobuf file: '{path}' ({problem})") from problem
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as problem:
        raise invalid_argument(f"Invalid protobuf file: '{path}' ({problem})") from problem


def single_model(name: str, base_path: str) -> Any:
    """The ModelServerConfig that --model_name and --model_base_path stand for."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=PLATFORM)
    return config


def models_of(config: Any) -> Models | None:
    """The models of a ModelServerConfig, None for an empty one ("Taking no action for empty config").

    Raises:
        ServingError: with TensorFlow Serving's codes and texts (model_servers/server_core.cc).
    """
    kind = config.WhichOneof("config")
    if kind is None:
        return None
    if kind != "model_config_list":
        raise ServingError(Code.UNIMPLEMENTED, "ModelServer does not yet support custom model config.")
    models: dict[str, ModelConfig] = {}
    for entry in config.model_config_list.config:
        if entry.name in models:
            raise invalid_argument(f"Illegal to list model {entry.name} multiple times in config list")
        _check_platform(entry)
        if not Path(entry.base_path).is_absolute():
            raise invalid_argument(f"Expected model {entry.name} to have an absolute path or URI; got base_path()={entry.base_path}")
        models[entry.name] = ModelConfig(entry.name, entry.base_path, _policy(entry.model_version_policy), dict(entry.version_labels))
    return models


def _check_platform(entry: Any) -> None:
    if entry.model_type:
        if entry.model_platform:
            raise invalid_argument("Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform.")
        if entry.model_type != model_server_config_pb2.ModelType.TENSORFLOW:
            raise invalid_argument(f"ModelServerConfig::model_type choice {entry.model_type} not supported.")
        return
    if not entry.model_platform:
        raise invalid_argument("Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform.")
    if entry.model_platform != PLATFORM:
        raise invalid_argument(f"Model {entry.name} requests unsupported platform {entry.model_platform}")


def _policy(message: Any) -> Policy:
    kind = message.WhichOneof("policy_choice")
    if kind == "all":
        return All()
    if kind == "specific":
        return Specific(frozenset(message.specific.versions))
    if kind == "latest":
        return Latest(max(message.latest.num_versions, 1))
    return Latest()
