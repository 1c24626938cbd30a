"""Labels on their way through a pipeline: they follow the pixels, and in the end are what can be seen of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry import outlines
from labelmesh_augment.geometry.labels import Box, Dropped, Keypoint, LabelRules, Labels, Mask, Points, Polygon, Visibility
from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.geometry.outlines import Outlines
from labelmesh_augment.geometry.pieces import Pieces
from labelmesh_augment.geometry.rectangles import smallest_rectangle
from labelmesh_augment.geometry.warping import warp_mask
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.effects import Layer, Warp

# As far as the contract lets a coordinate go.
_FURTHEST = 1e6
# Pixels that a keypoint may lie outside of the frame by rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """The labels of one of the pictures that are mixed; usually all there are."""

    boxes: tuple[Box, ...]
    outlines: Outlines
    # Of each box: what is left of its area, and how much of it is shown where pictures are blended.
    shares: NDArray[np.float64]
    weights: NDArray[np.float64]
    # Where each box's own x axis points to, (boxes, 2); None unless one of them may stand at an angle.
    axes: NDArray[np.float64] | None
    polygons: Pieces
    keypoints: tuple[Keypoint, ...]
    places: Points
    states: tuple[Visibility, ...]
    keypoint_weights: NDArray[np.float64]
    # What lies over these labels.
    covers: Outlines
    mirrored: bool = False

    @staticmethod
    def of(labels: Labels, size: Size) -> _Group:
        whole, shares = outlines.held(outlines.corners(labels.boxes), size)
        places = np.array([(point.x, point.y) for point in labels.keypoints]).reshape(-1, 2)
        return _Group(
            labels.boxes,
            whole,
            shares,
            np.ones(len(labels.boxes)),
            _axes(labels.boxes) if any(box.oriented for box in labels.boxes) else None,
            Pieces.of(labels.polygons, size),
            labels.keypoints,
            places,
            _states(places, tuple(point.visibility for point in labels.keypoints), size),
            np.ones(len(labels.keypoints)),
            Outlines.of([]),
        )

    def moved(self, motion: Motion) -> _Group:
        target, left = outlines.moved(self.outlines, motion)
        places = motion.forward(self.places) if len(self.places) else self.places
        return _Group(
            self.boxes,
            target,
            self.shares * left,
            self.weights,
            self.axes if self.axes is None else _turned(self.axes, self.outlines, motion),
            self.polygons.moved(motion),
            self.keypoints,
            places,
            _states(places, self.states, motion.size),
            self.keypoint_weights,
            outlines.moved(self.covers, motion)[0] if len(self.covers) else self.covers,
            self.mirrored != motion.mirrored,
        )

    def covered(self, areas: Sequence[Points], size: Size) -> _Group:
        added = outlines.held(Outlines.of(areas), size)[0]
        states = self.states
        if states:
            hidden = np.zeros(len(states), dtype=bool)
            for ring in added.each():
                hidden = hidden | _within(self.places, ring)
            states = tuple(
                Visibility.HIDDEN if under and state is Visibility.VISIBLE else state
                for state, under in zip(states, hidden.tolist(), strict=True)
            )
        rings = [ring for ring in (*self.covers.each(), *added.each()) if len(ring)]
        return replace(self, covers=Outlines.of(rings), states=states)

    def dimmed(self, rectangle: Points, weight: float) -> _Group:
        """With weights that are `weight` times what they were within a rectangle (x0, y0), (x1, y1), and less changed partly outside."""

        def factors(bounds: NDArray[np.float64]) -> NDArray[np.float64]:
            sides = np.maximum(np.minimum(bounds[:, 2:], rectangle[1]) - np.maximum(bounds[:, :2], rectangle[0]), 0.0)
            whole = np.maximum((bounds[:, 2:] - bounds[:, :2]).prod(axis=1), 1e-12)
            result: NDArray[np.float64] = 1.0 - (1.0 - weight) * np.nan_to_num(np.minimum(sides.prod(axis=1) / whole, 1.0))
            return result

        under = ((self.places >= rectangle[0]) & (self.places <= rectangle[1])).all(axis=1)
        return replace(
            self,
            weights=self.weights * factors(self.outlines.bounds()),
            keypoint_weights=self.keypoint_weights * np.where(under, weight, 1.0),
            polygons=self.polygons.dimmed(factors(self.polygons.bounds())),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _MaskTrail:
    """A mask, made when it is asked for: where labels are followed without pixels nobody does."""

    origin: Mask
    values: Callable[[], NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Labels of a frame of `size`. Every step gives a new one; `finish` gives what is left."""

    size: Size
    groups: tuple[_Group, ...]
    masks: tuple[_MaskTrail, ...] = ()

    @staticmethod
    def start(labels: Labels, size: Size) -> Track:
        """Labels as they were given. What of them is outside of the frame counts as not to be seen."""
        return Track(size, (_Group.of(labels, size),), tuple(_trail(mask) for mask in labels.masks))

    def moved(self, motion: Motion) -> Track:
        """After the frame was warped; what the new frame does not show is gone."""
        if motion.is_identity:
            return self
        return Track(
            motion.size,
            tuple(group.moved(motion) for group in self.groups),
            tuple(_MaskTrail(trail.origin, _moving(trail.values, motion)) for trail in self.masks),
        )

    def covered(self, areas: Sequence[Points]) -> Track:
        """After areas, each a ring, were erased.

        Visible keypoints under them are hidden; boxes and polygons lose visible share, and keep their outline.
        """
        if not len(areas):
            return self
        return replace(self, groups=tuple(group.covered(areas, self.size) for group in self.groups))

    def mixed(self, layers: Sequence[Layer], further: Sequence[Track], size: Size) -> Track:
        """After it was put together with others: `further[0]` is source 1.

        Layers of weight 0, and of sources that are not there, are left out.
        """
        tracks = (self, *further)
        groups: list[_Group] = []
        regions: list[Points] = []
        used: list[tuple[Layer, Track]] = []
        for layer in layers:
            x0, y0 = max(layer.region[0], 0), max(layer.region[1], 0)
            x1, y1 = min(layer.region[2], size.width), min(layer.region[3], size.height)
            if layer.weight <= 0.0 or x1 <= x0 or y1 <= y0 or not 0 <= layer.source < len(tracks):
                continue
            track = tracks[layer.source]
            region = np.array([[x0, y0], [x1, y1]], dtype=np.float64)
            ring = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)
            if layer.weight >= 1.0:
                groups = [group.covered([ring], size) for group in groups]
            else:
                groups = [group.dimmed(region, 1.0 - layer.weight) for group in groups]
            into, back = _window(track.size, layer.matrix, (x0, y0, x1, y1), size)
            arriving = [group.moved(into).moved(back) for group in track.groups]
            if layer.weight < 1.0:
                for below in regions:
                    common = np.array([np.maximum(below[0], region[0]), np.minimum(below[1], region[1])])
                    if (common[1] > common[0]).all():
                        arriving = [group.dimmed(common, layer.weight) for group in arriving]
                        break
            groups += arriving
            regions.append(region)
            used.append((replace(layer, region=(x0, y0, x1, y1)), track))
        return Track(size, tuple(groups), _mixed_masks(used, size))

    def bounds(self) -> NDArray[np.float64]:
        """Of the boxes that are still to be seen: (boxes, 4), x0, y0, x1, y1, within the frame."""
        found = np.concatenate([group.outlines.bounds() for group in self.groups]) if self.groups else np.zeros((0, 4))
        there: NDArray[np.float64] = found[~np.isnan(found[:, 0])]
        return there

    def finish(self, rules: LabelRules) -> tuple[Labels, tuple[Dropped, ...]]:
        """What is left, and what the rules dropped: boxes first, then polygons, in their order. All have the names that the mirror gave."""
        names = {name: other for pair in reversed(rules.mirror_pairs) for name, other in (pair, pair[::-1])}
        boxes: list[Box] = []
        polygons: list[Polygon] = []
        keypoints: list[Keypoint] = []
        dropped: list[Dropped] = []
        dropped_polygons: list[Dropped] = []
        for group in self.groups:
            exchanged = names if group.mirrored else {}
            covers = group.covers.each()
            for box, seen in _left_boxes(group, covers, exchanged):
                if box.width > 0.0 and box.height > 0.0 and _keeps(rules, box.visible_share, seen):
                    boxes.append(box)
                else:
                    dropped.append(Dropped(box.id, box.label, box.visible_share))
            for polygon, seen in group.polygons.left(covers):
                label = exchanged.get(polygon.label, polygon.label)
                if polygon.rings and _keeps(rules, polygon.visible_share, seen):
                    polygons.append(replace(polygon, label=label))
                else:
                    dropped_polygons.append(Dropped(polygon.id, label, polygon.visible_share))
            keypoints += _left_keypoints(group, exchanged)
        masks = tuple(Mask(trail.values(), trail.origin.id, trail.origin.label) for trail in self.masks)
        return Labels(tuple(boxes), tuple(polygons), tuple(keypoints), masks), (*dropped, *dropped_polygons)


