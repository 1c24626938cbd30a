"""What models find in pictures, as values. Positions are shares of the upright picture's width and height; scores are 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass

from labelmesh_inference.serving.values import Tensor


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class and how likely it is."""

    label: str
    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """Classes, best first. `doubt` is 1 - (best - second best) over all classes, also those left out."""

    classes: tuple[ClassScore, ...]
    doubt: float


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, 0 to 1 from the upper left corner."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


@dataclass(frozen=True, slots=True)
class Detection:
    """Something found in a picture."""

    box: Box
    label: str
    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Detections:
    """Everything found, best first, and how many more there are under the threshold."""

    detections: tuple[Detection, ...]
    below_threshold: int = 0


@dataclass(frozen=True, slots=True)
class Keypoint:
    """A named point; it may lie outside of the picture."""

    name: str
    x: float
    y: float
    score: float


@dataclass(frozen=True, slots=True)
class Pose:
    """The points of one body. The score is the mean of theirs."""

    keypoints: tuple[Keypoint, ...]
    score: float


@dataclass(frozen=True, slots=True)
class Poses:
    """Bodies, best first."""

    poses: tuple[Pose, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """One class of a segmentation and its share of the mask's pixels."""

    label: str
    index: int
    share: float


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A class for each pixel: a grey PNG file of class indices, 8 bit up to 255, 16 bit above. Segments largest first."""

    width: int
    height: int
    mask_png: bytes
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class RawOutputs:
    """Outputs as the model gave them, by name."""

    tensors: tuple[tuple[str, Tensor], ...]


Result = Classification | Detections | Poses | Segmentation | RawOutputs
