"""What a model's numbers mean; what they cannot mean is said and never passed on."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelmesh_chassis.errors import FailedPrecondition
from labelmesh_inference.manifest import (
    Activation,
    BoxesOutput,
    BoxOrder,
    ClassesOutput,
    InputKind,
    InputSpec,
    KeypointsOutput,
    MaskOutput,
    ModelManifest,
    Output,
    RawOutput,
)
from labelmesh_inference.predictions.geometry import Geometry
from labelmesh_inference.predictions.outputs import Interpretation, interpret
from labelmesh_inference.predictions.results import Classification, Detections, Poses, RawOutputs, Result, Segmentation
from labelmesh_inference.serving.values import DataType, Signature, Tensor, TensorSpec
from PIL import Image

WHOLE = Geometry.whole(100, 50)


def read(output: Output, found: dict[str, Any], *, top_k: int = 0, threshold: float | None = None, **manifest: Any) -> Result:
    """What a reply means by a manifest whose signature has just these outputs."""
    arrays = {name: np.asarray(value) if not isinstance(value, np.ndarray) else value for name, value in found.items()}
    outputs = {name: TensorSpec(name, DataType.FLOAT32, None) for name in arrays}
    whole = ModelManifest("m", InputSpec(InputKind.PIXELS), output, **manifest)
    signature = Signature("serving_default", {"x": TensorSpec("x", DataType.FLOAT32, None)}, outputs)
    return interpret(whole, signature, arrays, WHOLE, top_k=top_k, threshold=threshold)


def classes(scores: Any, **how: Any) -> Classification:
    activation = how.pop("activation", Activation.NONE)
    found = read(ClassesOutput(activation=activation), {"scores": scores}, **how)
    assert isinstance(found, Classification)
    return found


def problem_of(output: Output, found: dict[str, Any], **manifest: Any) -> str:
    with pytest.raises(FailedPrecondition) as caught:
        read(output, found, **manifest)
    assert caught.value.reason == "MANIFEST_MISMATCH"
    return caught.value.message


# --- classes ---


def test_classes_come_best_first_with_their_names() -> None:
    found = classes([0.1, 0.7, 0.2], labels=("cat", "dog", ""))
    assert [(best.label, best.index, best.score) for best in found.classes] == [("dog", 1, 0.7), ("2", 2, 0.2), ("cat", 0, 0.1)]
    assert found.doubt == pytest.approx(0.5)


def test_labels_begin_at_the_first_index() -> None:
    found = classes([0.1, 0.7, 0.2], labels=("cat", "dog"), first_index=1)
    assert [best.label for best in found.classes] == ["cat", "dog", "0"]


def test_top_k_and_threshold_leave_out_results_and_change_no_doubt() -> None:
    scores = [0.05, 0.5, 0.4, 0.05]
    assert [best.index for best in classes(scores, top_k=1).classes] == [1]
    assert [best.index for best in classes(scores, threshold=0.1).classes] == [1, 2]
    assert classes(scores, threshold=0.9).classes == ()
    for how in ({"top_k": 1}, {"threshold": 0.9}, {}):
        assert classes(scores, **how).doubt == pytest.approx(0.9)


def test_ten_classes_are_given_unless_the_manifest_or_the_call_say_otherwise() -> None:
    scores = np.full(30, 1 / 30)
    assert len(classes(scores).classes) == 10
    whole = ModelManifest("m", InputSpec(InputKind.PIXELS), ClassesOutput(), top_k=3)
    signature = Signature("s", {}, {"scores": TensorSpec("scores", DataType.FLOAT32, None)})
    reader = Interpretation(whole, signature)
    for top_k, count in ((0, 3), (5, 5)):
        found = reader.one({"scores": scores}, top_k=top_k)
        assert isinstance(found, Classification) and len(found.classes) == count


def test_activations_make_shares_also_of_large_numbers() -> None:
    soft = classes([1000.0, 999.0, -1000.0], activation=Activation.SOFTMAX)
    assert [best.score for best in soft.classes] == pytest.approx([0.731, 0.269, 0.0], abs=1e-3)
    sigmoid = classes([800.0, 0.0, -800.0], activation=Activation.SIGMOID)
    assert [best.score for best in sigmoid.classes] == pytest.approx([1.0, 0.5, 0.0])


def test_one_class_alone_is_doubted_by_what_it_lacks() -> None:
    assert classes([0.8]).doubt == pytest.approx(0.2)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-30, 30), min_size=4, max_size=4), min_size=2, max_size=6))
def test_many_replies_read_at_once_mean_what_each_means_alone(rows: list[list[float]]) -> None:
    whole = ModelManifest("m", InputSpec(InputKind.PIXELS), ClassesOutput(activation=Activation.SOFTMAX), labels=tuple("abcd"))
    reader = Interpretation(whole, Signature("s", {}, {"scores": TensorSpec("scores", DataType.FLOAT32, None)}))
    replies = [({"scores": np.array(row, np.float32)}, None) for row in rows]
    alone = [reader.one(*reply) for reply in replies]
    for found, want in zip(reader.many(replies), alone, strict=True):
        assert isinstance(found, Classification) and isinstance(want, Classification)
        assert [best.index for best in found.classes] == [best.index for best in want.classes]
        assert [best.score for best in found.classes] == pytest.approx([best.score for best in want.classes])


def test_a_bad_reply_among_many_fails_alone() -> None:
    whole = ModelManifest("m", InputSpec(InputKind.PIXELS), ClassesOutput(), labels=("a", "b"))
    reader = Interpretation(whole, Signature("s", {}, {"scores": TensorSpec("scores", DataType.FLOAT32, None)}))
    good, bad = np.array([0.4, 0.6], np.float32), np.array([0.4, np.nan], np.float32)
    found = reader.many([({"scores": row}, None) for row in (good, bad, good)])
    assert [type(one).__name__ for one in found] == ["Classification", "FailedPrecondition", "Classification"]


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (np.array([0.2, np.nan, 0.8]), "nan"),
        (np.array([0.2, np.inf, 0.8]), "inf"),
        (np.array([0.2, 0.8]), "[2]"),
        (np.array([[0.2, 0.3, 0.5]]), "[1, 3]"),
        (np.zeros(0), "[0]"),
        (np.float32(0.5), "[]"),
        (np.array([b"cat", b"dog", b"owl"], dtype=object), "string"),
        (np.array([True, False, False]), "bool"),
        (np.array([-4.0, 9.0, 2.5]), "-4 to 9"),
        (np.array([0.2 + 1j, 0.3, 0.5]), "complex"),
    ],
)
def test_scores_that_are_not_what_the_manifest_says_are_found_out(scores: Any, words: str) -> None:
    message = problem_of(ClassesOutput(), {"scores": scores}, labels=("a", "b", "c"))
    assert "scores" in message and words in message and "wanted" in message


def test_rounding_past_one_is_no_mistake() -> None:
    assert classes([1.0000004, -1e-9]).classes[0].score == 1.0


def test_an_output_that_is_missing_is_named_with_those_that_are_there() -> None:
    whole = ModelManifest("m", InputSpec(InputKind.PIXELS), ClassesOutput("logits"))
    with pytest.raises(FailedPrecondition, match="no output logits; it has: scores"):
        Interpretation(whole, Signature("s", {}, {"scores": TensorSpec("scores", DataType.FLOAT32, None)}))
    reader = Interpretation(whole, Signature("s", {}, {"logits": TensorSpec("logits", DataType.FLOAT32, None)}))
    with pytest.raises(FailedPrecondition, match="reply has no output logits"):
        reader.one({"scores": np.zeros(3)})
    with pytest.raises(FailedPrecondition, match="several outputs"):
        interpret(
            ModelManifest("m", InputSpec(InputKind.PIXELS), ClassesOutput()),
            Signature("s", {}, {name: TensorSpec(name, DataType.FLOAT32, None) for name in "ab"}),
            {},
        )


# --- boxes ---

BOXES = BoxesOutput("boxes", "scores", "classes", "count", BoxOrder.YXYX)
REPLY: dict[str, Any] = {
    "boxes": np.array([[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0], [0.3, 0.3, 0.4, 0.4], [9, 9, 9, 9]], np.float32),
    "scores": np.array([0.3, 0.9, 0.5, 0.99], np.float32),
    "classes": np.array([1.0, 2.0, 7.0, 0.0], np.float32),
    "count": np.float32(3),
}


def detections(**how: Any) -> Detections:
    found = read(BOXES, {**REPLY, **how.pop("reply", {})}, **how)
    assert isinstance(found, Detections)
    return found


def test_detections_come_best_first_and_those_that_do_not_count_are_left_out() -> None:
    found = detections(labels=("animal", "person"), first_index=1)
    assert [(each.label, each.index, round(each.score, 2)) for each in found.detections] == [
        ("person", 2, 0.9),
        ("7", 7, 0.5),
        ("animal", 1, 0.3),
    ]
    assert found.detections[2].box.x_min == pytest.approx(0.2) and found.detections[2].box.y_max == pytest.approx(0.5)


def test_what_the_threshold_leaves_out_is_counted_and_what_top_k_leaves_out_is_not() -> None:
    found = detections(threshold=0.4)
    assert len(found.detections) == 2 and found.below_threshold == 1
    found = detections(top_k=1)
    assert len(found.detections) == 1 and found.below_threshold == 0


def test_no_detection_is_an_answer() -> None:
    nothing = {"boxes": np.zeros((0, 4)), "scores": np.zeros(0), "classes": np.zeros(0), "count": np.float32(0)}
    assert detections(reply=nothing) == Detections(())


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({"boxes": np.zeros((4, 5))}, "boxes has the shape [4, 5]"),
        ({"boxes": np.zeros((1, 4, 4))}, "[any, 4]"),
        ({"scores": np.zeros(3)}, "scores has the shape [3]"),
        ({"classes": np.zeros((4, 1))}, "classes has the shape [4, 1]"),
        ({"classes": np.array([1.5, 1, 1, 1])}, "whole numbers"),
        ({"classes": np.array([np.nan, 1, 1, 1])}, "whole numbers"),
        ({"scores": np.array([0.5, 17, 1, 1])}, "17"),
        ({"scores": np.array([np.nan, 1, 1, 1])}, "nan"),
        ({"boxes": np.full((4, 4), np.nan)}, "nan"),
        ({"count": np.float32(5)}, "5 of 4"),
        ({"count": np.float32(2.5)}, "2.5"),
        ({"count": np.array([1.0, 2.0])}, "count has the shape [2]"),
        ({"boxes": np.array([b"x"], dtype=object)}, "string"),
    ],
)
def test_boxes_that_are_not_what_the_manifest_says_are_found_out(reply: dict[str, Any], words: str) -> None:
    assert words in problem_of(BOXES, {**REPLY, **reply})


def test_what_does_not_count_may_be_anything() -> None:
    boxes = REPLY["boxes"].copy()
    boxes[3] = np.nan
    assert len(detections(reply={"boxes": boxes}).detections) == 3


def test_boxes_in_pixels_need_a_picture() -> None:
    output = BoxesOutput("boxes", "scores", order=BoxOrder.XYXY, pixels=True)
    manifest = ModelManifest("m", InputSpec(InputKind.PIXELS), output)
    specs = {name: TensorSpec(name, DataType.FLOAT32, None) for name in ("boxes", "scores")}
    arrays = {"boxes": np.array([[10.0, 5.0, 50.0, 25.0]]), "scores": np.array([0.5])}
    found = interpret(manifest, Signature("s", {}, specs), arrays, WHOLE)
    assert isinstance(found, Detections)
    box = found.detections[0].box
    assert (box.x_min, box.y_min, box.x_max, box.y_max) == pytest.approx((0.1, 0.1, 0.5, 0.5))
    with pytest.raises(FailedPrecondition, match="pixels"):
        interpret(manifest, Signature("s", {}, specs), arrays, None)


# --- points ---


def test_bodies_come_best_first_with_named_points() -> None:
    points = np.array([[[0.1, 0.2, 0.2], [0.3, 0.4, 0.4]], [[0.5, 0.6, 0.8], [0.7, 0.8, 1.0]]], np.float32)
    found = read(KeypointsOutput(y_first=True, names=("nose", "tail")), {"points": points}, threshold=0.1)
    assert isinstance(found, Poses)
    assert [round(pose.score, 3) for pose in found.poses] == [0.9, 0.3]
    nose = found.poses[0].keypoints[0]
    assert nose.name == "nose" and (nose.x, nose.y) == pytest.approx((0.6, 0.5))
    assert len(read(KeypointsOutput(), {"points": points}, threshold=0.5).poses) == 1  # type: ignore[union-attr]


def test_points_without_scores_are_sure_and_one_body_needs_no_dimension() -> None:
    found = read(KeypointsOutput(), {"points": np.array([[0.1, 0.2], [0.3, 0.4]])})
    assert isinstance(found, Poses)
    assert [(point.name, point.score) for point in found.poses[0].keypoints] == [("0", 1.0), ("1", 1.0)]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.zeros((3, 3)), "[any, 2, 3]"),
        (np.zeros((2, 4)), "[1, 2, 4]"),
        (np.zeros(5), "points"),
        (np.full((2, 3), 7.0), "0 to 1"),
        (np.full((2, 2), np.inf), "inf"),
    ],
)
def test_points_that_are_not_what_the_manifest_says_are_found_out(points: Any, words: str) -> None:
    assert words in problem_of(KeypointsOutput(names=("nose", "tail")), {"points": points})


# --- masks ---


def mask_of(values: Any, **manifest: Any) -> tuple[Segmentation, np.ndarray]:
    found = read(MaskOutput(), {"mask": values}, **manifest)
    assert isinstance(found, Segmentation)
    with Image.open(io.BytesIO(found.mask_png)) as image:
        assert image.format == "PNG" and image.size == (found.width, found.height)
        return found, np.asarray(image)


def test_the_largest_score_of_a_pixel_wins() -> None:
    scores = np.zeros((2, 3, 3), np.float32)
    scores[:, :, 1] = 0.5
    scores[0, 0] = [0.1, 0.2, 0.9]
    found, pixels = mask_of(scores, labels=("ground", "water", "ship"))
    assert pixels.tolist() == [[2, 1, 1], [1, 1, 1]] and pixels.dtype == np.uint8
    assert [(segment.label, segment.share) for segment in found.segments] == [("water", 5 / 6), ("ship", 1 / 6)]


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 1)])
def test_indices_are_taken_as_they_are_and_more_than_255_make_sixteen_bits(shape: tuple[int, ...]) -> None:
    _, pixels = mask_of(np.array([0, 1, 300, 65535], np.int32).reshape(shape))
    assert pixels.tolist() == [[0, 1], [300, 65535]]
    _, small = mask_of(np.array([0, 1, 2, 255], np.uint8).reshape(shape))
    assert small.tolist() == [[0, 1], [2, 255]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((2, 2, 1), np.float32), "[any, any, 2]"),
        (np.zeros((2, 2), np.float32), "[any, any, any]"),
        (np.array([[-1, 0]], np.int32), "0 to 65,535"),
        (np.array([[70000, 0]], np.int32), "0 to 65,535"),
        (np.zeros((0, 5), np.int32), "no mask"),
        (np.full((2, 2, 3), np.nan), "nan"),
    ],
)
def test_masks_that_are_not_what_the_manifest_says_are_found_out(values: Any, words: str) -> None:
    assert words in problem_of(MaskOutput(), {"mask": values})


# --- raw ---


def test_raw_outputs_pass_as_they_are() -> None:
    found = read(RawOutput(), {"b": np.array([1, 2], np.int64), "a": np.array([np.nan], np.float32)})
    assert isinstance(found, RawOutputs)
    assert [(name, tensor.data_type) for name, tensor in found.tensors] == [("a", DataType.FLOAT32), ("b", DataType.INT64)]
    one = read(RawOutput(("b",)), {"b": np.array([b"x"], dtype=object), "a": np.zeros(2)})
    assert isinstance(one, RawOutputs) and one.tensors == (("b", Tensor(DataType.STRING, (1,), strings=(b"x",))),)