def _keeps(rules: LabelRules, share: float, seen: float) -> bool:
    return share >= rules.min_visible_share - 1e-9 and seen >= rules.min_area * (1.0 - 1e-9)


def _left_boxes(group: _Group, covers: Sequence[Points], names: Mapping[str, str]) -> list[tuple[Box, float]]:
    """Each box as it is now, with the square pixels of it that are to be seen; of no width where it is gone."""
    if not group.boxes:
        return []
    rings = group.outlines.each()
    hidden = np.zeros(len(rings))
    if covers:
        from labelmesh_augment.geometry.cutting import covered_shares

        hidden = covered_shares(rings, covers)
    bounds = group.outlines.bounds().tolist()
    found: list[tuple[Box, float]] = []
    for index, (origin, ring) in enumerate(zip(group.boxes, rings, strict=True)):
        label = names.get(origin.label, origin.label)
        if len(ring) == 0:
            found.append((Box(origin.x, origin.y, 0.0, 0.0, id=origin.id, label=label, visible_share=0.0), 0.0))
            continue
        seen_share = 1.0 - float(hidden[index])
        if origin.oriented and group.axes is not None:
            x, y, width, height, rotation = smallest_rectangle(ring, group.axes[index])
        else:
            x0, y0, x1, y1 = bounds[index]
            x, y, width, height, rotation = x0, y0, x1 - x0, y1 - y0, 0.0
        share, weight = float(group.shares[index]) * seen_share, float(group.weights[index])
        found.append(
            (Box(x, y, width, height, rotation, origin.oriented, origin.id, label, share, weight), outlines.area(ring) * seen_share)
        )
    return found


