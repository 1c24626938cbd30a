"""Facts of TensorFlow Serving, each with where it stands in its source; this server answers alike, over a real channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from tests.integration.modelserver.house import RunningServer, put

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
NOT_FOUND = grpc.StatusCode.NOT_FOUND
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


def _predict(text: str) -> predict_pb2.PredictRequest:
    return text_format.Parse(text, predict_pb2.PredictRequest())


def _classify(text: str) -> classification_pb2.ClassificationRequest:
    return text_format.Parse(text, classification_pb2.ClassificationRequest())


def _regress(text: str) -> regression_pb2.RegressionRequest:
    return text_format.Parse(text, regression_pb2.RegressionRequest())


def _multi(text: str) -> inference_pb2.MultiInferenceRequest:
    return text_format.Parse(text, inference_pb2.MultiInferenceRequest())


def _metadata(text: str) -> get_model_metadata_pb2.GetModelMetadataRequest:
    return text_format.Parse(text, get_model_metadata_pb2.GetModelMetadataRequest())


def _status(text: str) -> get_model_status_pb2.GetModelStatusRequest:
    return text_format.Parse(text, get_model_status_pb2.GetModelStatusRequest())


def _reload(text: str) -> model_management_pb2.ReloadConfigRequest:
    return text_format.Parse(text, model_management_pb2.ReloadConfigRequest())


_METHODS: dict[type, Callable[[RunningServer], Any]] = {
    predict_pb2.PredictRequest: lambda server: server.prediction.Predict,
    classification_pb2.ClassificationRequest: lambda server: server.prediction.Classify,
    regression_pb2.RegressionRequest: lambda server: server.prediction.Regress,
    inference_pb2.MultiInferenceRequest: lambda server: server.prediction.MultiInference,
    get_model_metadata_pb2.GetModelMetadataRequest: lambda server: server.prediction.GetModelMetadata,
    get_model_status_pb2.GetModelStatusRequest: lambda server: server.model.GetModelStatus,
    model_management_pb2.ReloadConfigRequest: lambda server: server.model.HandleReloadConfigRequest,
}

_X = 'inputs { key: "x" value { dtype: DT_FLOAT tensor_shape { dim { size: 2 } } float_val: 1 float_val: 2 } }'
_EXAMPLE = 'input { example_list { examples { features { feature { key: "x" value { float_list { value: 0.25 } } } } } } }'
_CLASSIFY = "tensorflow/serving/classify"
_REGRESS = "tensorflow/serving/regress"


@dataclass(frozen=True)
class Refusal:
    """A request, how it is refused, and where TensorFlow Serving does so."""

    what: str
    request: Any
    code: grpc.StatusCode
    text: str
    source: str


_CORE = "model_servers/server_core.cc"
_PREDICT = "servables/tensorflow/predict_util.cc"
_UTIL = "tensorflow/cc/saved_model/util.cc, GetInputValues"
_MANAGER = "core/basic_manager.cc, core/manager.h"
_CLASSIFIER = "servables/tensorflow/classifier.cc"
_REGRESSOR = "servables/tensorflow/regressor.cc"
_MULTI = "servables/tensorflow/multi_inference.cc"
_METADATA = "servables/tensorflow/get_model_metadata_impl.cc"
_STATUS = "model_servers/get_model_status_impl.cc"

REFUSALS = [
    Refusal("no model_spec", _predict(""), INVALID, "Missing ModelSpec", "servables/tensorflow/predict_impl.cc"),
    Refusal("no name", _predict("model_spec { version { value: 1 } }"), INVALID, "ModelSpec has no name specified.", _CORE),
    Refusal("unknown model", _predict('model_spec { name: "x" }'), NOT_FOUND, "Servable not found for request: Latest(x)", _MANAGER),
    Refusal(
        "unknown version",
        _predict('model_spec { name: "digits" version { value: 9 } }'),
        NOT_FOUND,
        "Servable not found for request: Specific(digits, 9)",
        _MANAGER,
    ),
    Refusal(
        "unknown label",
        _predict('model_spec { name: "digits" version_label: "nope" }'),
        INVALID,
        "Unrecognized servable version label: nope",
        _CORE,
    ),
    Refusal(
        "label of another model",
        _predict('model_spec { name: "add_one" version_label: "stable" }'),
        INVALID,
        "Unrecognized servable version label: stable",
        _CORE,
    ),
    Refusal(
        "unknown signature",
        _predict('model_spec { name: "add_one" signature_name: "predict_images" }'),
        PRECONDITION,
        'Serving signature key "predict_images" not found.',
        _PREDICT,
    ),
    Refusal(
        "no input",
        _predict('model_spec { name: "add_one" }'),
        INVALID,
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        _PREDICT,
    ),
    Refusal(
        "one input too many",
        _predict('model_spec { name: "add_one" } inputs { key: "x" value {} } inputs { key: "z" value {} }'),
        INVALID,
        "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.",
        _PREDICT,
    ),
    Refusal(
        "wrong input name",
        _predict('model_spec { name: "add_one" } inputs { key: "images" value { dtype: DT_FLOAT } }'),
        INVALID,
        "Signature input alias: x(feed name: serving_default_x:0) not found in request and no default value provided. Inputs expected "
        "to be in the request {images}, or default input alias set: ",
        _UTIL,
    ),
    Refusal(
        "data of another size than the shape",
        _predict(
            'model_spec { name: "add_one" } '
            'inputs { key: "x" value { dtype: DT_FLOAT tensor_shape { dim { size: 2 } } tensor_content: "abc" } }'
        ),
        INVALID,
        "tensor parsing error: x",
        _UTIL,
    ),
    Refusal(
        "tensor without a type",
        _predict('model_spec { name: "add_one" } inputs { key: "x" value { float_val: 1 } }'),
        INVALID,
        "tensor parsing error: x",
        _UTIL,
    ),
    Refusal(
        "wrong type",
        _predict(
            'model_spec { name: "add_one" } inputs { key: "x" value { dtype: DT_INT32 tensor_shape { dim { size: 1 } } int_val: 1 } }'
        ),
        INVALID,
        "Expects arg[0] to be float but int32 is provided",
        "tensorflow/core/framework/function.cc, FunctionCallFrame::SetArgs",
    ),
    Refusal(
        "wrong shape",
        _predict(
            'model_spec { name: "examples" } '
            'inputs { key: "inputs" value { dtype: DT_STRING tensor_shape { dim { size: 1 } } string_val: "x" } }'
        ),
        INVALID,
        "Could not parse example input, value: 'x'",
        "TensorFlow's kernels check values and shapes themselves",
    ),
    Refusal(
        "unknown output",
        _predict(f'model_spec {{ name: "add_one" }} {_X} output_filter: "z"'),
        INVALID,
        "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
        _PREDICT,
    ),
    Refusal(
        "output twice",
        _predict(f'model_spec {{ name: "add_one" }} {_X} output_filter: "y" output_filter: "y"'),
        INVALID,
        "duplicate output tensor alias: y",
        _PREDICT,
    ),
    Refusal("Classify: no model_spec", _classify(""), INVALID, "Missing ModelSpec", "servables/tensorflow/classification_service.cc"),
    Refusal(
        "Classify: unknown signature",
        _classify('model_spec { name: "examples" signature_name: "z" }'),
        INVALID,
        "No signature was found with the name: z",
        _CLASSIFIER,
    ),
    Refusal(
        "Classify: no examples", _classify('model_spec { name: "examples" }'), INVALID, "Input is empty.", "servables/tensorflow/util.cc"
    ),
    Refusal(
        "Classify: a signature without inputs named inputs",
        _classify(f'model_spec {{ name: "add_one" }} {_EXAMPLE}'),
        PRECONDITION,
        "No classification inputs found in SignatureDef: ",
        _CLASSIFIER,
    ),
    Refusal(
        "Classify: a signature that regresses",
        _classify(f'model_spec {{ name: "examples" signature_name: "regress" }} {_EXAMPLE}'),
        PRECONDITION,
        'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: ',
        _CLASSIFIER,
    ),
    Refusal(
        "Regress: a signature that classifies",
        _regress(f'model_spec {{ name: "examples" signature_name: "classify" }} {_EXAMPLE}'),
        INVALID,
        "Expected one output Tensor.",
        _REGRESSOR,
    ),
    Refusal("MultiInference: no tasks", _multi(""), INVALID, "Inference request has empty tasks.", "multi_inference_helper.cc"),
    Refusal(
        "MultiInference: two models",
        _multi(
            f'tasks {{ model_spec {{ name: "examples" }} method_name: "{_CLASSIFY}" }} '
            f'tasks {{ model_spec {{ name: "add_one" }} }} {_EXAMPLE}'
        ),
        INVALID,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        _MULTI,
    ),
    Refusal(
        "MultiInference: one signature twice",
        _multi(f'tasks {{ model_spec {{ name: "examples" }} method_name: "{_CLASSIFY}" }} '.join(["", "", _EXAMPLE])),
        INVALID,
        "Duplicate evaluation of signature: serving_default",
        _MULTI,
    ),
    Refusal(
        "MultiInference: a method there is not",
        _multi(f'tasks {{ model_spec {{ name: "examples" }} method_name: "tensorflow/serving/predict" }} {_EXAMPLE}'),
        UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
        _MULTI,
    ),
    Refusal("GetModelMetadata: no model_spec", _metadata('metadata_field: "signature_def"'), INVALID, "Missing ModelSpec", _METADATA),
    Refusal(
        "GetModelMetadata: no field",
        _metadata('model_spec { name: "digits" }'),
        INVALID,
        "GetModelMetadataRequest must specify at least one metadata_field",
        _METADATA,
    ),
    Refusal(
        "GetModelMetadata: another field",
        _metadata('model_spec { name: "digits" } metadata_field: "labels"'),
        INVALID,
        "Metadata field %s is not supportedlabels",
        _METADATA,
    ),
    Refusal(
        "GetModelMetadata: unknown model",
        _metadata('model_spec { name: "x" } metadata_field: "signature_def"'),
        NOT_FOUND,
        "Servable not found for request: Latest(x)",
        _MANAGER,
    ),
    Refusal("GetModelStatus: no model_spec", _status(""), INVALID, "Missing ModelSpec", _STATUS),
    Refusal(
        "GetModelStatus: unknown model", _status('model_spec { name: "x" }'), NOT_FOUND, "Could not find any versions of model x", _STATUS
    ),
    Refusal(
        "GetModelStatus: unknown version",
        _status('model_spec { name: "digits" version { value: 9 } }'),
        NOT_FOUND,
        "Could not find version 9 of model digits",
        _STATUS,
    ),
    Refusal(
        "HandleReloadConfigRequest: nothing",
        _reload(""),
        INVALID,
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported",
        "model_servers/model_service_impl.cc",
    ),
    Refusal(
        "HandleReloadConfigRequest: a label for what is not there",
        _reload(
            'config { model_config_list { config { name: "digits" base_path: "/m" model_platform: "tensorflow" '
            'version_labels { key: "stable" value: 77 } } } }'
        ),
        PRECONDITION,
        "Request to assign label to version 77 of model digits, which is not currently available for inference",
        _CORE,
    ),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.what)
def test_a_wrong_request_is_refused_with_tensorflow_servings_code_and_text(server: RunningServer, refusal: Refusal) -> None:
    call = _METHODS[type(refusal.request)](server)
    with pytest.raises(grpc.RpcError) as refused:
        call(refusal.request, timeout=10)
    details = refused.value.details() or ""
    assert (refused.value.code(), details[: len(refusal.text)]) == (refusal.code, refusal.text), refusal.source


def test_of_a_version_and_a_label_the_one_that_was_set_last_counts(server: RunningServer) -> None:
    """They are a oneof (apis/model.proto): both at once cannot be sent, and a parser keeps the last on the wire."""
    spec = _predict('model_spec { name: "digits" version { value: 1 } }').model_spec.SerializeToString()
    label = _predict('model_spec { version_label: "stable" }').model_spec.SerializeToString()
    request = predict_pb2.PredictRequest()
    request.model_spec.MergeFromString(spec + label)
    put(request.inputs["image"], np.zeros((1, 28, 28, 1), np.float32))
    assert server.prediction.Predict(request, timeout=10).model_spec.version.value == 2


def test_a_reply_names_model_version_and_signature_that_answered(server: RunningServer) -> None:
    """Source: predict_util.cc, MakeModelSpec: the name asked for, the version that ran, the signature with its default filled in."""
    reply = server.prediction.Predict(_predict(f'model_spec {{ name: "add_one" }} {_X}'), timeout=10)
    assert reply.model_spec == _predict('model_spec { name: "add_one" version { value: 1 } signature_name: "serving_default" }').model_spec


def test_a_label_is_answered_with_the_version_it_stands_for(server: RunningServer) -> None:
    request = _predict('model_spec { name: "digits" version_label: "stable" }')
    put(request.inputs["image"], np.zeros((1, 28, 28, 1), np.float32))
    assert (
        server.prediction.Predict(request, timeout=10).model_spec
        == _predict('model_spec { name: "digits" version { value: 2 } signature_name: "serving_default" }').model_spec
    )


def test_outputs_come_as_typed_values_not_as_content(server: RunningServer) -> None:
    """Source: server_core.h, predict_response_tensor_serialization_option = kAsProtoField; tensor.cc, Tensor::AsProtoField."""
    floats = server.prediction.Predict(_predict(f'model_spec {{ name: "add_one" }} {_X}'), timeout=10).outputs["y"]
    assert floats == text_format.Parse("dtype: DT_FLOAT tensor_shape { dim { size: 2 } } float_val: 2 float_val: 3", type(floats)())
    words = _predict(
        'model_spec { name: "add_one" signature_name: "strings" } '
        'inputs { key: "x" value { dtype: DT_STRING tensor_shape { dim { size: 1 } } string_val: "a" } }'
    )
    assert list(server.prediction.Predict(words, timeout=10).outputs["y"].string_val) == [b"a!"]


def test_an_output_filter_returns_those_outputs_only(server: RunningServer) -> None:
    request = _predict('model_spec { name: "add_one" signature_name: "many" } output_filter: "difference"')
    for name, number in (("a", 5), ("b", 3)):
        put(request.inputs[name], np.array([number], np.float32))
    reply = server.prediction.Predict(request, timeout=10)
    assert {name: list(tensor.float_val) for name, tensor in reply.outputs.items()} == {"difference": [2.0]}


def test_a_long_error_text_is_cut_at_1024_characters(server: RunningServer) -> None:
    """Source: model_servers/grpc_status_util.cc."""
    with pytest.raises(grpc.RpcError) as refused:
        server.prediction.Predict(_predict(f'model_spec {{ name: "{"x" * 3000}" }}'), timeout=10)
    details = refused.value.details() or ""
    assert len(details) == 1024 + len("...TRUNCATED")
    assert details.endswith("x...TRUNCATED")


def test_classify_regress_and_both_at_once_answer_examples(server: RunningServer) -> None:
    classes = server.prediction.Classify(_classify(f'model_spec {{ name: "examples" signature_name: "classify" }} {_EXAMPLE}'), timeout=10)
    assert classes == text_format.Parse(
        'result { classifications { classes { label: "small" score: 0.75 } classes { label: "large" score: 0.25 } } } '
        'model_spec { name: "examples" version { value: 1 } signature_name: "classify" }',
        classification_pb2.ClassificationResponse(),
    )
    regressions = server.prediction.Regress(_regress(f'model_spec {{ name: "examples" signature_name: "regress" }} {_EXAMPLE}'), timeout=10)
    assert [regression.value for regression in regressions.result.regressions] == [0.5]
    both = server.prediction.MultiInference(
        _multi(
            f'tasks {{ model_spec {{ name: "examples" signature_name: "regress" }} method_name: "{_REGRESS}" }} '
            f'tasks {{ model_spec {{ name: "examples" signature_name: "classify" }} method_name: "{_CLASSIFY}" }} {_EXAMPLE}'
        ),
        timeout=10,
    )
    assert both.results[0].regression_result.regressions[0].value == 0.5
    assert both.results[1].classification_result == classes.result
    assert both.results[1].model_spec == classes.model_spec


def test_examples_share_the_features_of_their_context(server: RunningServer) -> None:
    """Source: apis/input.proto, ExampleListWithContext."""
    request = _regress(
        'model_spec { name: "examples" signature_name: "regress" } input { example_list_with_context { '
        'context { features { feature { key: "x" value { float_list { value: 4 } } } } } examples {} examples {} } }'
    )
    assert [item.value for item in server.prediction.Regress(request, timeout=10).result.regressions] == [8.0, 8.0]


def test_metadata_are_the_signatures_of_the_version_that_would_answer(server: RunningServer) -> None:
    reply = server.prediction.GetModelMetadata(_metadata('model_spec { name: "digits" } metadata_field: "signature_def"'), timeout=10)
    assert reply.model_spec == _predict('model_spec { name: "digits" version { value: 3 } }').model_spec
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert reply.metadata["signature_def"].Unpack(signatures)
    default = signatures.signature_def["serving_default"]
    assert default.method_name == "tensorflow/serving/predict"
    assert [dim.size for dim in default.inputs["image"].tensor_shape.dim] == [-1, 28, 28, 1]
    assert default.outputs["scores"].dtype == 1


def test_status_tells_all_versions_or_the_one_asked_for(server: RunningServer) -> None:
    assert server.states("digits") == {1: 30, 2: 30, 3: 30}
    one = server.model.GetModelStatus(_status('model_spec { name: "digits" version { value: 2 } }'), timeout=10)
    assert one == text_format.Parse("model_version_status { version: 2 state: AVAILABLE status { } }", type(one)())


@pytest.mark.parametrize("version", [None, 1, 2, 3])
def test_the_version_that_is_asked_for_answers_the_newest_without_one(server: RunningServer, version: int | None) -> None:
    wanted = version or 3
    assert server.digit(version) == (wanted, 3 + wanted - 1)
