"""Manifests and signatures come back from their documents as they were."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from labelmesh_inference.manifest import (
    Activation,
    Batching,
    BoxesOutput,
    BoxOrder,
    ClassesOutput,
    ColorMode,
    Fit,
    InputKind,
    InputSpec,
    KeypointsOutput,
    Layout,
    MaskOutput,
    ModelManifest,
    RawOutput,
    Resampling,
)
from labelmesh_inference.registry.documents import manifest_document, manifest_of, signature_document, signature_of
from labelmesh_inference.serving.values import DataType, Signature, TensorSpec

TEXTS = st.text(max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SEVERAL = st.lists(NUMBERS, max_size=3).map(tuple)
NAMES = st.lists(TEXTS, max_size=3).map(tuple)
INPUTS = st.builds(
    InputSpec,
    kind=st.sampled_from(InputKind),
    tensor=TEXTS,
    data_type=st.none() | st.sampled_from(DataType),
    width=st.integers(0, 8192),
    color=st.sampled_from(ColorMode),
    fit=st.sampled_from(Fit),
    resampling=st.sampled_from(Resampling),
    layout=st.sampled_from(Layout),
    scale=NUMBERS,
    mean=SEVERAL,
    std=SEVERAL,
    light_on_dark=st.booleans(),
)
OUTPUTS = st.one_of(
    st.builds(ClassesOutput, tensor=TEXTS, activation=st.sampled_from(Activation)),
    st.builds(BoxesOutput, boxes=TEXTS, scores=TEXTS, order=st.sampled_from(BoxOrder), pixels=st.booleans()),
    st.builds(KeypointsOutput, tensor=TEXTS, names=NAMES),
    st.builds(MaskOutput, tensor=TEXTS),
    st.builds(RawOutput, tensors=NAMES),
)
MANIFESTS = st.builds(
    ModelManifest,
    model=TEXTS,
    input=INPUTS,
    output=OUTPUTS,
    labels=NAMES,
    threshold=NUMBERS,
    batching=st.builds(Batching, max_batch_size=st.integers(0, 9), max_wait_s=st.none() | NUMBERS, timeout_s=st.none() | NUMBERS),
)
SPECS = st.builds(
    TensorSpec, name=TEXTS, data_type=st.sampled_from([*DataType, "variant"]), shape=st.none() | st.lists(st.integers(-1, 9)).map(tuple)
)


@given(MANIFESTS)
def test_a_manifest_comes_back_as_it_was(manifest: ModelManifest) -> None:
    document = json.loads(json.dumps(manifest_document(manifest)))
    assert manifest_of(document) == manifest


@given(TEXTS, st.lists(SPECS, max_size=3), st.lists(SPECS, max_size=3))
def test_a_signature_comes_back_as_it_was(name: str, inputs: list[TensorSpec], outputs: list[TensorSpec]) -> None:
    signature = Signature(name, {spec.name: spec for spec in inputs}, {spec.name: spec for spec in outputs})
    found = signature_of(json.loads(json.dumps(signature_document(signature))))
    assert found == signature
    assert list(found.inputs) == list(signature.inputs)


def test_a_document_from_before_a_field_was_there_has_its_default() -> None:
    manifest = ModelManifest("digits", InputSpec(InputKind.PIXELS), ClassesOutput())
    document = manifest_document(manifest)
    del document["input"]["max_side"]
    del document["top_k"]
    assert manifest_of(document) == manifest
