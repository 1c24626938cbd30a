"""GetModelMetadata and GetModelStatus."""

from __future__ import annotations

from typing import Any

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from labelmesh_modelserver.models import ServedModels
from labelmesh_modelserver.serving import LoadedModel
from labelmesh_modelserver.statuses import invalid_argument, not_found

_SIGNATURES = "signature_def"


def model_metadata(models: ServedModels[LoadedModel], request: Any) -> Any:
    """The signatures of a model (get_model_metadata_impl.cc).

    Raises:
        ServingError: with TensorFlow Serving's codes and texts.
    """
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != _SIGNATURES:
            # TensorFlow Serving's text has the unused placeholder.
            raise invalid_argument(f"Metadata field %s is not supported{field}")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    signatures = get_model_metadata_pb2.SignatureDefMap()
    with models.use(request.model_spec) as (version, model):
        for name, signature in model.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = version
    response.metadata[_SIGNATURES].Pack(signatures)
    return response


def model_status(models: ServedModels[LoadedModel], request: Any) -> Any:
    """The state of a version or of all versions of a model, those that failed or ended too (get_model_status_impl.cc).

    A version label is not looked at here, as in TensorFlow Serving: all versions are told.

    Raises:
        ServingError: INVALID_ARGUMENT without a model_spec, NOT_FOUND for what was never served.
    """
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    name = request.model_spec.name
    statuses = models.statuses(name)
    if request.model_spec.WhichOneof("version_choice") == "version":
        wanted = request.model_spec.version.value
        statuses = tuple(status for status in statuses if status.version == wanted)
        if not statuses:
            raise not_found(f"Could not find version {wanted} of model {name}")
    if not statuses:
        raise not_found(f"Could not find any versions of model {name}")
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in statuses:
        entry = response.model_version_status.add(version=status.version, state=int(status.state))
        entry.status.SetInParent()
        entry.status.error_code = int(status.code)
        entry.status.error_message = status.text
    return response
