"""TensorFlow Serving's configuration file, as far as labelmesh writes it.

The format is the text form of ModelServerConfig (tensorflow_serving/config/model_server_config.proto); its fields are declared here by
their numbers, so that the protobuf library itself reads and writes it and TensorFlow need not be installed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from labelmesh_client.errors import ConfigurationError

#: The first line of a file that labelmesh may rewrite.
MARK = "# Written by labelmesh"
_HEAD = f"{MARK}; changes by hand are lost. Remove this line to keep the file to yourself.\n"


@dataclass(frozen=True)
class ServedModel:
    """A model, where the model server finds it, and the versions that it serves."""

    name: str
    base_path: str
    versions: tuple[int, ...]


def read_server_config(text: str, path: Path) -> dict[str, ServedModel]:
    """The models by name. Raises ConfigurationError for what labelmesh would not have written."""
    try:
        message = text_format.Parse(text, _ServerConfig())
    except text_format.ParseError as error:
        raise ConfigurationError(f"{path} is damaged ({error}); remove it, and the next change of the repository writes it anew.") from None
    return {
        one.name: ServedModel(one.name, one.base_path, tuple(one.model_version_policy.specific.versions))
        for one in message.model_config_list.config
    }


def write_server_config(models: Iterable[ServedModel]) -> str:
    """The file's text, models by name."""
    message = _ServerConfig()
    message.model_config_list.SetInParent()
    for model in sorted(models, key=lambda one: one.name):
        policy = {"specific": {"versions": list(model.versions)}}
        message.model_config_list.config.add(
            name=model.name, base_path=model.base_path, model_platform="tensorflow", model_version_policy=policy
        )
    return _HEAD + text_format.MessageToString(message)


def _declare() -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="labelmesh_client/serverconfig.proto", package="labelmesh_client", syntax="proto3")

    def declare(name: str, *fields: tuple[str, int, int, str]) -> None:
        message = file.message_type.add(name=name)
        for field_name, number, label, kind in fields:
            is_message = kind.startswith(".")
            message.field.add(
                name=field_name,
                number=number,
                label=label,
                type=field.TYPE_MESSAGE if is_message else field.TYPE_INT64 if kind == "int64" else field.TYPE_STRING,
                type_name=kind if is_message else None,
            )

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    declare("Specific", ("versions", 1, many, "int64"))
    declare("VersionPolicy", ("specific", 102, one, ".labelmesh_client.Specific"))
    declare(
        "ModelConfig",
        ("name", 1, one, "string"),
        ("base_path", 2, one, "string"),
        ("model_platform", 4, one, "string"),
        ("model_version_policy", 7, one, ".labelmesh_client.VersionPolicy"),
    )
    declare("ModelConfigList", ("config", 1, many, ".labelmesh_client.ModelConfig"))
    declare("ModelServerConfig", ("model_config_list", 1, one, ".labelmesh_client.ModelConfigList"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("labelmesh_client.ModelServerConfig"))


_ServerConfig = _declare()
