"""Predict: from a PredictRequest to a PredictResponse, checked and worded like TensorFlow Serving's (predict_util.cc)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from tensorflow_serving.apis import predict_pb2

from labelmesh_modelserver.statuses import failed_precondition, internal, invalid_argument
from labelmesh_modelserver.tensors import Array, TensorError, decode, encode

DEFAULT_SIGNATURE = "serving_default"
PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"


class Runnable(Protocol):
    """A loaded model: its signatures (SignatureDef by name) and a way to run its graph."""

    signatures: Mapping[str, Any]

    def run(self, feeds: Sequence[tuple[str, Array]], fetches: Sequence[str], timeout_s: float | None = None) -> list[Array]: ...


def predict(model: Runnable, request: Any, version: int | None, timeout_s: float | None, check_method: bool = False) -> Any:
    """Answers a PredictRequest. `version` is named in the reply; None while warming up.

    Raises:
        ServingError: with TensorFlow Serving's codes and texts.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = model.signatures.get(name)
    if signature is None:
        raise failed_precondition(f'Serving signature key "{name}" not found.')
    if check_method and signature.method_name not in (PREDICT, CLASSIFY, REGRESS):
        raise internal(
            f"Expected prediction signature method_name to be one of {{{PREDICT}, {CLASSIFY}, {REGRESS}}}. Was: {signature.method_name}"
        )
    feeds = _feeds(signature, request.inputs)
    aliases = _outputs(signature, request.output_filter)
    values = model.run(feeds, [signature.outputs[alias].name for alias in aliases], timeout_s)
    response = predict_pb2.PredictResponse()
    fill_spec(response.model_spec, request.model_spec.name, name, version)
    for alias, value in zip(aliases, values, strict=True):
        try:
            encode(value, response.outputs[alias])
        except TensorError as problem:
            raise internal(f"output {alias}: {problem}") from problem
    return response


def fill_spec(spec: Any, name: str, signature: str, version: int | None) -> None:
    """The model_spec of a reply names what answered (servables/tensorflow/util.cc, MakeModelSpec)."""
    spec.name = name
    spec.signature_name = signature or DEFAULT_SIGNATURE
    if version is not None:
        spec.version.value = version


def _feeds(signature: Any, inputs: Any) -> list[tuple[str, Array]]:
    sent, wanted = set(inputs), set(signature.inputs)
    defaults = signature.defaults
    if len(sent) > len(wanted) or (len(sent) < len(wanted) and not defaults):
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(wanted)} len({{{_names(sent)}}}) != len({{{_names(wanted)}}}). "
            f"Sent extra: {{{_names(sent - wanted)}}}. Missing but required: {{{_names(wanted - sent)}}}."
        )
    feeds = []
    for alias in sorted(wanted):
        name = signature.inputs[alias].name
        if alias in sent:
            proto = inputs[alias]
        elif alias in defaults:
            proto = defaults[alias]
        else:
            raise invalid_argument(
                f"Signature input alias: {alias}(feed name: {name}) not found in request and no default value provided. Inputs expected to "
                f"be in the request {{{_names(sent)}}}, or default input alias set: {_names(defaults)}"
            )
        try:
            feeds.append((name, decode(proto)))
        except TensorError as problem:
            raise invalid_argument(f"tensor parsing error: {alias} ({problem})") from problem
    if sent - wanted:
        raise invalid_argument(f"Inputs contains invalid name. Used request inputs: {_names(sent & wanted)}, request input: {_names(sent)}")
    return feeds


def _outputs(signature: Any, output_filter: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set {{{_names(signature.outputs)}}}."
            )
        if alias in seen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return list(output_filter) or sorted(signature.outputs)


def _names(names: Iterable[str]) -> str:
    return ",".join(sorted(names))
