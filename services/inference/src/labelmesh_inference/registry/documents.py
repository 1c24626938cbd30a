"""How manifests and signatures are kept: as JSON documents. A field that an older document lacks has its default."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from labelmesh_inference.manifest import (
    OUTPUT_FIELDS,
    Activation,
    Batching,
    BoxOrder,
    ColorMode,
    Fit,
    InputKind,
    InputSpec,
    Layout,
    ModelManifest,
    Output,
    Resampling,
)
from labelmesh_inference.serving.values import DataType, Signature, TensorSpec

Document = dict[str, Any]
_INPUT_NAMES = {"kind": InputKind, "data_type": DataType, "color": ColorMode, "fit": Fit, "resampling": Resampling, "layout": Layout}
_OUTPUT_NAMES = {"activation": Activation, "order": BoxOrder}
_OUTPUTS: dict[str, type[Output]] = {name: kind for kind, name in OUTPUT_FIELDS.items()}
_DATA_TYPES = frozenset(DataType)


def manifest_document(manifest: ModelManifest) -> Document:
    """The manifest, with its output under the name that says what it is: {"classes": {...}}."""
    document = asdict(manifest)
    document["output"] = {manifest.output_field: document["output"]}
    return document


def manifest_of(document: Document) -> ModelManifest:
    """The manifest that a document was made of."""
    ((kind, output),) = document["output"].items()
    return ModelManifest(
        **{
            **document,
            "input": InputSpec(**_typed(document["input"], _INPUT_NAMES)),
            "output": _OUTPUTS[kind](**_typed(output, _OUTPUT_NAMES)),
            "labels": tuple(document["labels"]),
            "batching": Batching(**document["batching"]),
        }
    )


def signature_document(signature: Signature) -> Document:
    """The signature; its tensors in the order that the model server gave them."""
    return {
        "name": signature.name,
        "inputs": [_spec_document(spec) for spec in signature.inputs.values()],
        "outputs": [_spec_document(spec) for spec in signature.outputs.values()],
    }


def signature_of(document: Document) -> Signature:
    """The signature that a document was made of."""
    inputs, outputs = ({spec["name"]: _spec(spec) for spec in document[part]} for part in ("inputs", "outputs"))
    return Signature(document["name"], inputs, outputs)


def _spec_document(spec: TensorSpec) -> Document:
    return {"name": spec.name, "data_type": spec.data_type, "shape": None if spec.shape is None else list(spec.shape)}


def _spec(document: Document) -> TensorSpec:
    kind, shape = document["data_type"], document["shape"]
    return TensorSpec(document["name"], DataType(kind) if kind in _DATA_TYPES else kind, None if shape is None else tuple(shape))


def _typed(document: Document, names: Document) -> Document:
    """Values as the manifest has them: names of an enumeration's values, and tuples for lists."""
    found = {}
    for name, value in document.items():
        if name in names and value is not None:
            value = names[name](value)
        found[name] = tuple(value) if isinstance(value, list) else value
    return found
