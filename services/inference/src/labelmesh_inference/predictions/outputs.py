"""What a model's numbers mean, as its manifest says. Replies that are not what the manifest says are found out, never passed on."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelmesh_inference.manifest import (
    Activation,
    BoxesOutput,
    BoxOrder,
    ClassesOutput,
    KeypointsOutput,
    MaskOutput,
    ModelManifest,
    RawOutput,
)
from labelmesh_inference.predictions.geometry import UPRIGHT_ORIENTATION, Geometry
from labelmesh_inference.predictions.pictures import upright
from labelmesh_inference.predictions.preparation import mismatch, shape_text
from labelmesh_inference.predictions.results import (
    Box,
    Classification,
    ClassScore,
    Detection,
    Detections,
    Keypoint,
    Pose,
    Poses,
    RawOutputs,
    Result,
    Segment,
    Segmentation,
)
from labelmesh_inference.serving.values import Signature, Tensor

# Rounding in a model's own sums may leave a score this far outside of 0 to 1.
_TOLERANCE = 1e-3
_UNIT = Geometry.whole(1, 1)
_MOST_CLASSES_IN_A_MASK = 65536

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Interpretation:
    """Reads the replies of one version of a model.

    FailedPrecondition (MANIFEST_MISMATCH, metadata: tensor) when its signature does not give what the manifest says, and when a reply
    does not: it names the tensor, what was found and what is wanted.
    """

    def __init__(self, manifest: ModelManifest, signature: Signature) -> None:
        self._manifest = manifest
        self._only = next(iter(signature.outputs)) if len(signature.outputs) == 1 else ""
        self.outputs = output_tensors(manifest, signature)

    def many(
        self, rows: Sequence[tuple[Mapping[str, Array], Geometry | None]], *, top_k: int = 0, threshold: float | None = None
    ) -> list[Result | Exception]:
        """Several replies, each by itself: what is wrong with one is its error and nobody else's. Same-shaped classes are read at once."""
        if isinstance(self._manifest.output, ClassesOutput) and len(rows) > 1:
            name = self._manifest.output.tensor or self._only
            scores = [outputs.get(name) for outputs, _ in rows]
            first = scores[0]
            if first is not None and all(row is not None and row.shape == first.shape and row.dtype == first.dtype for row in scores):
                try:
                    return list(self._classifications(name, np.stack([row for row in scores if row is not None]), top_k, threshold))
                except Exception:  # One of them is wrong: which one, the slow way tells.
                    pass
        found: list[Result | Exception] = []
        for outputs, geometry in rows:
            try:
                found.append(self.one(outputs, geometry, top_k=top_k, threshold=threshold))
            except Exception as failure:
                found.append(failure)
        return found

    def one(
        self, outputs: Mapping[str, Array], geometry: Geometry | None = None, *, top_k: int = 0, threshold: float | None = None
    ) -> Result:
        """One reply, its outputs without the batch dimension. 0 and None stand for what the manifest says."""
        manifest = self._manifest
        most = top_k or manifest.most_results
        least = manifest.threshold if threshold is None else threshold
        match manifest.output:
            case ClassesOutput() as output:
                name = output.tensor or self._only
                return self._classifications(name, _found(outputs, name)[None], top_k, threshold)[0]
            case BoxesOutput() as output:
                return self._detections(output, outputs, geometry, most, least)
            case KeypointsOutput() as output:
                return self._poses(output, outputs, geometry, most, least)
            case MaskOutput() as output:
                return self._segmentation(output, outputs, geometry)
            case RawOutput() as output:
                names = output.tensors or tuple(sorted(outputs))
                return RawOutputs(tuple((name, Tensor.of(_found(outputs, name)).widened()) for name in names))

    # --- classes ---

    def _classifications(self, name: str, scores: Array, top_k: int, threshold: float | None) -> list[Classification]:
        """Scores [rows, classes]."""
        manifest, output = self._manifest, self._manifest.output
        assert isinstance(output, ClassesOutput)
        wanted = manifest.first_index + len(manifest.labels) if manifest.labels else -1
        if scores.ndim != 2 or scores.shape[1] == 0 or wanted not in (-1, scores.shape[1]):
            raise _wrong_shape(name, scores.shape[1:], (wanted,))
        values = _floats(name, scores, (-1, -1))
        values = _activated(name, values, output.activation)
        order = np.argsort(-values, axis=1, kind="stable")
        most = min(top_k or manifest.most_results, values.shape[1])
        least = manifest.threshold if threshold is None else threshold
        best = np.take_along_axis(values, order[:, : max(2, most)], axis=1)
        doubts = np.clip(1 - (best[:, 0] - (best[:, 1] if best.shape[1] > 1 else 0.0)), 0.0, 1.0)
        label = manifest.label
        return [
            Classification(
                tuple([ClassScore(label(index), index, score) for index, score in zip(indices, shown, strict=True) if score >= least]),
                doubt,
            )
            for indices, shown, doubt in zip(order[:, :most].tolist(), best[:, :most].tolist(), doubts.tolist(), strict=True)
        ]

    # --- boxes ---

    def _detections(
        self, output: BoxesOutput, outputs: Mapping[str, Array], geometry: Geometry | None, most: int, least: float
    ) -> Detections:
        boxes = _floats(output.boxes, _found(outputs, output.boxes), (-1, 4), finite=False)
        count = len(boxes)
        scores = _floats(output.scores, _found(outputs, output.scores), (count,), finite=False)
        classes = np.full(count, self._manifest.first_index, dtype=np.float64)
        if output.classes:
            classes = _floats(output.classes, _found(outputs, output.classes), (count,), finite=False)
        if output.count:
            count = _count(output.count, _found(outputs, output.count), count)
        boxes, scores, classes = boxes[:count], scores[:count], classes[:count]
        _check_finite(output.boxes, boxes)
        _check_shares(output.scores, scores)
        if not bool(np.all(classes == np.rint(classes)) and np.all(np.abs(classes) < 2**31)):
            raise mismatch(f"the output {output.classes} has classes that are no whole numbers; wanted are indices", output.classes)
        shown = scores >= least
        places = _placed(_corners(boxes[shown], output.order), geometry, pixels=output.pixels, tensor=output.boxes)
        scores, indices = scores[shown], classes[shown].astype(np.int64)
        # What lies in the filled margins alone is not in the picture.
        inside = (places[:, 2] > places[:, 0]) & (places[:, 3] > places[:, 1])
        order = [place for place in np.argsort(-scores, kind="stable").tolist() if inside[place]][:most]
        detections = tuple(
            Detection(Box(*places[place].tolist()), self._manifest.label(int(indices[place])), int(indices[place]), float(scores[place]))
            for place in order
        )
        return Detections(detections, below_threshold=int(np.count_nonzero(~shown)))

    # --- keypoints ---

    def _poses(self, output: KeypointsOutput, outputs: Mapping[str, Array], geometry: Geometry | None, most: int, least: float) -> Poses:
        name = output.tensor or self._only
        found = _found(outputs, name)
        points = len(output.names) or -1
        wanted = (points, found.shape[-1] if found.ndim and found.shape[-1] in (2, 3) else 3)
        values = _floats(name, found if found.ndim == 3 else found[None], (-1, *wanted))
        scores = values[:, :, 2] if values.shape[2] == 3 else np.ones(values.shape[:2])
        _check_shares(name, scores)
        places = values[:, :, 1::-1] if output.y_first else values[:, :, :2]
        places = _mapped_points(places, geometry, pixels=output.pixels, tensor=name)
        bodies = scores.mean(axis=1) if scores.shape[1] else np.zeros(len(scores))
        order = [body for body in np.argsort(-bodies, kind="stable").tolist() if bodies[body] >= least][:most]
        return Poses(tuple(self._pose(output.names, places[body], scores[body], float(bodies[body])) for body in order))

    def _pose(self, names: Sequence[str], places: Floats, scores: Floats, score: float) -> Pose:
        points = zip(places.tolist(), scores.tolist(), strict=True)
        return Pose(tuple(Keypoint(names[n] if names else str(n), x, y, each) for n, ((x, y), each) in enumerate(points)), score)

    # --- masks ---

    def _segmentation(self, output: MaskOutput, outputs: Mapping[str, Array], geometry: Geometry | None) -> Segmentation:
        name = output.tensor or self._only
        indices = _indices(name, _found(outputs, name))
        if geometry is not None:
            rows, columns = geometry.covered(indices.shape[1], indices.shape[0])
            indices = indices[rows, columns]
        wide = int(indices.max()) > 255
        image = Image.fromarray(np.ascontiguousarray(indices.astype(np.uint16 if wide else np.uint8)))
        if geometry is not None and geometry.orientation != UPRIGHT_ORIENTATION:
            image = upright(image, geometry.orientation)
        file = io.BytesIO()
        image.save(file, format="PNG", compress_level=6)
        classes, counts = np.unique(indices, return_counts=True)
        order = np.argsort(-counts, kind="stable").tolist()
        segments = tuple(
            Segment(self._manifest.label(int(classes[place])), int(classes[place]), float(counts[place]) / indices.size) for place in order
        )
        return Segmentation(image.width, image.height, file.getvalue(), segments)


