"""Polygons on their way: several rings each, and shapely only where a border cuts one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labelmesh_augment.geometry import cutting, outlines
from labelmesh_augment.geometry.labels import Points, Polygon
from labelmesh_augment.geometry.motion import Motion
from labelmesh_augment.geometry.outlines import Outlines
from labelmesh_augment.pictures.picture import Size


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Polygons and what is left of them."""

    origins: tuple[Polygon, ...]
    # Of all polygons one after another, and how many are whose.
    rings: Outlines
    owners: NDArray[np.intp]
    # Of each polygon: what is left of its area, and how much of it is shown where pictures are blended.
    shares: NDArray[np.float64]
    weights: NDArray[np.float64]
    # Whether points were added so that sides could bend.
    bent: bool = False

    @staticmethod
    def of(polygons: tuple[Polygon, ...], size: Size) -> Pieces:
        """Cut at the frame, as after any motion."""
        rings = Outlines.of([np.asarray(ring, dtype=np.float64) for polygon in polygons for ring in polygon.rings])
        owners = (
            np.repeat(np.arange(len(polygons)), [len(polygon.rings) for polygon in polygons]) if polygons else np.zeros(0, dtype=np.intp)
        )
        ones = np.ones(len(polygons))
        return Pieces(polygons, rings, owners, ones, ones).moved(Motion.start(size))

    def moved(self, motion: Motion) -> Pieces:
        """After a motion, cut at its frame."""
        if not len(self.origins):
            return self
        target = outlines.followed(self.rings, motion)
        over = outlines.beyond(target, motion.size)
        # Rings that went altogether behind a horizon have no bounds that could be beyond anything.
        over |= (target.counts == 0) & (self.rings.counts > 0)
        bent = self.bent or motion.bent
        if not over.any():
            return replace(self, rings=target, bent=bent)
        before, after = self.rings.each(), target.each()
        shares = self.shares.copy()
        rings: list[Points] = []
        owners: list[int] = []
        for owner in range(len(self.origins)):
            own = np.flatnonzero(self.owners == owner).tolist()
            left: list[Points] = []
            for index in own:
                left += cutting.cut(after[index], motion.size) if over[index] else [after[index]]
            if over[own].any():
                shares[owner] *= _left([before[index] for index in own], [after[index] for index in own], left, motion)
            rings += left
            owners += [owner] * len(left)
        return replace(self, rings=Outlines.of(rings), owners=np.array(owners, dtype=np.intp), shares=shares, bent=bent)

    def dimmed(self, factors: NDArray[np.float64]) -> Pieces:
        """With weights multiplied, one factor for each polygon."""
        return replace(self, weights=self.weights * factors)

    def bounds(self) -> NDArray[np.float64]:
        """(polygons, 4): x0, y0, x1, y1; not a number for those that are gone."""
        bounds = np.full((len(self.origins), 4), np.nan)
        each = self.rings.bounds()
        for owner in range(len(self.origins)):
            own = each[self.owners == owner]
            if len(own):
                bounds[owner] = (*own[:, :2].min(axis=0), *own[:, 2:].max(axis=0))
        return bounds

    def left(self, covers: list[Points]) -> list[tuple[Polygon, float]]:
        """Each polygon as it is now, with the square pixels of it that are to be seen; those that are gone have no rings."""
        found: list[tuple[Polygon, float]] = []
        rings = self.rings.each()
        for owner, origin in enumerate(self.origins):
            own = [rings[index] for index in np.flatnonzero(self.owners == owner).tolist()]
            areas = [cutting.ring_area(ring) for ring in own]
            seen = sum(areas)
            share = float(self.shares[owner])
            if covers and seen > 0.0:
                hidden = float(np.dot(cutting.covered_shares(own, covers), areas)) / seen
                seen, share = seen * (1.0 - hidden), share * (1.0 - hidden)
            if self.bent:
                own = [cutting.simplified(ring) for ring in own]
            found.append((replace(origin, rings=tuple(own), visible_share=share if own else 0.0, weight=float(self.weights[owner])), seen))
        return found


def _left(before: list[Points], after: list[Points], rest: list[Points], motion: Motion) -> float:
    """The share of all rings that is left, measured as for boxes."""
    if motion.affine:
        whole, kept = sum(map(cutting.ring_area, after)), sum(map(cutting.ring_area, rest))
    else:
        whole, kept = sum(map(cutting.ring_area, before)), sum(cutting.ring_area(motion.backward(ring)) for ring in rest)
    if whole <= 0.0:
        return 1.0 if rest else 0.0
    return min(kept / whole, 1.0)
