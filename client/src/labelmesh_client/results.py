"""What models find in pictures. Places are shares of the upright picture's width and height, 0 to 1 from its upper left corner."""

from __future__ import annotations

from dataclasses import dataclass

from labelmesh.inference.v1 import results_pb2

from labelmesh_client.tensors import Tensor


@dataclass(frozen=True)
class ClassScore:
    """A class by name and index, and how likely it is, 0 to 1."""

    label: str
    index: int
    score: float


@dataclass(frozen=True)
class Classification:
    """Classes, best first. `doubt` is 1 - (best - second best) over all classes: 0 is sure, 1 cannot tell."""

    classes: tuple[ClassScore, ...]
    doubt: float

    @property
    def best(self) -> ClassScore | None:
        """None where no class came up to the threshold."""
        return self.classes[0] if self.classes else None


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


@dataclass(frozen=True)
class Detection:
    """Something found, with a score from 0 to 1."""

    box: Box
    label: str
    index: int
    score: float


@dataclass(frozen=True)
class Detections:
    """Everything found, best first, and how many more were found below the threshold."""

    detections: tuple[Detection, ...]
    below_threshold: int


@dataclass(frozen=True)
class Keypoint:
    """A named point with a score from 0 to 1."""

    name: str
    x: float
    y: float
    score: float


@dataclass(frozen=True)
class Pose:
    """The points of one body."""

    keypoints: tuple[Keypoint, ...]
    score: float


@dataclass(frozen=True)
class Poses:
    """Bodies, best first."""

    poses: tuple[Pose, ...]


@dataclass(frozen=True)
class Segment:
    """A class of a segmentation and its share of the mask's pixels, 0 to 1."""

    label: str
    index: int
    share: float


@dataclass(frozen=True)
class Segmentation:
    """A class for each pixel: `mask_png` is a grey PNG file of `width` x `height` whose values are class indices."""

    width: int
    height: int
    mask_png: bytes
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class RawOutputs:
    """A model's outputs as it gave them, by name."""

    tensors: dict[str, Tensor]


Result = Classification | Detections | Poses | Segmentation | RawOutputs


def result_from_wire(message: results_pb2.Result) -> Result | None:
    """The result, or None for a kind that this version does not know."""
    match message.WhichOneof("result"):
        case "classification":
            classes = tuple(ClassScore(one.label, one.index, one.score) for one in message.classification.classes)
            return Classification(classes, message.classification.doubt)
        case "detections":
            return Detections(tuple(map(_detection, message.detections.detections)), message.detections.below_threshold_count)
        case "poses":
            return Poses(tuple(map(_pose, message.poses.poses)))
        case "segmentation":
            found = message.segmentation
            segments = tuple(Segment(one.label, one.index, one.share) for one in found.segments)
            return Segmentation(found.width, found.height, found.mask_png, segments)
        case "raw":
            return RawOutputs({one.name: Tensor.from_wire(one.tensor) for one in message.raw.tensors})
    return None


def _detection(message: results_pb2.Detection) -> Detection:
    box = message.box
    return Detection(Box(box.x_min, box.y_min, box.x_max, box.y_max), message.label, message.index, message.score)


def _pose(message: results_pb2.Pose) -> Pose:
    return Pose(tuple(Keypoint(one.name, one.x, one.y, one.score) for one in message.keypoints), message.score)