def interpret(
    manifest: ModelManifest,
    signature: Signature,
    outputs: Mapping[str, Array],
    geometry: Geometry | None = None,
    *,
    top_k: int = 0,
    threshold: float | None = None,
) -> Result:
    """One reply of a model, its outputs without the batch dimension. Errors as of Interpretation."""
    return Interpretation(manifest, signature).one(outputs, geometry, top_k=top_k, threshold=threshold)


def output_tensors(manifest: ModelManifest, signature: Signature) -> tuple[str, ...]:
    """The outputs to ask the model for; empty means all. FailedPrecondition (MANIFEST_MISMATCH) where the signature lacks one."""
    names: tuple[str, ...]
    match manifest.output:
        case BoxesOutput() as boxes:
            names = tuple(name for name in (boxes.boxes, boxes.scores, boxes.classes, boxes.count) if name)
        case RawOutput() as raw:
            names = raw.tensors
        case ClassesOutput() | KeypointsOutput() | MaskOutput() as output:
            names = (output.tensor,)
            if not output.tensor:
                if len(signature.outputs) != 1:
                    there = ", ".join(sorted(signature.outputs)) or "none"
                    raise mismatch(f"the signature {signature.name} has several outputs ({there}); the manifest must name one", "")
                names = tuple(signature.outputs)
    there = ", ".join(sorted(signature.outputs)) or "none"
    for name in names:
        if name not in signature.outputs:
            raise mismatch(f"the signature {signature.name} has no output {name}; it has: {there}", name)
    return names