def _left_keypoints(group: _Group, names: Mapping[str, str]) -> list[Keypoint]:
    found: list[Keypoint] = []
    weights = group.keypoint_weights.tolist()
    for origin, place, state, weight in zip(group.keypoints, group.places.tolist(), group.states, weights, strict=True):
        label = names.get(origin.label, origin.label)
        if state is Visibility.ABSENT:
            found.append(replace(origin, label=label))
            continue
        x, y = (min(max(value, -_FURTHEST), _FURTHEST) for value in place)
        found.append(Keypoint(x, y, state, origin.id, label, weight))
    return found


def _axes(boxes: Sequence[Box]) -> NDArray[np.float64]:
    angles = np.radians([box.rotation for box in boxes])
    return np.column_stack((np.cos(angles), np.sin(angles)))


def _turned(axes: NDArray[np.float64], before: Outlines, motion: Motion) -> NDArray[np.float64]:
    """The directions after a motion, as it turns the middle of each box."""
    there = before.counts > 0
    bounds = before.bounds()[there]
    if not len(bounds):
        return axes
    middles = (bounds[:, :2] + bounds[:, 2:]) / 2
    step = axes[there] * 0.5
    turned = motion.forward(middles + step) - motion.forward(middles - step)
    result = axes.copy()
    length = np.hypot(turned[:, 0], turned[:, 1])
    result[there] = np.where(length[:, None] > 1e-12, turned / np.maximum(length, 1e-12)[:, None], axes[there])
    return result


