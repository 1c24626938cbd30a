"""Areas that are erased."""

from __future__ import annotations

from labelmesh_augment.transforms.transform import Transform

TRANSFORMS: tuple[Transform, ...] = ()