# --- reading tensors ---


def _found(outputs: Mapping[str, Array], name: str) -> Array:
    found = outputs.get(name)
    if found is None:
        there = ", ".join(sorted(outputs)) or "none"
        raise mismatch(f"the model's reply has no output {name}; it has: {there}", name)
    return found


def _floats(name: str, found: Array, wanted: tuple[int, ...], *, finite: bool = True) -> Floats:
    """The numbers, when they are numbers and of the shape wanted, where -1 is any."""
    if found.dtype.kind not in "fiu":
        kind = "string" if found.dtype.kind in "OSU" else str(found.dtype)
        raise mismatch(f"the output {name} is {kind}; wanted are numbers", name)
    if len(found.shape) != len(wanted) or any(want not in (-1, size) for size, want in zip(found.shape, wanted, strict=True)):
        raise _wrong_shape(name, found.shape, wanted)
    values = found.astype(np.float64)
    if finite:
        _check_finite(name, values)
    return values


def _wrong_shape(name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> Exception:
    return mismatch(f"the output {name} has the shape {shape_text(found)} for one input; wanted is {shape_text(wanted)}", name)


def _check_finite(name: str, values: Floats) -> None:
    if not np.isfinite(values).all():
        bad = values[~np.isfinite(values)].ravel()[0]
        raise mismatch(f"the output {name} has {bad} among its numbers; wanted are finite ones", name)


def _check_shares(name: str, values: Floats) -> None:
    _check_finite(name, values)
    if values.size and (values.min() < -_TOLERANCE or values.max() > 1 + _TOLERANCE):
        problem = f"the output {name} has scores from {values.min():g} to {values.max():g}; wanted are 0 to 1"
        raise mismatch(problem, name)
    np.clip(values, 0.0, 1.0, out=values)


def _activated(name: str, values: Floats, activation: Activation) -> Floats:
    if activation is Activation.SOFTMAX:
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        shares: Floats = powers / powers.sum(axis=1, keepdims=True)
        return shares
    if activation is Activation.SIGMOID:
        powers = np.exp(-np.abs(values))
        return np.where(values >= 0, 1 / (1 + powers), powers / (1 + powers))
    _check_shares(name, values)
    return values


def _count(name: str, found: Array, most: int) -> int:
    values = _floats(name, found.reshape(-1) if found.size == 1 else found, (1,))
    count = int(values[0])
    if count != values[0] or not 0 <= count <= most:
        raise mismatch(f"the output {name} says {values[0]:g} of {most} boxes; wanted is a whole number up to {most}", name)
    return count


def _corners(boxes: Floats, order: BoxOrder) -> Floats:
    """As x_min, y_min, x_max, y_max."""
    a, b, c, d = boxes.T
    corners = {
        BoxOrder.XYXY: (a, b, c, d),
        BoxOrder.YXYX: (b, a, d, c),
        BoxOrder.XYWH: (a, b, a + c, b + d),
        BoxOrder.CXCYWH: (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
    }
    return np.stack(corners[order], axis=1)


def _placed(corners: Floats, geometry: Geometry | None, *, pixels: bool, tensor: str) -> Floats:
    shares = _shares(corners.reshape(-1, 2, 2), geometry, pixels=pixels, tensor=tensor)
    return (geometry or _UNIT).boxes(shares.reshape(-1, 4))


def _mapped_points(points: Floats, geometry: Geometry | None, *, pixels: bool, tensor: str) -> Floats:
    return (geometry or _UNIT).points(_shares(points, geometry, pixels=pixels, tensor=tensor))


def _shares(points: Floats, geometry: Geometry | None, *, pixels: bool, tensor: str) -> Floats:
    """Points [..., 2] as shares of the model's input."""
    if not pixels:
        return points
    if geometry is None:
        raise mismatch(f"the output {tensor} is in pixels by the manifest, and the input has none", tensor)
    return points / np.array([geometry.input_width, geometry.input_height], dtype=np.float64)


def _indices(name: str, found: Array) -> NDArray[np.int64]:
    """A mask's class indices [height, width]."""
    if found.dtype.kind in "iu" and (found.ndim == 2 or (found.ndim == 3 and found.shape[2] == 1)):
        indices = found.reshape(found.shape[:2]).astype(np.int64)
    else:
        if found.ndim == 3 and found.shape[2] == 1:
            raise _wrong_shape(name, found.shape, (-1, -1, 2))
        indices = np.argmax(_floats(name, found, (-1, -1, -1)), axis=2)
    if indices.size == 0 or int(indices.min()) < 0 or int(indices.max()) >= _MOST_CLASSES_IN_A_MASK:
        problem = f"the output {name} of the shape {shape_text(found.shape)} is no mask; wanted are class indices from 0 to 65,535"
        raise mismatch(problem, name)
    return indices