def _states(places: Points, states: tuple[Visibility, ...], size: Size) -> tuple[Visibility, ...]:
    """What is outside now is so for good: its pixels are gone."""
    if not states:
        return states
    inside = (places >= -_ROUNDING).all(axis=1) & (places[:, 0] <= size.width + _ROUNDING) & (places[:, 1] <= size.height + _ROUNDING)
    if inside.all():
        return states
    return tuple(
        state if here or state is Visibility.ABSENT else Visibility.OUTSIDE for state, here in zip(states, inside.tolist(), strict=True)
    )


def _within(places: Points, ring: Points) -> NDArray[np.bool_]:
    """Which points lie within a convex ring, or on it."""
    if len(ring) < 3:
        return np.zeros(len(places), dtype=bool)
    sides = np.roll(ring, -1, axis=0) - ring
    offsets = places[:, None, :] - ring[None]
    turns = sides[:, 0] * offsets[:, :, 1] - sides[:, 1] * offsets[:, :, 0]
    return np.asarray((turns >= 0.0).all(axis=1) | (turns <= 0.0).all(axis=1))


def _trail(mask: Mask) -> _MaskTrail:
    return _MaskTrail(mask, lambda: mask.values)


def _moving(values: Callable[[], NDArray[Any]], motion: Motion) -> Callable[[], NDArray[Any]]:
    return lambda: warp_mask(values(), motion)


def _window(source: Size, matrix: NDArray[np.float64], region: tuple[int, int, int, int], size: Size) -> tuple[Motion, Motion]:
    """The way into a layer's region, where it is cut, and on to the place of the region in the frame."""
    x0, y0, x1, y1 = region
    inner = Size(x1 - x0, y1 - y0)
    there = np.array([[1.0, 0.0, x0], [0.0, 1.0, y0], [0.0, 0.0, 1.0]])
    back = np.array([[1.0, 0.0, -x0], [0.0, 1.0, -y0], [0.0, 0.0, 1.0]])
    return Motion.start(source).then(Warp(back @ matrix, inner)), Motion.start(inner).then(Warp(there, size))


def _mixed_masks(layers: Sequence[tuple[Layer, Track]], size: Size) -> tuple[_MaskTrail, ...]:
    """Masks of the same id and label are put together as the pictures are; where pictures are blended, the one below stays."""
    found: dict[tuple[str, str], Mask] = {}
    for _, track in layers:
        for trail in track.masks:
            found.setdefault((trail.origin.id, trail.origin.label), trail.origin)
    return tuple(_MaskTrail(origin, _mixing(key, layers, size)) for key, origin in found.items())


def _mixing(key: tuple[str, str], layers: Sequence[tuple[Layer, Track]], size: Size) -> Callable[[], NDArray[Any]]:
    def values() -> NDArray[Any]:
        parts: list[tuple[tuple[int, int, int, int], NDArray[Any] | None]] = []
        for number, (layer, track) in enumerate(layers):
            trails = [trail for trail in track.masks if (trail.origin.id, trail.origin.label) == key]
            if trails:
                motion = _window(track.size, layer.matrix, layer.region, size)[0]
                parts.append((layer.region, warp_mask(trails[0].values(), motion)))
            elif layer.weight >= 1.0:
                parts.append((layer.region, None))
            if number and layer.weight < 1.0 and trails:
                parts.pop()
        deep = any(part is not None and part.dtype == np.uint16 for _, part in parts)
        result = np.zeros((size.height, size.width), dtype=np.uint16 if deep else np.uint8)
        for (x0, y0, x1, y1), part in parts:
            result[y0:y1, x0:x1] = 0 if part is None else part
        return result

    return values
