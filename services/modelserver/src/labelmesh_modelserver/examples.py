"""Classify, Regress and MultiInference: models that take tf.Example (classifier.cc, regressor.cc, multi_inference.cc, util.cc)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from labelmesh_modelserver.prediction import CLASSIFY, DEFAULT_SIGNATURE, REGRESS, Runnable, fill_spec
from labelmesh_modelserver.statuses import Code, ServingError, failed_precondition, invalid_argument
from labelmesh_modelserver.tensors import Array

INPUTS = "inputs"
CLASSES = "classes"
SCORES = "scores"
OUTPUTS = "outputs"

CountExamples = Callable[[str, int], None]


def count_nothing(model: str, count: int) -> None:
    """For warm-up, which is not counted."""


def classify(
    model: Runnable,
    request: Any,
    version: int | None,
    timeout_s: float | None,
    check_method: bool = False,
    count: CountExamples = count_nothing,
) -> Any:
    """Answers a ClassificationRequest.

    Raises:
        ServingError: with TensorFlow Serving's codes and texts.
    """
    name, signature = _signature(model, request.model_spec, CLASSIFY, "classification", check_method)
    feed, fetches = _classification_tensors(signature, check_method)
    examples = example_tensor(request.input)
    values = model.run([(feed, examples)], fetches, timeout_s)
    count(request.model_spec.name, len(examples))
    response = classification_pb2.ClassificationResponse()
    fill_spec(response.model_spec, request.model_spec.name, name, version)
    _fill_classes(signature, dict(zip(fetches, values, strict=True)), len(examples), response.result)
    return response


def regress(
    model: Runnable,
    request: Any,
    version: int | None,
    timeout_s: float | None,
    check_method: bool = False,
    count: CountExamples = count_nothing,
) -> Any:
    """Answers a RegressionRequest.

    Raises:
        ServingError: with TensorFlow Serving's codes and texts.
    """
    name, signature = _signature(model, request.model_spec, REGRESS, "regression", check_method)
    feed, fetches = _regression_tensors(signature, check_method)
    examples = example_tensor(request.input)
    values = model.run([(feed, examples)], fetches, timeout_s)
    count(request.model_spec.name, len(examples))
    response = regression_pb2.RegressionResponse()
    fill_spec(response.model_spec, request.model_spec.name, name, version)
    _fill_regressions(signature, dict(zip(fetches, values, strict=True)), len(examples), response.result)
    return response


def multi_inference(
    model: Runnable,
    request: Any,
    version: int | None,
    timeout_s: float | None,
    check_method: bool = False,
    count: CountExamples = count_nothing,
) -> Any:
    """Answers a MultiInferenceRequest: several signatures of one model over the same examples, in one run.

    Raises:
        ServingError: with TensorFlow Serving's codes and texts.
    """
    names: set[str] = set()
    feeds: set[str] = set()
    fetches: set[str] = set()
    model_name = request.tasks[0].model_spec.name if request.tasks else ""
    for task in request.tasks:
        if not task.model_spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if task.model_spec.name != model_name:
            raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in names:
            raise invalid_argument(f"Duplicate evaluation of signature: {name}")
        names.add(name)
        signature = model.signatures.get(name)
        if signature is None:
            raise invalid_argument(f"Requested signature not found in model graph: {name}")
        if task.method_name == CLASSIFY:
            feed, outputs = _classification_tensors(signature, check_method)
        elif task.method_name == REGRESS:
            feed, outputs = _regression_tensors(signature, check_method)
        else:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        feeds.add(feed)
        fetches.update(outputs)
    # Each signature of a TensorFlow 2 model has a placeholder of its own: the examples go into all of them.
    examples = example_tensor(request.input)
    order = sorted(fetches)
    values = dict(zip(order, model.run([(feed, examples) for feed in sorted(feeds)], order, timeout_s), strict=True))
    count(model_name, len(examples))
    response = inference_pb2.MultiInferenceResponse()
    for task in request.tasks:
        signature = model.signatures[task.model_spec.signature_name or DEFAULT_SIGNATURE]
        result = response.results.add()
        if task.method_name == CLASSIFY:
            _fill_classes(signature, values, len(examples), result.classification_result)
        else:
            _fill_regressions(signature, values, len(examples), result.regression_result)
        fill_spec(result.model_spec, model_name, task.model_spec.signature_name, version)
    return response


def example_tensor(message: Any) -> Array:
    """The serialized tf.Examples of an Input, each with the context's features where there is one.

    Raises:
        ServingError: INVALID_ARGUMENT where there are none.
    """
    kind = message.WhichOneof("kind")
    context = b""
    examples: Any = ()
    if kind == "example_list":
        examples = message.example_list.examples
    elif kind == "example_list_with_context":
        examples = message.example_list_with_context.examples
        context = message.example_list_with_context.context.SerializeToString()
    if not examples:
        raise invalid_argument("Input is empty.")
    tensor = np.empty(len(examples), dtype=object)
    # Serialized messages one after the other are one message with the fields of both.
    tensor[:] = [context + example.SerializeToString() for example in examples]
    return tensor


def _signature(model: Runnable, spec: Any, method: str, kind: str, check_method: bool) -> tuple[str, Any]:
    name = spec.signature_name or DEFAULT_SIGNATURE
    signature = model.signatures.get(name)
    if signature is None:
        raise invalid_argument(f"No signature was found with the name: {name}")
    if check_method:
        _check_method(signature, method, kind)
    return name, signature


def _check_method(signature: Any, method: str, kind: str) -> None:
    if signature.method_name != method:
        raise invalid_argument(f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}")


def _classification_tensors(signature: Any, check_method: bool) -> tuple[str, list[str]]:
    if check_method:
        _check_method(signature, CLASSIFY, "classification")
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if INPUTS not in signature.inputs:
        raise failed_precondition(f"No classification inputs found in SignatureDef: {signature}")
    names = [signature.outputs[alias].name for alias in (CLASSES, SCORES) if alias in signature.outputs]
    if not names:
        raise failed_precondition(
            f'Expected classification signature outputs to contain at least one of "{CLASSES}" or "{SCORES}". Signature was: {signature}'
        )
    return signature.inputs[INPUTS].name, names


def _regression_tensors(signature: Any, check_method: bool) -> tuple[str, list[str]]:
    if check_method:
        _check_method(signature, REGRESS, "regression")
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    if INPUTS not in signature.inputs:
        raise failed_precondition(f"No regression inputs found in SignatureDef: {signature}")
    if OUTPUTS not in signature.outputs:
        raise failed_precondition(f"No regression outputs found in SignatureDef: {signature}")
    return signature.inputs[INPUTS].name, [signature.outputs[OUTPUTS].name]


def _fill_classes(signature: Any, values: dict[str, Array], examples: int, result: Any) -> None:
    classes = values[signature.outputs[CLASSES].name] if CLASSES in signature.outputs else None
    scores = values[signature.outputs[SCORES].name] if SCORES in signature.outputs else None
    if classes is not None:
        _check_matrix(classes, CLASSES, "DT_STRING", classes.dtype.kind == "O", examples)
    if scores is not None:
        _check_matrix(scores, SCORES, "DT_FLOAT", scores.dtype == np.float32, examples)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid_argument(f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}")
    labels = [[item.decode("utf-8", "replace") for item in row] for row in classes.tolist()] if classes is not None else None
    numbers = scores.tolist() if scores is not None else None
    for row in range(examples):
        kept = result.classifications.add()
        for column in range(len((labels or numbers or [[]])[row])):
            entry = kept.classes.add()
            if labels is not None:
                entry.label = labels[row][column]
            if numbers is not None:
                entry.score = numbers[row][column]


def _check_matrix(values: Array, name: str, wanted: str, fits: bool, examples: int) -> None:
    if values.ndim != 2:
        raise invalid_argument(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(values)}")
    if not fits:
        raise invalid_argument(f"Expected {name} Tensor of {wanted}. Got: {values.dtype}")
    if values.shape[0] != examples:
        raise invalid_argument(f"Expected {name} output batch size of {examples}. Got: {values.shape[0]}")


def _fill_regressions(signature: Any, values: dict[str, Array], examples: int, result: Any) -> None:
    outputs = values[signature.outputs[OUTPUTS].name]
    if outputs.ndim != 1 and not (outputs.ndim == 2 and outputs.shape[1] == 1):
        raise invalid_argument(f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(outputs)}")
    if outputs.shape[0] != examples:
        raise invalid_argument(f"Input batch size did not match output batch size: {examples} vs. {outputs.shape[0]}")
    if outputs.dtype != np.float32:
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {outputs.dtype}")
    for value in outputs.ravel().tolist():
        result.regressions.add(value=value)


def _shape(values: Array) -> str:
    return f"[{','.join(str(size) for size in values.shape)}]"
