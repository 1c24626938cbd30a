"""What lies between a camera and what it looks at."""

from __future__ import annotations

from labelmesh_augment.transforms.transform import Transform

TRANSFORMS: tuple[Transform, ...] = ()
