"""A manifest that contradicts itself is refused with the fields named, and messages and values are the same manifest."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from labelmesh.inference.v1 import manifests_pb2 as man
from labelmesh.inference.v1 import tensors_pb2
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_inference.manifest import (
    Activation,
    BoxesOutput,
    BoxOrder,
    ClassesOutput,
    ColorMode,
    Fit,
    InputKind,
    InputSpec,
    KeypointsOutput,
    MaskOutput,
    ModelManifest,
    Output,
    RawOutput,
    Resampling,
)
from labelmesh_inference.serving.values import DataType
from labelmesh_inference.wire import manifest_message, manifest_of

PIXELS = InputKind.PIXELS


def fields_of(settings: dict[str, Any], output: Output | None = None, **more: Any) -> list[str]:
    """The fields that a manifest is refused for, without "manifest."."""
    manifest = ModelManifest("m", InputSpec(**{"kind": PIXELS, **settings}), output or ClassesOutput(), **more)
    with pytest.raises(InvalidArgument) as caught:
        manifest.check_consistency()
    assert caught.value.reason == "MANIFEST_INVALID"
    return [violation.field.removeprefix("manifest.") for violation in caught.value.violations]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"width": 28, "height": 28, "color": ColorMode.GRAY, "scale": 1 / 255, "fit": Fit.LETTERBOX, "light_on_dark": True},
        {"fit": Fit.NONE},
        {"mean": (1.0,), "std": (1.0, 2.0, 3.0)},
        {"data_type": DataType.INT8, "mean": (128.0,)},
        {"kind": InputKind.ENCODED, "max_side": 1280},
        {"kind": InputKind.TENSOR, "data_type": DataType.INT32},
    ],
)
def test_settings_of_the_input_that_go_together_are_taken(settings: dict[str, Any]) -> None:
    ModelManifest("m", InputSpec(**{"kind": PIXELS, **settings}), ClassesOutput()).check_consistency()


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({"width": 28}, ["input.height"]),
        ({"height": 28}, ["input.width"]),
        ({"fit": Fit.LETTERBOX}, ["input.fit"]),
        ({"fit": Fit.CROP}, ["input.fit"]),
        ({"fit": Fit.NONE, "width": 8, "height": 8}, ["input.fit"]),
        ({"mean": (1.0, 2.0)}, ["input.mean"]),
        ({"color": ColorMode.GRAY, "std": (1.0, 2.0, 3.0)}, ["input.std"]),
        ({"fill": 9}, ["input.fill"]),
        ({"data_type": DataType.STRING}, ["input.data_type"]),
        ({"data_type": DataType.UINT8, "scale": 1 / 255}, ["input.scale"]),
        ({"data_type": DataType.INT8}, ["input.scale"]),
        ({"width": 8192, "height": 8192}, ["input.width"]),
        (
            {"kind": InputKind.ENCODED, "width": 8, "mean": (1.0,), "data_type": DataType.UINT8},
            ["input.width", "input.mean", "input.data_type"],
        ),
        ({"kind": InputKind.TENSOR, "max_side": 8, "keep_exif_rotation": True}, ["input.max_side", "input.keep_exif_rotation"]),
    ],
)
def test_settings_of_the_input_that_contradict_each_other_are_named(settings: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(settings) == fields


def test_settings_of_the_output_that_contradict_each_other_are_named() -> None:
    assert fields_of({}, BoxesOutput("b", "s", "s")) == ["boxes.classes"]
    assert fields_of({}, BoxesOutput("b", "s", count="b")) == ["boxes.count"]
    assert fields_of({}, KeypointsOutput(names=("a", "a"))) == ["keypoints.names"]
    assert fields_of({"width": 8, "height": 8, "fit": Fit.CROP}, MaskOutput()) == ["input.fit"]
    assert fields_of({}, RawOutput(("a", "a"))) == ["raw.tensors"]
    assert fields_of({}, first_index=1) == ["first_index"]


MESSAGES = [
    man.ModelManifest(
        model="digits",
        input=man.InputSpec(
            kind=man.INPUT_KIND_PIXELS, width=28, height=28, color=man.COLOR_MODE_GRAY, fit=man.FIT_LETTERBOX, scale=1 / 255
        ),
        classes=man.ClassesOutput(activation=man.ACTIVATION_SOFTMAX),
        labels=[str(digit) for digit in range(10)],
    ),
    man.ModelManifest(
        model="finder",
        display_name="Finder",
        description="Finds",
        license="MIT",
        signature="other",
        input=man.InputSpec(kind=man.INPUT_KIND_ENCODED, tensor="bytes", max_side=1280, keep_exif_rotation=True),
        boxes=man.BoxesOutput(boxes="b", scores="s", classes="c", count="n", order=man.BOX_ORDER_CXCYWH, pixels=True),
        labels=["animal", "", "person"],
        first_index=1,
        threshold=0.2,
        top_k=50,
        batching=man.Batching(max_batch_size=8, max_wait=Duration(nanos=5_000_000), max_calls_in_flight=2, timeout=Duration(seconds=30)),
    ),
    man.ModelManifest(
        model="bodies",
        input=man.InputSpec(
            kind=man.INPUT_KIND_PIXELS,
            data_type=tensors_pb2.DATA_TYPE_FLOAT16,
            color=man.COLOR_MODE_BGR,
            resampling=man.RESAMPLING_LANCZOS,
            layout=man.LAYOUT_NCHW,
            mean=[1, 2, 3],
            std=[4, 5, 6],
        ),
        keypoints=man.KeypointsOutput(tensor="k", y_first=True, pixels=True, names=["nose"]),
    ),
    man.ModelManifest(model="mask", input=man.InputSpec(kind=man.INPUT_KIND_PIXELS, light_on_dark=True), mask=man.MaskOutput(tensor="m")),
    man.ModelManifest(model="raw", input=man.InputSpec(kind=man.INPUT_KIND_TENSOR), raw=man.RawOutput(tensors=["a", "b"])),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.model)
def test_a_manifest_said_again_is_the_same(message: man.ModelManifest) -> None:
    manifest = manifest_of(message)
    again = manifest_message(manifest)
    assert manifest_of(again) == manifest
    # What was said stands; what was not said now has its default.
    merged = man.ModelManifest()
    merged.CopyFrom(again)
    merged.input.ClearField("mean")
    merged.input.ClearField("std")
    merged.ClearField("labels")
    if merged.WhichOneof("output") in ("keypoints", "raw"):
        merged.keypoints.ClearField("names") if merged.HasField("keypoints") else merged.raw.ClearField("tensors")
    merged.MergeFrom(message)
    assert merged == again


def test_what_a_manifest_leaves_open_has_the_contracts_defaults() -> None:
    message = man.ModelManifest(model="m", input=man.InputSpec(kind=man.INPUT_KIND_PIXELS), classes=man.ClassesOutput())
    manifest = manifest_of(message)
    assert manifest.signature == "serving_default"
    assert manifest.input == InputSpec(PIXELS, color=ColorMode.RGB, fit=Fit.STRETCH, resampling=Resampling.BILINEAR, scale=1.0)
    assert manifest.output == ClassesOutput(activation=Activation.NONE)
    assert manifest.most_results == 10
    boxes = man.BoxesOutput(boxes="b", scores="s", order=man.BOX_ORDER_YXYX)
    found = manifest_of(man.ModelManifest(model="m", input=message.input, boxes=boxes))
    assert found.output == BoxesOutput("b", "s", order=BoxOrder.YXYX) and found.most_results == 100


def test_text_that_no_database_can_keep_is_refused_where_it_stands() -> None:
    message = man.ModelManifest(
        model="m", input=man.InputSpec(kind=man.INPUT_KIND_PIXELS), classes=man.ClassesOutput(), labels=["a", "b\0"]
    )
    with pytest.raises(InvalidArgument) as caught:
        manifest_of(message)
    assert caught.value.violations[0].field == "manifest.labels[1]"
